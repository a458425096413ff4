"""Exercise 4.4: KL divergence from the last depth."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import kl_from_last

SURE = "depths that are sure of one token each"


def _cases(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))
    # So sure, and each depth of another token, that a small number added to each probability, or put in the place of
    # smaller ones, shows however small it is: e to the power of -60 is still no 0 in float32.
    certain = torch.stack([torch.randperm(6, generator=source)[:4] for _ in range(3)], dim=1)  # (depth, position)
    logits = torch.randn(4, 3, 6, generator=source) + 60 * torch.nn.functional.one_hot(certain, 6)
    return [
        *(
            Case(f"{depths} depths, {positions} positions and a vocabulary of {vocabulary}", (log_probs,))
            for depths, positions, vocabulary in ((3, 2, 5), (7, 4, 300), (1, 1, 4))
            for log_probs in [(2 * torch.randn(depths, positions, vocabulary, generator=source)).log_softmax(dim=-1)]
        ),
        Case(SURE, (logits.log_softmax(dim=-1),)),
    ]


# What learners do instead.


def _the_other_way(log_probs: torch.Tensor) -> torch.Tensor:
    return (log_probs.exp() * (log_probs - log_probs[-1])).sum(dim=-1)


def _in_bits(log_probs: torch.Tensor) -> torch.Tensor:
    return kl_from_last(log_probs) / math.log(2)


def _mean_over_vocabulary(log_probs: torch.Tensor) -> torch.Tensor:
    return kl_from_last(log_probs) / log_probs.shape[-1]


def _not_weighted(log_probs: torch.Tensor) -> torch.Tensor:
    return (log_probs[-1] - log_probs).sum(dim=-1)


def _negative(log_probs: torch.Tensor) -> torch.Tensor:
    return -kl_from_last(log_probs)


def _from_next_depth(log_probs: torch.Tensor) -> torch.Tensor:
    after = torch.cat([log_probs[1:], log_probs[-1:]])
    return (after.exp() * (after - log_probs)).sum(dim=-1)


def _cross_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    return -(log_probs[-1].exp() * log_probs).sum(dim=-1)


def _logarithm_of_probabilities(case: Case, expected: Any, got: Any) -> str | None:
    """Wrong only where the probabilities are so small: a number was added to them, or put in their place."""
    return (
        "Where a depth is sure, the others' probabilities are so small that a number which you add before the "
        "logarithm, or clamp them to, is larger: log_probs are logarithms already, subtract them as they are."
        if case.label == SURE
        else None
    )


EXERCISE = Exercise(
    id="4.4",
    title="KL divergence from the last depth",
    minutes=10,
    points=2,
    difficulty=2,
    reference=kl_from_last,
    shows="KL divergence looks at the whole distribution: it falls even where the top token does not move.",
    hints=(
        Hint(
            "which is p?",
            "KL(p || q) is the sum over the vocabulary of `p * (log p - log q)`. The last depth's distribution is p, "
            "the one to weigh with: `log_probs[-1]`, shape (position, vocabulary). Its probabilities are `.exp()`.",
        ),
        Hint(
            "broadcasting",
            "`log_probs[-1] - log_probs` is (depth, position, vocabulary). Weigh and sum over the last axis.",
        ),
    ),
    draw=_cases,
    axes=("depth", "position"),
    diagnose=_logarithm_of_probabilities,
    mistakes=(
        Mistake(
            "the other way round",
            _the_other_way,
            "This is KL(this depth || last), the other way round: weigh with the last depth's probabilities.",
        ),
        Mistake("bits", _in_bits, "This is in bits: nats were asked for, the natural logarithm."),
        Mistake(
            "mean over the vocabulary", _mean_over_vocabulary, "This is the mean over the vocabulary: KL is the sum."
        ),
        Mistake(
            "not weighted",
            _not_weighted,
            "The differences of the logarithms are not weighted: each counts with the last depth's probability.",
        ),
        Mistake(
            "sign",
            _negative,
            "The sign is wrong: KL is never negative, so it is log p - log q, not log q - log p.",
        ),
        Mistake(
            "from the next depth",
            _from_next_depth,
            "This compares each depth with the one after it: compare with the last, log_probs[-1].",
        ),
        Mistake(
            "cross-entropy",
            _cross_entropy,
            "This is the cross-entropy: at the last depth it is the entropy and not 0. Subtract log q from log p.",
        ),
    ),
)
