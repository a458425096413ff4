"""Prompts for tiny models and for the lesson's own, and tokens to ask for."""

from __future__ import annotations

import random

from course_utils.exercises.drawing import PLACES, one_token, text, tiny, tiny_pair, told
from course_utils.exercises.protocol import Case, Model

# Each of them is one token with a space before it, for the tiny models' tokenizer and for SmolLM2's.
ONE_TOKEN = [" Paris", " Rome", " Berlin", " London", " the", " a"]


def on_prompts(rng: random.Random) -> list[Case]:
    """A model and a prompt, three times."""
    return [
        *(Case(told(model), (model, text(rng, rng.randint(5, 8)))) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), f"{text(rng, 2)}. {rng.choice(PLACES)[0]} is in the city of")),
        Case("one token", (tiny(rng, "tiny-gpt2"), one_token(rng))),
    ]
