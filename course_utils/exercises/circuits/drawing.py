"""The inputs that several exercises of lesson 7 draw: models whose queries can be read, a path, a table of numbers."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.protocol import Model


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
    return (rng.randrange(2), rng.randrange(4)), (2, rng.randrange(4))


def table(rng: random.Random, *shape: int) -> torch.Tensor:
    """Random numbers, the same for the same source."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
