"""The token view: the tokens of every beginning of a text, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from course_utils.pictures.views import tokens
from tests.pictures.views.examples import TEXT, by_characters, by_words
from tests.pictures.views.examples import tokens as example

CUTS = [by_words(TEXT[:length]) for length in range(1, len(TEXT) + 1)]


def test_data_are_the_cuts_of_every_beginning() -> None:
    data = example().data
    for shown, cut in zip(data["tokenizers"], (by_words, by_characters), strict=True):
        for length, row in enumerate(shown["cuts"], start=1):
            found = [(shown["pieces"][place]["id"], shown["pieces"][place]["bytes"]) for place in row]
            assert found == [(id, piece.hex(" ")) for id, piece in cut(TEXT[:length])]
    assert data["tokenizers"][0]["surprisal"] == [None, *(round(place + 0.25, 1) for place in range(len(CUTS[-1]) - 1))]
    assert data["tokenizers"][1]["surprisal"] is None


def test_words_and_still_show_each_tokenizers_tokens() -> None:
    view = example()
    assert view.words.startswith(
        "Tokens of “A·café,·or·12·€?”, 16 characters. words: 9 tokens, A | ·café, | ·or | ·12 |"
    )
    assert "characters: 16 tokens, A | · | c |" in view.words and "| …." in view.words
    first: Any = view.still().axes[0]
    assert [text.get_text() for text in first.texts][:3] == ["A", "·café,", "·or"] and len(first.texts) == 9


def test_a_part_of_a_character_is_shown_as_its_byte() -> None:
    assert "<e2> | <82> | <ac>" in example().words


def test_what_does_not_fit_is_named() -> None:
    refused: list[tuple[tuple[Any, ...], str]] = [
        (("", {"a": []}), "got nothing to show"),
        ((TEXT, {}), "got nothing to show"),
        ((TEXT, {"a": CUTS[:-1]}), "'a' has 15 cuts; expected 16"),
        ((TEXT, {"a": [*CUTS[:-1], CUTS[-2]]}), "The tokens of 'a' do not join to 'A café, or 12 €"),
        ((TEXT, {"a": CUTS}, {"a": [1.0] * 9}), r"The surprisal of 'a' has shape \(9,\); expected \(8\)"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            tokens(*arguments)
