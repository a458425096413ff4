"""The models and texts that the exercises of lesson 2 draw."""

from __future__ import annotations

import random

from course_utils.exercises.drawing import text, tiny_pair, told
from course_utils.exercises.protocol import Case, Model


def models(rng: random.Random, *families: str) -> list[Model]:
    """Two tiny models (of these families, if any are named) and the lesson's own."""
    return [*tiny_pair(rng, *families), Model()]


def texts(rng: random.Random, *families: str) -> list[Case]:
    """A text of seven words for each of these models."""
    return [Case(told(model), (model, text(rng, 7))) for model in models(rng, *families)]
