"""Exercise 1.7: nucleus sampling."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.forms import FLOATS
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _distributions(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def draw(size: int, spread: float) -> torch.Tensor:
        return (torch.randn(size, generator=source) * spread).softmax(dim=-1)

    return [
        Case("12 tokens", (draw(12, 1.0), round(rng.uniform(0.6, 0.8), 3))),
        Case("1000 tokens", (draw(1000, 2.0), round(rng.uniform(0.7, 0.95), 3))),
        Case(
            "a distribution whose first token has more than p",
            (torch.tensor([0.02, 0.9, 0.05, 0.03]), round(rng.uniform(0.3, 0.6), 3)),
        ),
        # Halves of halves, whose sums are exact: the set that reaches p is complete.
        Case("a set that has exactly p", (torch.tensor(rng.sample((0.5, 0.25, 0.125, 0.125), 4)), 0.75)),
        Case("p = 1 and several equal tokens", (torch.tensor(rng.sample((0.5, 0.125, 0.125, 0.125, 0.125), 5)), 1.0)),
        Case("equal tokens at the line", (torch.tensor(rng.sample((0.5, 0.125, 0.125, 0.125, 0.125), 5)), 0.7)),
    ]


def _whichever_equal_ones(answer: Any, probabilities: torch.Tensor, p: float) -> Any:
    """What is kept. Which of equally probable tokens is free: what is right but for these has them in front."""
    kept = answer(probabilities, p)
    if not isinstance(kept, torch.Tensor) or kept.shape != probabilities.shape or kept.layout != torch.strided:
        return kept
    if not _is_smallest_set(kept.float(), probabilities, p):
        return kept  # as it is, so that the learner is told of his own numbers
    kept = kept.clone()
    for value in probabilities.unique():
        equal = probabilities == value
        kept[equal] = kept[equal].sort(descending=True).values
    return kept


def _is_smallest_set(kept: torch.Tensor, probabilities: torch.Tensor, p: float) -> bool:
    """Whether it is rescaled, none that is dropped is more probable, and the set reaches p but not without its last."""
    stays = kept > 0
    if not bool(stays.any()):
        return False
    together, least = probabilities[stays].sum(), probabilities[stays].min()
    return (
        torch.allclose(kept, torch.where(stays, probabilities / together, 0.0), rtol=1e-2)
        and bool((probabilities[~stays] <= least).all())
        and bool(together >= p > together - least)
    )


# What learners do instead.


def _one_too_many(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    ordered, ids = probabilities.sort(descending=True)
    kept = torch.zeros_like(probabilities)
    kept[ids] = torch.where(ordered.cumsum(dim=0) - ordered <= p, ordered, 0.0)
    return kept / kept.sum()


def _crossing_dropped(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    ordered, ids = probabilities.sort(descending=True)
    kept = torch.zeros_like(probabilities)
    kept[ids] = torch.where(ordered.cumsum(dim=0) <= p, ordered, 0.0)
    return kept / kept.sum()


def _least_probable(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    ordered, ids = probabilities.sort()
    kept = torch.zeros_like(probabilities)
    kept[ids] = torch.where(ordered.cumsum(dim=0) - ordered < p, ordered, 0.0)
    return kept / kept.sum()


def _not_rescaled(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return torch.where(tokens.nucleus(probabilities, p) > 0, probabilities, 0.0)


def _softmax_again(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return torch.where(tokens.nucleus(probabilities, p) > 0, probabilities, -torch.inf).softmax(dim=-1)


def _not_put_back(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return tokens.nucleus(probabilities, p).sort(descending=True).values


def _all_equal_ones(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    least = probabilities[tokens.nucleus(probabilities, p) > 0].min()
    kept = torch.where(probabilities >= least, probabilities, 0.0)
    return kept / kept.sum()


def _each_above_p(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    kept = torch.where(probabilities >= 1 - p, probabilities, 0.0)
    return kept / kept.sum()


EXERCISE = Exercise(
    id="1.7",
    title="Nucleus sampling",
    minutes=15,
    points=3,
    difficulty=3,
    reference=tokens.nucleus,
    shows="The nucleus is wide where the model is unsure and narrow where it knows; a fixed k is neither.",
    hints=(
        Hint(
            "who stays?",
            "Sort in descending order and take the cumulative sum. A token stays if those before it have less "
            "than p together.",
        ),
        Hint(
            "putting back",
            "`probabilities.sort(descending=True)` also returns where each came from. Write the kept ones back "
            "there, then divide by their sum.",
        ),
    ),
    drive=_whichever_equal_ones,
    returns=FLOATS,
    draw=_distributions,
    axes=("token",),
    mistakes=(
        Mistake(
            "all equal ones",
            _all_equal_ones,
            "Of tokens that are equally probable all are kept: the smallest set has only as many of them as it needs, "
            "whichever these are.",
        ),
        Mistake(
            "crossing token dropped",
            _crossing_dropped,
            "The token that crosses p is missing: the set must reach p, and never be empty.",
        ),
        Mistake(
            "one too many",
            _one_too_many,
            "A token is kept although those before it have p already: they must have less than p for it to stay.",
        ),
        Mistake(
            "the least probable kept",
            _least_probable,
            "You begin with the least probable token: sort with descending=True.",
        ),
        Mistake("not rescaled", _not_rescaled, "What is kept does not sum to 1: divide by its sum."),
        Mistake(
            "softmax of probabilities",
            _softmax_again,
            "A softmax of probabilities flattens them: divide by their sum instead.",
        ),
        Mistake(
            "left in sorted order",
            _not_put_back,
            "The values are in sorted order: put each back at its token's place.",
        ),
        Mistake(
            "threshold on each token",
            _each_above_p,
            "Each token was compared with a threshold by itself: what counts is the sum with all more probable ones.",
        ),
    ),
)
