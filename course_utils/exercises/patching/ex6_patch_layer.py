# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Exercise 6.6: all heads of a layer in one run."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.forms import FLOATS
from course_utils.exercises.passes import TokensRead
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import TINY_SIZES, default_pair, models, pair, sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id


def _pairs_and_layers(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn, (n_layers, *_) = pair(rng), sizes(model)
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, rng.randrange(n_layers), drawn.answers)))
    drawn = default_pair()
    last = (tiny(rng, "tiny-gpt2"), drawn.clean, drawn.corrupted, TINY_SIZES[0] - 1)
    return [*cases, Case("the last layer, answers left out", last)]


def _count_runs(answer: Any, model: Any, *args: Any) -> dict[str, Any]:
    """The learner's logit differences, and how often the model ran for them."""
    with TokensRead(model) as read:
        differences = answer(model, *args)
    return {"logit differences": differences, "at most two runs": len(read.passes) <= 2}


# What learners do instead.


def _batch_patched_by(
    model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str], change: Any
) -> torch.Tensor:
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace([corrupted] * parts.n_heads):
        change(parts.heads(layer), kept)
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def _every_row(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = NAMES) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[:, :, head] = kept[:, :, head]

    return _batch_patched_by(model, clean, corrupted, layer, answers, change)


def _growing(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = NAMES) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[head:, :, head] = kept[:, :, head]

    return _batch_patched_by(model, clean, corrupted, layer, answers, change)


def _swapped_runs(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = NAMES) -> torch.Tensor:
    return patching.patch_layer(model, corrupted, clean, layer, answers)


def _first_row(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = NAMES) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[0, :, head] = kept[0, :, head]

    return _batch_patched_by(model, clean, corrupted, layer, answers, change)


def _one_run_for_each(model: Any, clean: str, corrupted: str, layer: int, answers: Any = None) -> torch.Tensor:
    given = (answers,) if answers else ()
    heads = range(anatomy(model).n_heads)
    return torch.tensor([patching.patch_head(model, clean, corrupted, layer, head, *given) for head in heads])


def _nothing(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = NAMES) -> torch.Tensor:
    return _batch_patched_by(model, clean, corrupted, layer, answers, lambda heads, kept: None)


EXERCISE = Exercise(
    id="6.6",
    title="All heads of a layer in one run",
    minutes=20,
    points=4,
    difficulty=3,
    reference=patching.patch_layer,
    shows="As many experiments as heads, one run: a batch costs far less than its rows one by one.",
    hints=(
        Hint(
            "a batch",
            "A trace takes a list of prompts: `[corrupted] * parts.n_heads` is a batch in which row h can be the "
            "experiment with head h.",
        ),
        Hint(
            "the diagonal",
            "`parts.heads(layer)` is now (row, position, head, head width). In a loop over heads, assign the clean "
            "head to `heads[head, :, head]`. Then read `logits[:, -1]`.",
        ),
    ),
    drive=_count_runs,
    returns=FLOATS,
    draw=_pairs_and_layers,
    axes=("head",),
    mistakes=(
        Mistake(
            "one run for each head",
            _one_run_for_each,
            "The numbers are right, but the model ran once for each head: give one trace the corrupted prompt as often "
            "as there are heads, and patch row h at head h.",
        ),
        Mistake(
            "every row gets every head",
            _every_row,
            "All rows are alike: each one has the whole layer from the clean run. Row h gets head h alone, heads[h, "
            ":, h].",
        ),
        Mistake(
            "earlier heads stay",
            _growing,
            "Row h has the heads up to h from the clean run. Row h gets head h alone, heads[h, :, h].",
        ),
        Mistake(
            "clean and corrupted swapped",
            _swapped_runs,
            "Clean and corrupted are swapped: the batch is of the corrupted prompt, and the heads come from the "
            "clean run.",
        ),
        Mistake(
            "first row only",
            _first_row,
            "Only row 0 was written to; each head has a row of its own.",
        ),
        Mistake(
            "nothing changed",
            _nothing,
            "Every row is the corrupted run as it was. Write into the slices, heads[h, :, h] = kept[:, h]. (And "
            "heads[:, h, h] is position h, where the two runs are still alike.)",
        ),
        change_for_value(patching.patch_layer),
    ),
)
