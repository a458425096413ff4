"""Fresh inputs for exercises: texts and tiny models drawn from a random source."""

from __future__ import annotations

import random

from course_utils.exercises import messages
from course_utils.exercises.messages import say
from course_utils.exercises.protocol import Model

# fmt: off
WORDS = [
    "the", "a", "one", "old", "new", "small", "long", "red", "green", "river", "house", "city", "road", "book", "story",
    "teacher", "doctor", "child", "winter", "summer", "music", "water", "light", "letter", "garden", "train", "window",
    "friend", "morning", "night", "bread", "coffee", "stone", "tree", "bird", "table", "door", "and", "but", "then",
    "because", "with", "under", "over", "near", "after", "before",
]
# fmt: on

# fmt: off
ONE_TOKEN = [
    "house", "water", "coffee", "train", "book", "school", "garden", "music", "story", "night", "table", "city",
    "bread", "river", "fire", "doctor",
]
"""Each of them, with a space before it, is one token, for the tiny models' tokenizer and for SmolLM2's."""
# fmt: on

SEVERAL_TOKENS = ("Strawberries", "Zoologically", "Quizzical", "Hyperbolic")
"""Each of them is several tokens for these tokenizers, also in small letters and behind a space."""

PLACES = (
    ("The Eiffel Tower", "Paris"),
    ("The Colosseum", "Rome"),
    ("The Brandenburg Gate", "Berlin"),
    ("Big Ben", "London"),
    ("The Kremlin", "Moscow"),
    ("The Statue of Liberty", "New York"),
)


def text(rng: random.Random, n_words: int = 6) -> str:
    """That many random English words, with a capital letter in front."""
    return " ".join(rng.choices(WORDS, k=n_words)).capitalize()


def one_token(rng: random.Random) -> str:
    """A random text of a single token, with the space that belongs to it."""
    return f" {rng.choice(ONE_TOKEN)}"


def tiny_pair(rng: random.Random, *families: str) -> list[Model]:
    """Tiny random models of these families, each with a fresh seed; a Llama and a GPT-2 unless others are named.

    The Llama's tokenizer puts a token in front of each text, so that one half of each pair has it.
    """
    return [tiny(rng, family) for family in families or ("tiny-llama", "tiny-gpt2")]


def tiny(rng: random.Random, family: str) -> Model:
    """A tiny random model of this family with a fresh seed; see :func:`tiny_pair`."""
    return Model(family, rng.randrange(1, 100_000), begins=family == "tiny-llama")


def told(model: Model) -> str:
    """What a case on this model is called: "a tiny Llama", "the lesson's model"."""
    if model.name is None:
        return messages.THE_LESSONS_MODEL
    return say(messages.A_TINY_MODEL, family=model.name.removeprefix("tiny-"))
