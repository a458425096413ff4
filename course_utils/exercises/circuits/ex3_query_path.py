"""Exercise 7.3: one path by hand."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import UNLIKE, models, path
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.patching import patch_head

Answers = tuple[str, str]
Head = tuple[int, int]


def _pairs_and_paths(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn = pair(rng)
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, *path(rng, model), drawn.answers)))
    return [*cases, Case("a tiny Llama, answers left out", (*UNLIKE, (1, 1), (2, 3)))]


# What learners do instead.


def _by_all_roads(
    model: Any, clean: str, corrupted: str, sender: Head, receiver: Head, answers: Answers = NAMES
) -> float:
    return patch_head(model, clean, corrupted, *sender, answers)


def _everyone_reads(
    model: Any, clean: str, corrupted: str, sender: Head, receiver: Head, answers: Answers = NAMES
) -> float:
    change = circuits.sent(model, clean, corrupted, *sender)
    first, second = (token_id(model, answer) for answer in answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        parts.layers[receiver[0]].input = parts.layers[receiver[0]].input + change
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _whole_layer(
    model: Any, clean: str, corrupted: str, sender: Head, receiver: Head, answers: Answers = NAMES
) -> float:
    change = circuits.sent(model, clean, corrupted, *sender)
    first, second = (token_id(model, answer) for answer in answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        parts.layers[receiver[0]].input = parts.layers[receiver[0]].input + change
        read: torch.Tensor = circuits.queries(parts, receiver[0])[:].clone().save()  # type: ignore[attr-defined]
    with model.trace(corrupted):
        circuits.queries(parts, receiver[0])[:] = read
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _swapped(model: Any, clean: str, corrupted: str, sender: Head, receiver: Head, answers: Answers = NAMES) -> float:
    return circuits.query_path(model, corrupted, clean, sender, receiver, answers)


def _unpatched(model: Any, clean: str, corrupted: str, sender: Head, receiver: Head, answers: Answers = NAMES) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(corrupted):
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


EXERCISE = Exercise(
    id="7.3",
    title="One path by hand",
    minutes=25,
    points=4,
    difficulty=3,
    reference=circuits.query_path,
    shows="One reader, one sender, and everything else as it was: the smallest question that patching can ask.",
    hints=(
        Hint(
            "two runs",
            "First find out what the receiver's query would be: run the corrupted prompt with `sent(...)` added to "
            "`parts.layers[layer].input`, and keep `queries(parts, layer)[:, :, head]`. What comes after does not "
            "matter.",
        ),
        Hint(
            "the second run",
            "Run the corrupted prompt again, untouched but for one thing: `queries(parts, layer)[:, :, head] = read`. "
            "All "
            "that comes after answers by itself. Read the two logits.",
        ),
    ),
    draw=_pairs_and_paths,
    mistakes=(
        Mistake(
            "everyone reads it",
            _everyone_reads,
            "Here the changed stream goes on: every reader from the receiver's layer up gets it. Run the corrupted "
            "prompt "
            "anew, and put in the one query only.",
        ),
        Mistake(
            "by all roads",
            _by_all_roads,
            "This is the sender's whole effect, by all roads (lesson 6). A path has one reader: the receiver's query.",
        ),
        Mistake(
            "all queries of the layer",
            _whole_layer,
            "All heads of the receiver's layer read the change here; put in the query of the one head.",
        ),
        Mistake(
            "clean and corrupted swapped",
            _swapped,
            "Clean and corrupted are swapped: the run that goes on is the corrupted one.",
        ),
        Mistake(
            "nothing is put in",
            _unpatched,
            "This is the corrupted run as it is. Is the query written into the second run?",
        ),
        change_for_value(circuits.query_path),
    ),
)
