"""Exercise 2.9: induction heads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.drawing import tiny, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import models
from course_utils.residual import attention_patterns, induction_scores

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _on_sequences(rng: random.Random) -> list[Case]:
    # Ids that every model of the course has; different ones, so that each token stood at one place before.
    cases = [Case(told(model), (model, rng.sample(range(300, 1000), rng.randrange(8, 13)))) for model in models(rng)]
    model, ids = tiny(rng, "tiny-gpt2"), rng.sample(range(300, 1000), 3)
    return [
        *cases,
        Case("a half of two ids", (model, ids[:2])),
        Case("a half of one id", (model, ids[:1]), raises=True),
        Case("an empty half", (model, []), raises=True),
        Case("an id that is not in the vocabulary", (model, [*ids, 10**6]), raises=True),
    ]


# What learners do instead.


def _stripe(model: TransformersModel, half: Sequence[int], back: int, first: int) -> torch.Tensor:
    patterns = attention_patterns(model, [*half, *half])
    queries = torch.arange(first, 2 * len(half))
    return patterns[:, :, queries, queries - back].mean(dim=-1)


def _same_token(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half), len(half))


def _token_before(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half) + 1, len(half) + 1)


def _whole_diagonal(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half) - 1, len(half) - 1)


def _over_the_whole_sequence(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return induction_scores(model, half) / 2


def _not_repeated(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    patterns = attention_patterns(model, half)
    return patterns[:, :, -1, 0]


EXERCISE = Exercise(
    id="2.9",
    title="Induction heads",
    minutes=20,
    points=4,
    difficulty=3,
    reference=induction_scores,
    shows="On a sequence without meaning, these heads find where the token stood before and look at what came next.",
    hints=(
        Hint(
            "where to look",
            "Run `[*half, *half]` through `attention_patterns`. The second half starts at position n.",
        ),
        Hint("query and key", "The token at q stood at q - n. The one after it stood at q - n + 1: that is the key."),
        Hint("nearly there", "`queries = torch.arange(n, 2 * n)`, `keys = queries - n + 1`, then as in 2.7."),
    ),
    draw=_on_sequences,
    axes=("layer", "head"),
    mistakes=(
        Mistake(
            "the same token",
            _same_token,
            "This is the weight on the token itself where it stood before, q - n. An induction head looks at the one "
            "after it.",
        ),
        Mistake(
            "the token before",
            _token_before,
            "You look at the token before the earlier place; the one after it is at q - n + 1.",
        ),
        Mistake(
            "one query too many",
            _whole_diagonal,
            "Your diagonal starts in the first half, at query n - 1, which repeats nothing yet. Start at query n.",
        ),
        Mistake(
            "first half in the mean",
            _over_the_whole_sequence,
            "Your scores are half as large: you divide by 2n, but only the n positions of the second half can look "
            "back.",
        ),
        Mistake(
            "not repeated",
            _not_repeated,
            "It looks as if the model read the sequence once: run [*half, *half], 2n tokens.",
        ),
    ),
)
