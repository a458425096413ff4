"""The token view in a browser: every beginning of the text, by two tokenizers, with ids, bytes and surprisal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.pictures.views.examples import TEXT, by_characters, by_words, tokens

Open = Callable[..., Any]


def shown(page: Any, tokenizer: str) -> Any:
    return page.get_by_role("list", name=f"tokens of {tokenizer}").locator("button")


def test_every_beginning_is_cut_as_the_data_say(open_view: Open) -> None:
    page = open_view(tokens().payload)
    page.get_by_label("Typed").focus()
    for length in range(len(TEXT), 0, -1):
        assert page.locator("blockquote").inner_text().rstrip() == TEXT[:length].rstrip()
        for name, cut in (("words", by_words), ("characters", by_characters)):
            labels = shown(page, name).evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
            assert [label.rsplit("id ", 1)[1] for label in labels] == [str(id) for id, _ in cut(TEXT[:length])]
            now, before = cut(TEXT[:length]), cut(TEXT[: length - 1])
            stayed = next(
                (i for i, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), len(before)
            )
            said = f", the last character replaced {len(before) - stayed or 'none'}" if length > 1 else ""
            tokens_said = f"{len(now)} token{'s' * (len(now) != 1)}"
            assert page.get_by_text(re.compile(f"^{name}: ")).inner_text() == f"{name}: {tokens_said}{said}"
        page.keyboard.press("ArrowLeft")


def test_the_card_says_id_bytes_and_surprisal(open_view: Open) -> None:
    page = open_view(tokens().payload)
    for place, (id, piece) in enumerate(by_words(TEXT)):
        shown(page, "words").nth(place).hover()
        said = page.locator(".cv-card td").all_inner_texts()
        assert said[:3] == ["words", f"{id:,}", piece.hex(" ")]
        assert said[3:] == ([f"{round(place - 1 + 0.25, 1):z.1f} bits"] if place else [])
    shown(page, "characters").nth(3).hover()
    assert page.locator(".cv-card td").all_inner_texts() == ["characters", str(ord("a")), "61"]


def test_tokens_are_walked_with_the_arrow_keys(open_view: Open) -> None:
    page = open_view(tokens().payload)
    first = shown(page, "words").first
    first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".cv-card .cv-name").inner_text() == "Token 1: “·café,”"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert page.locator(".cv-card .cv-name").inner_text().startswith(f"Token {len(by_words(TEXT)) - 1}: ")
    page.keyboard.press("Home")
    assert page.locator(".cv-card .cv-name").inner_text() == "Token 0: “A”"


def test_what_the_last_character_cut_anew_is_marked(open_view: Open) -> None:
    page = open_view(tokens().payload)
    assert page.locator(".cv-new").count() == 0  # the whole text: nothing is being typed
    page.get_by_label("Typed").fill("5")  # "A café": the é has joined " caf"
    assert page.locator(".cv-new").all_inner_texts() == ["·café", "é"]
