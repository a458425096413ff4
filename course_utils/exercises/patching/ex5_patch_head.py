# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Exercise 6.5: transplant one head."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import TINY_SIZES, default_pair, models, pair, two_unlike
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id


def _pairs_and_heads(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn, (layer, head) = pair(rng), two_unlike(rng, model)
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, layer, head, drawn.answers)))
    drawn = default_pair()
    last = (tiny(rng, "tiny-gpt2"), drawn.clean, drawn.corrupted, TINY_SIZES[0] - 1, TINY_SIZES[1] - 1)
    return [*cases, Case("the last head of the last layer, answers left out", last)]


# What learners do instead.


def _patched_by(model: Any, clean: str, corrupted: str, layer: int, answers: tuple[str, str], change: Any) -> float:
    """The corrupted run after ``change(its heads, the clean run's)``, both (batch, position, head, head width)."""
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace(corrupted):
        change(parts.heads(layer), kept)
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _swapped_runs(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_head(model, corrupted, clean, layer, head, answers)


def _swapped_indices(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_head(model, clean, corrupted, head, layer, answers)


def _whole_layer(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES
) -> float:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        heads[:] = kept

    return _patched_by(model, clean, corrupted, layer, answers, change)


def _last_position(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES
) -> float:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        heads[:, -1, head] = kept[:, -1, head]

    return _patched_by(model, clean, corrupted, layer, answers, change)


def _nothing(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES) -> float:
    return patching.logit_difference(model, corrupted, answers)


def _reversed(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: tuple[str, str] = NAMES) -> float:
    return -patching.patch_head(model, clean, corrupted, layer, head, answers)


EXERCISE = Exercise(
    id="6.5",
    title="Transplant one head",
    minutes=20,
    points=4,
    difficulty=2,
    reference=patching.patch_head,
    shows="One head of the clean run, everything else corrupted: the answer's move is what that head alone carries.",
    hints=(
        Hint(
            "two traces",
            "The clean one keeps `parts.heads(layer)[:, :, head]`. Do not forget to save it.",
        ),
        Hint(
            "the operation",
            "The corrupted one assigns it to the same slice, and then reads the logits. The two prompts are equally "
            "long, so the positions fit.",
        ),
    ),
    draw=_pairs_and_heads,
    mistakes=(
        Mistake(
            "nothing changed",
            _nothing,
            "This is the corrupted run as it was. A plain `=` to a name writes nothing: assign to heads[:, :, "
            "head]. (And heads[:, head] is position `head` of all heads, where the two runs are still alike.)",
        ),
        Mistake(
            "clean and corrupted swapped",
            _swapped_runs,
            "Clean and corrupted are swapped: keep the head from the clean run, and write it into the corrupted one.",
        ),
        Mistake(
            "layer and head swapped",
            _swapped_indices,
            "Layer and head have changed places: this is head `layer` of layer `head`.",
        ),
        Mistake(
            "whole layer",
            _whole_layer,
            "This takes every head of the layer from the clean run; take one.",
        ),
        Mistake(
            "last position only",
            _last_position,
            "This patches the last position only; the head is taken at every position.",
        ),
        change_for_value(patching.patch_head),
        Mistake(
            "answers reversed",
            _reversed,
            "The sign is turned: it is the logit of answers[0] minus that of answers[1].",
        ),
    ),
)
