"""The lens view: its data, its words, its still, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from course_utils.pictures.views import LensTable, lens
from tests.pictures.views.examples import TOKENS, draw, lens_table


def test_data_are_the_table_with_each_word_once() -> None:
    table = lens_table(0)
    data = lens(TOKENS, {"logit lens": table}, 100_000).data
    (read,) = data["lenses"]
    words = [[[data["vocabulary"][id] for id in best] for best in row] for row in read["top"]]
    assert words == table.top and len(set(data["vocabulary"])) == len(data["vocabulary"]) == 7
    torch.testing.assert_close(torch.tensor(read["probability"]) / 1000, table.probability, atol=5.1e-4, rtol=0)
    ranks: Any = list(table.ranks.values())
    assert torch.equal(torch.tensor(read["ranks"]), torch.stack(ranks))
    assert data["follow"] == [" word1", " word2"] and data["size"] == 100_000


def table_of(best: list[str], ranks: list[int]) -> LensTable:
    """One position, one place."""
    shares = torch.linspace(0.1, 0.9, len(best))[:, None, None]
    return LensTable([[[word]] for word in best], shares, {" x": torch.tensor(ranks)[:, None]})


def test_words_say_from_where_the_answer_leads() -> None:
    view = lens(["a"], {"lens": table_of([" x", " y", " x", " x"], [1, 5, 1, 1])}, 10)
    assert view.words == (
        "Logit lens, 4 depths by 1 tokens, lens. After the last token the model says ·x (90 %); that leads from depth "
        "2 on. ·x is first at depth 0."
    )
    assert "leads from depth 0 on" in lens(["a"], {"lens": table_of([" x", " x"], [2, 2])}, 10).words
    assert lens(["a"], {"lens": table_of([" x"], [2])}, 10).words.endswith("·x is never first.")


def test_the_still_has_the_words_of_the_data() -> None:
    axes: Any = lens(TOKENS, {"logit lens": lens_table(0)}, 10).still().axes[0]
    assert [text.get_text() for text in axes.texts][:2] == ["·word0", "·word1"] and axes.get_ylim() == (-0.5, 5.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": {}}, "follows .*; expected"),
        ({"probability": draw(6, 6, 2)}, "The probability of 'other' has shape"),
        ({"top": lens_table(0).top[:-1]}, "tokens of another shape"),
        ({"top": [row[:-1] for row in lens_table(0).top]}, "tokens of another shape"),
        ({"top": [[best[:-1] for best in row] for row in lens_table(0).top]}, "tokens of another shape"),
        ({"ranks": dict.fromkeys(lens_table(0).ranks, draw(5, 6))}, "The ranks of ' word1' has shape"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lens(TOKENS, {"logit lens": lens_table(0), "other": dataclasses.replace(lens_table(0), **change)}, 10)


def test_nothing_to_show_is_refused() -> None:
    for tokens, lenses in (([], {"a": lens_table(0)}), (TOKENS, {})):
        with pytest.raises(ValueError, match="got nothing to show"):
            lens(tokens, lenses, 10)
