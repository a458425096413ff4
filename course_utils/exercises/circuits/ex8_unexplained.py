"""Exercise 7.8: break the claim that a circuit which is faithful on average explains the task."""

from __future__ import annotations

import random

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import table
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _runs(rng: random.Random) -> list[Case]:
    cases = []
    for label, n in (("eight pairs", 8), ("sixteen pairs", 16)):
        clean, corrupted = 4 + table(rng, n), -3 + table(rng, n)
        shares = torch.tensor(rng.sample([0.05 * step for step in range(2, 28) if step not in (9, 10, 11)], n))
        cases.append(Case(label, (corrupted + shares * (clean - corrupted), clean, corrupted)))
    cases.append(Case("eight pairs, with another bound", (*cases[0].args, 0.8)))
    kept, clean = torch.tensor([1.5, 1.0, 0.5]), torch.full((3,), 2.0)
    cases.append(Case("a pair right at the bound", (kept, clean, torch.zeros(3))))
    return cases


# What learners do instead.


def _best_first(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    return circuits.unexplained(kept, clean, corrupted, least)[::-1]


def _in_place(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    return sorted(circuits.unexplained(kept, clean, corrupted, least))


def _explained(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    worst = circuits.unexplained(kept, clean, corrupted, least)
    order = ((kept - corrupted) / (clean - corrupted)).argsort(stable=True).tolist()
    return [pair for pair in order if pair not in worst]


def _of_the_mean(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    shares = (kept - corrupted) / (clean.mean() - corrupted.mean())
    return [pair for pair in shares.argsort(stable=True).tolist() if shares[pair] < least]


EXERCISE = Exercise(
    id="7.8",
    title="Break our claim",
    minutes=15,
    points=3,
    difficulty=2,
    reference=circuits.unexplained,
    shows="A mean over prompts can hide those of which a circuit explains little: say how many there are.",
    hints=(
        Hint("each pair by itself", "A pair's share is (kept - corrupted) / (clean - corrupted), without a mean."),
        Hint(
            "the worst first",
            "`argsort` gives the pairs from the smallest share up; keep those below `least`, as a list of numbers.",
        ),
    ),
    draw=_runs,
    axes=("place",),
    mistakes=(
        Mistake("best first", _best_first, "The order is turned: the pair of which least is explained comes first."),
        Mistake(
            "in the order of the pairs",
            _in_place,
            "These are the right pairs, in the order of their numbers: sort them by their share.",
        ),
        Mistake(
            "those that are explained", _explained, "These are the pairs that are explained; the others were asked for."
        ),
        Mistake(
            "share of the mean",
            _of_the_mean,
            "Each pair is divided by the mean over all pairs. Its own way from corrupted to clean is what it is a "
            "share of.",
        ),
    ),
)
