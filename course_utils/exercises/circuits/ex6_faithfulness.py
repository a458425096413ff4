"""Exercise 7.6: how faithful."""

from __future__ import annotations

import random

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import table
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _runs(rng: random.Random) -> list[Case]:
    cases = []
    for label, n in (("five pairs", 5), ("sixteen pairs", 16)):
        clean, corrupted = 4 + table(rng, n), -3 + table(rng, n)
        kept = corrupted + (0.6 + 0.3 * table(rng, n)) * (clean - corrupted)
        cases.append(Case(label, (kept, clean, corrupted)))
    return cases


# What learners do instead.


def _mean_of_shares(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return float(((kept - corrupted) / (clean - corrupted)).mean())


def _of_clean(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return float(kept.mean() / clean.mean())


def _what_is_missing(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return 1 - circuits.faithfulness(kept, clean, corrupted)


EXERCISE = Exercise(
    id="7.6",
    title="How faithful",
    minutes=5,
    points=1,
    difficulty=1,
    reference=circuits.faithfulness,
    shows="1 is the clean run, 0 the corrupted one; a circuit stands somewhere in between, or outside.",
    hints=(
        Hint(
            "as in lesson 6",
            "It is `recovered`, of means: (kept - corrupted) / (clean - corrupted), each a mean over the pairs.",
        ),
        Hint("one number", "Take the three means first, then divide, and give back a `float`."),
    ),
    draw=_runs,
    mistakes=(
        Mistake(
            "mean of the shares",
            _mean_of_shares,
            "This is the mean of each pair's share. A pair whose two runs hardly differ has a share of any size, and "
            "outweighs the others: divide the means.",
        ),
        Mistake(
            "share of the clean run",
            _of_clean,
            "This is a share of the clean run's number. A circuit without any edge gives the corrupted run's, and has "
            "to "
            "be at 0: count from there.",
        ),
        Mistake(
            "what is missing",
            _what_is_missing,
            "This is what the circuit leaves out: 0 for the whole model. Turn it around.",
        ),
    ),
)
