"""Exercise 7.6: how faithful."""

from __future__ import annotations

import random

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import table
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _runs(rng: random.Random) -> list[Case]:
    cases = []
    for label, n, share in (
        ("five pairs", 5, 0.6),
        ("sixteen pairs", 16, 0.6),
        ("a circuit that goes past the clean run", 5, 2.0),
        ("a circuit that goes the other way", 5, -0.7),
    ):
        clean, corrupted = 4 + table(rng, n), -3 + table(rng, n)
        shares = share + 0.3 * table(rng, n)
        shares[0] = -0.2  # one pair that goes the other way than most
        kept = corrupted + shares * (clean - corrupted)
        cases.append(Case(label, (kept, clean, corrupted)))
    kept, clean, corrupted = cases[0].args
    return [*cases, Case("clean runs below the corrupted ones", (-kept, -clean, -corrupted))]


# What learners do instead.


def _mean_of_shares(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return float(((kept - corrupted) / (clean - corrupted)).mean())


def _of_clean(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return float(kept.mean() / clean.mean())


def _what_is_missing(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return 1 - circuits.faithfulness(kept, clean, corrupted)


def _clamped(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return min(max(circuits.faithfulness(kept, clean, corrupted), 0.0), 1.0)


def _unsigned(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return abs(circuits.faithfulness(kept, clean, corrupted))


def _nearness(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    return 1 - abs(1 - circuits.faithfulness(kept, clean, corrupted))


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
        Mistake(
            "cut off at 0 and 1",
            _clamped,
            "This stops at 0 and at 1. A circuit can go past the clean run, or the other way: give the number "
            "as it is.",
        ),
        Mistake(
            "without its sign",
            _unsigned,
            "A circuit that goes the other way has a share below 0: leave the sign.",
        ),
        Mistake(
            "nearness to the clean run",
            _nearness,
            "This is how near the circuit comes to the clean run. One that goes past it has a share above 1.",
        ),
    ),
)
