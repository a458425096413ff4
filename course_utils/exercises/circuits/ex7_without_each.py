"""Exercise 7.7: is every edge needed?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils import circuits
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.drawing import default_pair, pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model

Answers = tuple[str, str]
Circuit = Sequence[tuple[str, str]]
# What brings the second mention to the last token in a tiny model, and what reads it there.
_TINY = [
    *(("embedding", f"{layer}.{head} {kind}") for layer in range(2) for head in range(2) for kind in ("key", "value")),
    *((f"{layer}.{head}", "logits") for layer in range(3) for head in range(4)),
]


def _circuits(rng: random.Random) -> list[Case]:
    cases = []
    for label, name in (
        ("a tiny Llama", "tiny-llama"),
        ("a tiny Qwen 2", "tiny-qwen2"),
        ("a tiny Gemma 2", "tiny-gemma2"),
    ):
        drawn = pair(rng)
        circuit = rng.sample(_TINY[:8], 6) + rng.sample(_TINY[8:16], 5)
        cases.append(
            Case(label, (Model(name, rng.randrange(1000)), drawn.clean, drawn.corrupted, circuit, drawn.answers))
        )
    drawn, llama = default_pair(), Model("tiny-llama", rng.randrange(1000))
    circuit = rng.sample(_TINY[:8], 3) + rng.sample(_TINY[8:16], 3)
    return [*cases, Case("a tiny Llama, answers left out", (llama, drawn.clean, drawn.corrupted, circuit))]


# What learners do instead.


def _turned(model: Any, clean: str, corrupted: str, circuit: Circuit, answers: Answers = NAMES) -> torch.Tensor:
    return -circuits.without_each(model, clean, corrupted, circuit, answers)


def _what_is_left(model: Any, clean: str, corrupted: str, circuit: Circuit, answers: Answers = NAMES) -> torch.Tensor:
    smaller = [[edge for edge in circuit if edge != left_out] for left_out in circuit]
    return circuits.run_circuits(model, clean, corrupted, answers, circuits=smaller, progress=False)


def _each_alone(model: Any, clean: str, corrupted: str, circuit: Circuit, answers: Answers = NAMES) -> torch.Tensor:
    runs = circuits.run_circuits(
        model, clean, corrupted, answers, circuits=[[], *([edge] for edge in circuit)], progress=False
    )
    return runs[1:] - runs[0]


def _swapped(model: Any, clean: str, corrupted: str, circuit: Circuit, answers: Answers = NAMES) -> torch.Tensor:
    return circuits.without_each(model, corrupted, clean, circuit, answers)


EXERCISE = Exercise(
    id="7.7",
    title="Is every edge needed?",
    minutes=15,
    points=3,
    difficulty=2,
    reference=circuits.without_each,
    shows="An edge that costs nothing when it is taken out is not needed by the circuit, however strong it was alone.",
    hints=(
        Hint(
            "many circuits, one call",
            "`run_circuits(model, clean, corrupted, answers, circuits=[...])` takes a list of circuits and returns a "
            "number "
            "for each.",
        ),
        Hint(
            "one edge less",
            "`[edge for edge in circuit if edge != left_out]` for each `left_out`. Put the whole circuit first in the "
            "list: "
            "the answer is its number minus each of the others.",
        ),
    ),
    draw=_circuits,
    axes=("edge",),
    mistakes=(
        Mistake("turned around", _turned, "The sign is turned: an edge that the circuit needs must count positive."),
        Mistake(
            "what is left",
            _what_is_left,
            "These are the logit differences of the smaller circuits. What an edge is worth is the whole circuit's "
            "minus that.",
        ),
        Mistake(
            "each edge alone",
            _each_alone,
            "Here each edge stands alone. Nothing clean reaches most of them then; leave one out of the others "
            "instead.",
        ),
        Mistake("clean and corrupted swapped", _swapped, "Clean and corrupted are swapped."),
    ),
)
