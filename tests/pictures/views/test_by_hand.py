"""The view of one token through one layer: shapes, norms and numbers are the tensors'."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course_utils.pictures.views import Step, by_hand
from course_utils.pictures.views.by_hand import _short
from tests.pictures.views.examples import by_hand as example
from tests.pictures.views.examples import draw


def test_data_are_the_tensors() -> None:
    first, second, third = example().data["steps"]
    assert (first["shape"], second["shape"], third["shape"]) == ([16], [4, 8], [])
    assert second["norm"] == pytest.approx(float((30 * draw(4, 8, seed=1)).norm()), rel=5e-3)
    assert first["numbers"] == pytest.approx(draw(16)[:12].tolist(), rel=6e-3, abs=6e-4)
    assert (first["least"], first["greatest"]) == pytest.approx(
        (float(draw(16).min()), float(draw(16).max())), rel=6e-3
    )
    assert third["numbers"] == [0.123] and first["says"] == "The token's vector." and first["formula"] == "x"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, 0.0),
        (12345.6, 12300.0),
        (1.2345, 1.23),
        (-0.012345, -0.012),
        (0.00012, 0.0),
        (-0.0001, 0.0),
        (999.6, 1000.0),
    ],
)
def test_a_number_is_shown_to_three_digits(value: float, shown: float) -> None:
    assert _short(value) == shown and str(_short(value)) != "-0.0"


def test_words_and_still_say_the_norms() -> None:
    view = by_hand([Step("a", "x", torch.tensor([3.0, 4.0])), Step("b", "x", torch.ones(2, 2))], "Two steps")
    assert view.words == "Two steps, 2 steps: a 2, norm 5; b 2×2, norm 2."
    axes: Any = view.still().axes[0]
    assert [bar.get_width() for bar in axes.patches] == [5.0, 2.0]
    still: Any = example().still().axes[0]  # spaces of a name are spaces, not a token's dots
    assert "·" not in "".join(label.get_text() for label in still.get_yticklabels())


def test_what_cannot_be_shown_is_named() -> None:
    with pytest.raises(ValueError, match="There is no step to show"):
        by_hand([])
    with pytest.raises(ValueError, match="'a' holds a number that is not finite"):
        by_hand([Step("a", "x", torch.tensor([torch.nan]))])
    with pytest.raises(ValueError, match="'a' has"):
        by_hand([Step("a", "x", torch.zeros(0))])
