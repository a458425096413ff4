"""Exercise 2.7: heads that look one token back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.drawing import ONE_TOKEN, SEVERAL_TOKENS, tiny
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import texts
from course_utils.model.prompts import token_ids
from course_utils.residual import attention_patterns, previous_token_scores

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _texts(rng: random.Random) -> list[Case]:
    model = tiny(rng, "tiny-gpt2")
    word = rng.choice(ONE_TOKEN)
    return [
        *texts(rng),
        Case("a prompt of two tokens", (model, f"The {word}")),
        Case("a prompt of one word and several tokens", (model, rng.choice(SEVERAL_TOKENS))),
        Case("a prompt of one token", (model, f" {word}"), raises=True),
    ]


# What learners do instead.


def _scores(model: TransformersModel, prompt: str, offset: int, start: int) -> torch.Tensor:
    patterns = attention_patterns(model, token_ids(model, prompt))
    queries = torch.arange(start, patterns.shape[-1])
    return patterns[:, :, queries, queries - offset].mean(dim=-1)


def _next_token(model: TransformersModel, prompt: str) -> torch.Tensor:
    return torch.zeros_like(previous_token_scores(model, prompt))


def _own_token(model: TransformersModel, prompt: str) -> torch.Tensor:
    return _scores(model, prompt, 0, 0)


def _over_all_positions(model: TransformersModel, prompt: str) -> torch.Tensor:
    n = len(token_ids(model, prompt))
    return previous_token_scores(model, prompt) * (n - 1) / n


def _summed(model: TransformersModel, prompt: str) -> torch.Tensor:
    return previous_token_scores(model, prompt) * (len(token_ids(model, prompt)) - 1)


def _last_only(model: TransformersModel, prompt: str) -> torch.Tensor:
    return attention_patterns(model, token_ids(model, prompt))[:, :, -1, -2]


EXERCISE = Exercise(
    id="2.7",
    title="Heads that look one token back",
    minutes=15,
    points=3,
    difficulty=2,
    reference=previous_token_scores,
    shows="A head's score is a mean along a diagonal of its pattern: a few heads are specialists.",
    hints=(
        Hint(
            "where to look",
            "`attention_patterns` gives (layer, head, query, key): the weight from position q to the one before "
            "it stands at `[q, q - 1]`.",
        ),
        Hint(
            "a diagonal",
            "Two index tensors pick a diagonal: `queries = torch.arange(1, n)`, then `patterns[:, :, queries, "
            "queries - 1]`.",
        ),
        Hint("nearly there", "The mean over the last axis is the score, (layer, head)."),
    ),
    draw=_texts,
    axes=("layer", "head"),
    mistakes=(
        Mistake(
            "query and key swapped",
            _next_token,
            "All your scores are 0: you read the weight on the next token, which the mask hides. Query comes first, "
            "key second.",
        ),
        Mistake("own token", _own_token, "This is each token's weight on itself: the key is one before the query."),
        Mistake(
            "divided by all positions",
            _over_all_positions,
            "Your mean is over all positions, but position 0 has no token before it (key -1 would be Python's last "
            "position): start at query 1.",
        ),
        Mistake("sum for mean", _summed, "This is the sum over the positions: take the mean, so that 1 is the most."),
        Mistake(
            "last position only",
            _last_only,
            "This is the weight from the last position alone: take the mean over all that have a token before them.",
        ),
    ),
)
