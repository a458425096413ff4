"""What the exercises of this lesson draw: models, a layer to steer, and vectors of a fitting length."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.drawing import tiny_pair
from course_utils.exercises.protocol import Model
from course_utils.model.anatomy import anatomy


def tiny_and_real(rng: random.Random) -> list[Model]:
    """A tiny Llama and a tiny GPT-2 with fresh seeds, and the model that the lesson runs on."""
    return [*tiny_pair(rng), Model()]


def layer_to_steer(rng: random.Random, model: Model) -> int:
    """Any layer but the last, and of the lesson's model none of the first and last few.

    After the last layer positions no longer meet: a vector added at the last one could not be told from one added at
    every one.
    """
    n_layers = 3 if model.name else anatomy(model.load()).n_layers
    return rng.randrange(n_layers // 7, 2 * n_layers // 3)


def random_vectors(rng: random.Random, model: Model, *shape: int) -> torch.Tensor:
    """Random vectors (*shape, width) about as long as the model's residuals, so that what was done with them shows."""
    width, size = (64, 3.0) if model.name else (anatomy(model.load()).width, 4.0)
    return torch.randn(*shape, width, generator=torch_source(rng)) * size


def torch_source(rng: random.Random) -> torch.Generator:
    """A source of random tensors that follows from a source of random numbers."""
    return torch.Generator().manual_seed(rng.randrange(2**31))
