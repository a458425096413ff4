"""Exercise 3.2: a causal mask for a chunk."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import causal_mask


def _cases(rng: random.Random) -> list[Case]:
    return [
        Case("a prompt and an empty cache", (rng.randint(3, 6),)),
        Case("several new tokens after held ones", (rng.randint(3, 5), rng.randint(2, 7))),
        Case("one new token after held ones", (1, rng.randint(3, 9))),
        Case("one token and an empty cache", (1, 0)),
        Case("no new token", (0, rng.randint(1, 5)), raises=True),
        Case("less than no new token", (-rng.randint(1, 3), rng.randint(4, 7)), raises=True),
        Case("one held token less than none", (rng.randint(1, 5), -1), raises=True),
        Case("both below none", (-rng.randint(1, 2), -rng.randint(2, 4)), raises=True),
        Case("a negative number of held ones", (rng.randint(4, 6), -rng.randint(2, 3)), raises=True),
    ]


# What learners do instead.


def _from_start(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril()


def _without_itself(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril(n_held - 1)


def _one_too_many(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril(n_held + 1)


def _inverted(n_new: int, n_held: int = 0) -> torch.Tensor:
    return ~causal_mask(n_new, n_held)


def _held_hidden(n_new: int, n_held: int = 0) -> torch.Tensor:
    mask = causal_mask(n_new, n_held)
    mask[:, :n_held] = False
    return mask


EXERCISE = Exercise(
    id="3.2",
    title="A causal mask for a chunk",
    minutes=5,
    points=2,
    difficulty=1,
    reference=causal_mask,
    draw=_cases,
    axes=("new token", "key"),
    shows="The mask is aligned to the end: the last new token sees everything, whatever is held before it.",
    hints=(
        Hint("positions", "With `n_held` tokens before it, new token i stands at position `n_held + i` of the text."),
        Hint(
            "two ways",
            "New token i may look at a key at position j if `j <= n_held + i`: `torch.ones(...).tril(diagonal=...)`, "
            "or compare two `torch.arange`.",
        ),
    ),
    mistakes=(
        Mistake(
            "aligned to the start",
            _from_start,
            "The triangle starts at the first key, as if nothing were held. New token 0 is not position 0: "
            "move the diagonal by n_held.",
        ),
        Mistake(
            "a token cannot see itself",
            _without_itself,
            "A token may look at itself: j <= i, not j < i.",
        ),
        Mistake(
            "sees one token ahead",
            _one_too_many,
            "Each token sees the one after it: the diagonal is one too far to the right.",
        ),
        Mistake(
            "inverted",
            _inverted,
            "True and False are swapped: True means that the token may look.",
        ),
        Mistake(
            "held tokens hidden",
            _held_hidden,
            "The held keys are hidden; they are the past, which every new token may see.",
        ),
    ),
)
