"""The inputs that several exercises of lesson 6 draw: models with their sizes, pairs of prompts, a layer and a head."""

from __future__ import annotations

import random

from course_utils.exercises.protocol import Model
from course_utils.model.anatomy import anatomy
from course_utils.patching import Pair, ioi_pairs

TINY_SIZES = 3, 4, 16


def models(rng: random.Random) -> list[tuple[str, Model]]:
    """Two tiny random models and the lesson's own, each with what a case on it is called."""
    return [
        ("a tiny Llama", Model("tiny-llama", rng.randrange(1000), begins=True)),
        ("a tiny GPT-2", Model("tiny-gpt2", rng.randrange(1000))),
        ("the lesson's model", Model()),
    ]


def sizes(model: Model) -> tuple[int, int, int]:
    """Layers, heads in each, and the width of a head."""
    if model.name is not None:
        return TINY_SIZES  # all tiny models that are drawn here have these
    parts = anatomy(model.load())
    return parts.n_layers, parts.n_heads, parts.head_width


def pair(rng: random.Random) -> Pair:
    """A clean and a corrupted prompt; in half of the draws the clean answer is the first name, else the second."""
    return ioi_pairs(2, seed=rng.randrange(10**6))[rng.randrange(2)]


def default_pair() -> Pair:
    """A clean and a corrupted prompt whose answers are those that the functions take when none are given."""
    return Pair(
        clean="When Mike and Emma went to the cafe, Emma gave a coffee to",
        corrupted="When Mike and Emma went to the cafe, Mike gave a coffee to",
        answers=(" Mike", " Emma"),
        first=True,
    )


def two_unlike(rng: random.Random, model: Model) -> tuple[int, int]:
    """A layer and a head of different numbers, each of which is the number of a layer and of a head.

    So swapping the two shows, and does not fail for want of such a head. Never the last layer: of what its heads put
    out the logits read the last position alone, so that the others would not show.
    """
    n_layers, n_heads, _ = sizes(model)
    numbers = range(min(n_layers, n_heads))
    layer = rng.choice(range(min(n_layers - 1, n_heads)))
    return layer, rng.choice([number for number in numbers if number != layer])
