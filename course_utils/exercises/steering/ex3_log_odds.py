"""Exercise 5.3: how much more probable one list of tokens is than another."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from course_utils import steering
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import torch_source


def _logits_with_lists(rng: random.Random) -> list[Case]:
    """Four ids against three, so that a mean is not a multiple of the sum."""
    source = torch_source(rng)

    def case(label: str, *shape: int) -> Case:
        ids = rng.sample(range(shape[-1]), 7)
        return Case(label, (torch.randn(*shape, generator=source) * 3, ids[:4], ids[4:]))

    # Of logits in the hundreds no probability is left that a float32 can hold.
    large, low = (torch.randn(12, generator=source) * 5 + shift for shift in (300, -300))
    sure = torch.randn(12, generator=source)
    sure[11] += 60  # what is left for the others is no 0 in float32, and less than any number one might add to it
    return [
        case("one row of 30 logits", 30),
        case("5 rows of 200 logits", 5, 200),
        case("logits of three axes", 2, 3, 40),
        Case("one id on each side", (torch.randn(9, generator=source) * 3, [rng.randrange(4)], [rng.randrange(4, 9)])),
        Case("large logits", (large, [0, 1], [2, 3, 4])),
        Case("logits far below zero", (low, [0, 1], [2, 3, 4])),
        Case("tokens that are all but impossible", (sure, [0, 1], [2, 3, 4])),
    ]


def _odds_swapped(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return -steering.log_odds(logits, positive, negative)


def _mean_logits(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return logits[..., list(positive)].mean(dim=-1) - logits[..., list(negative)].mean(dim=-1)


def _mean_probability(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.softmax(dim=-1)
    return (p[..., list(positive)].mean(dim=-1) / p[..., list(negative)].mean(dim=-1)).log()


def _no_logarithm(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return steering.log_odds(logits, positive, negative).exp()


def _probability_difference(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.softmax(dim=-1)
    return p[..., list(positive)].sum(dim=-1) - p[..., list(negative)].sum(dim=-1)


def _product(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.log_softmax(dim=-1)
    return p[..., list(positive)].sum(dim=-1) - p[..., list(negative)].sum(dim=-1)


def _number_added(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.softmax(dim=-1)
    return ((p[..., list(positive)].sum(dim=-1) + 1e-9) / (p[..., list(negative)].sum(dim=-1) + 1e-9)).log()


EXERCISE = Exercise(
    id="5.3",
    title="A measure in place of taste",
    minutes=10,
    points=2,
    difficulty=2,
    reference=steering.log_odds,
    shows="One number says how far the model leans, and 0 is even.",
    hints=(
        Hint(
            "what to add",
            "The probability of any of several tokens is the sum of theirs. Then a quotient, then its logarithm.",
        ),
        Hint(
            "without a softmax",
            "The softmax divides all by one number, which cancels. `logits[..., ids].logsumexp(dim=-1)` is the "
            "logarithm of a sum of exponentials: one minus the other.",
        ),
    ),
    draw=_logits_with_lists,
    axes=("row",),
    mistakes=(
        Mistake(
            "a number added",
            _number_added,
            "Both lists are so improbable here that a number which you add to the probabilities, or clamp them to, is "
            "larger: logsumexp of the logits needs none.",
        ),
        Mistake("sides swapped", _odds_swapped, "The sign is reversed: positive is above the line."),
        Mistake(
            "mean of logits",
            _mean_logits,
            "This is a difference of mean logits, in which a word that is all but impossible counts as much as a "
            "likely one: add probabilities instead.",
        ),
        Mistake(
            "mean probability",
            _mean_probability,
            "This is the mean probability of a list's words: the probability that any of them comes is their sum.",
        ),
        Mistake(
            "product for sum",
            _product,
            "A sum of log-probabilities is the logarithm of their product. That any of several words comes has the sum "
            "of their probabilities: add first, then take the logarithm.",
        ),
        Mistake("no logarithm", _no_logarithm, "These are the odds: their natural logarithm was asked for."),
        Mistake(
            "difference of probabilities",
            _probability_difference,
            "This is a difference of probabilities, near 0 whenever both are small: take the logarithm of their "
            "quotient.",
        ),
    ),
)
