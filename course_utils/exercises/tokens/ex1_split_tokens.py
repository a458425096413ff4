"""Exercise 1.1: take a text apart."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from course_utils import tokens
from course_utils.exercises.drawing import text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model


def _texts_to_split(rng: random.Random) -> list[Case]:
    cases = []
    plain = [replace(model, begins=False) for model in tiny_pair(rng)]  # the tokens, joined, are to be the text
    for model in [*plain, Model()]:
        # A number and a letter beyond ASCII, since it is there that tokens are not what one would think.
        words, number, accented = text(rng, 3), rng.randint(100, 9999), rng.choice(("naïve", "café", "Zoë"))
        cases.append(Case(told(model), (model, f"{words} in {number}, {accented}!")))
    return [*cases, Case("a text with spaces around it", (plain[0], f"  {text(rng, 2)} "))]


# What learners do instead.


def _raw_vocabulary(model: Any, text: str) -> list[tuple[int, str]]:
    ids = model.tokenizer(text)["input_ids"]
    return list(zip(ids, model.tokenizer.convert_ids_to_tokens(ids), strict=True))


def _stripped(model: Any, text: str) -> list[tuple[int, str]]:
    return [(token_id, token.strip()) for token_id, token in tokens.split_tokens(model, text)]


def _swapped(model: Any, text: str) -> list[tuple[str, int]]:
    return [(token, token_id) for token_id, token in tokens.split_tokens(model, text)]


def _numbered(model: Any, text: str) -> list[tuple[int, str]]:
    return list(enumerate(token for _, token in tokens.split_tokens(model, text)))


EXERCISE = Exercise(
    id="1.1",
    title="Take a text apart",
    minutes=5,
    points=1,
    difficulty=1,
    reference=tokens.split_tokens,
    shows="A model never sees letters: it sees these numbers.",
    hints=(
        Hint("from text to ids", 'Calling `model.tokenizer(text)` gives a dictionary; the ids are its `"input_ids"`.'),
        Hint("from an id to text", "`model.tokenizer.decode([i])` gives the text of one token, spaces included."),
    ),
    draw=_texts_to_split,
    axes=("token", "part"),
    mistakes=(
        Mistake(
            "raw vocabulary entry",
            _raw_vocabulary,
            "These are the entries of the vocabulary file, where Ġ stands for a space and bytes have stand-in "
            "letters: decode each id instead.",
        ),
        Mistake("space stripped", _stripped, "The space in front belongs to the token: do not strip it."),
        Mistake(
            "place for id",
            _numbered,
            "The first of each pair is the token's place in the text here: its id was asked for, its number in the "
            "vocabulary.",
        ),
        Mistake("pair swapped", _swapped, "The id comes first in each pair, then the text."),
    ),
)
