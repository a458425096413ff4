"""Exercise 7.4: several senders in one batch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import UNLIKE, models
from course_utils.exercises.forms import FLOATS
from course_utils.exercises.passes import TokensRead
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id, token_ids

Answers = tuple[str, str]
Head = tuple[int, int]


def _pairs_and_senders(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn = pair(rng)
        if model.name is None:
            senders, receiver = [(19, 2), (20, 0), (18, 2)], (23, rng.choice([0, 1, 7]))
        else:
            senders = rng.sample([(layer, head) for layer in range(2) for head in range(4)], 3)
            receiver = (2, rng.randrange(4))
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, senders, receiver, drawn.answers)))
    return [*cases, Case("a tiny Llama, answers left out", (*UNLIKE, [(0, rng.randrange(4)), (1, 1)], (2, 3)))]


def _see_rows(answer: Any, model: Any, *args: Any) -> dict[str, Any]:
    """The learner's logit differences, and whether any run of the model had a row for each sender."""
    _, corrupted, senders, *_ = args
    tokens = len(senders) * len(token_ids(model, corrupted))
    with TokensRead(model) as read:
        differences = answer(model, *args)
    rows = any(each >= tokens for each in read.passes)
    return {"logit differences": differences, "a run with a row for each sender": rows}


# What learners do instead.


def _one_by_one(
    model: Any, clean: str, corrupted: str, senders: Sequence[Head], receiver: Head, answers: Answers = NAMES
) -> torch.Tensor:
    return torch.tensor([circuits.query_path(model, clean, corrupted, sender, receiver, answers) for sender in senders])


def _together(
    model: Any, clean: str, corrupted: str, senders: Sequence[Head], receiver: Head, answers: Answers = NAMES
) -> torch.Tensor:
    """Every row reads all senders."""
    parts, (layer, head) = anatomy(model), receiver
    first, second = (token_id(model, answer) for answer in answers)
    change = torch.stack([circuits.sent(model, clean, corrupted, *sender) for sender in senders]).sum(dim=0)
    batch = [corrupted] * len(senders)
    with model.trace(batch):
        parts.layers[layer].input = parts.layers[layer].input + change
        read = circuits.queries(parts, layer)[:, :, head].save()  # type: ignore[attr-defined]
    with model.trace(batch):
        circuits.queries(parts, layer)[:, :, head] = read
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def _everyone_reads(
    model: Any, clean: str, corrupted: str, senders: Sequence[Head], receiver: Head, answers: Answers = NAMES
) -> torch.Tensor:
    parts, layer = anatomy(model), receiver[0]
    first, second = (token_id(model, answer) for answer in answers)
    change = torch.stack([circuits.sent(model, clean, corrupted, *sender) for sender in senders])
    with model.trace([corrupted] * len(senders)):
        parts.layers[layer].input = parts.layers[layer].input + change
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def _backwards(
    model: Any, clean: str, corrupted: str, senders: Sequence[Head], receiver: Head, answers: Answers = NAMES
) -> torch.Tensor:
    return circuits.query_paths(model, clean, corrupted, senders, receiver, answers).flip(0)


EXERCISE = Exercise(
    id="7.4",
    title="Several senders in one batch",
    minutes=15,
    points=3,
    difficulty=2,
    reference=circuits.query_paths,
    shows="Rows of a batch do not meet: each is a run of its own, with a sender of its own.",
    hints=(
        Hint(
            "rows are runs",
            "As `patch_layer` in lesson 6: `model.trace([corrupted] * len(senders))`, and row i belongs to sender i.",
        ),
        Hint(
            "all at once",
            "Stack the changes to (sender, position, width): that is the shape of the layer's input in the batch, so "
            "one "
            "sum adds each to its row. The rest is `query_path` with a first axis.",
        ),
    ),
    drive=_see_rows,
    returns=FLOATS,
    draw=_pairs_and_senders,
    axes=("sender",),
    mistakes=(
        Mistake(
            "a run for each sender",
            _one_by_one,
            "The numbers are right, but each sender has runs of its own: give one trace the corrupted prompt as often "
            "as there are senders, and add sender i's change to row i.",
        ),
        Mistake(
            "all senders together",
            _together,
            "Every row reads the changes of all senders together. Give each row its own.",
        ),
        Mistake(
            "everyone reads it",
            _everyone_reads,
            "Here the changed stream goes on to every reader above. Run the batch anew, and put in the one query of "
            "each row.",
        ),
        Mistake(
            "the wrong order",
            _backwards,
            "The numbers are in the opposite order: number i belongs to sender i.",
        ),
        change_for_value(circuits.query_paths),
    ),
)
