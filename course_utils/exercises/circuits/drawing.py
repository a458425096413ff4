"""The inputs that several exercises of lesson 7 draw: models whose queries can be read, a path, a table of numbers."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.protocol import Model

UNLIKE = (
    Model("tiny-llama", 1),
    "Tom gave Anna the ring and James gave Sarah the key",
    "Paul took Lucy a book but David took Alice no drink",
)
"""A model, a clean and a corrupted prompt that differ in nearly every word: what a head sends is so long then that the
norm before its reader differs from the corrupted run's, which shows if someone takes it for the same.
"""


def models(rng: random.Random) -> list[tuple[str, Model]]:
    """Two tiny random models and the lesson's own, each with what a case on it is called."""
    return [
        ("a tiny Llama", Model("tiny-llama", rng.randrange(1000))),
        ("a tiny Qwen 2", Model("tiny-qwen2", rng.randrange(1000))),
        ("the lesson's model", Model()),
    ]


def path(rng: random.Random, model: Model) -> tuple[tuple[int, int], tuple[int, int]]:
    """A sender and a receiver, each (layer, head). On the lesson's model two that have something to say to each other:
    of heads that do not, any wrong answer would be right.
    """
    if model.name is None:
        return rng.choice([(19, 2), (20, 0)]), (23, rng.choice([0, 1, 2, 7]))
    # In a Llama never the first of the two heads that share keys and values: taken for it, another would not show.
    heads = [1, 3] if model.name == "tiny-llama" else range(4)
    return (rng.randrange(2), rng.choice(heads)), (2, rng.choice(heads))


def table(rng: random.Random, *shape: int) -> torch.Tensor:
    """Random numbers, the same for the same source."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
