"""The steering view: its data, its words, its still, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course_utils.pictures.views import steering
from tests.pictures.views.examples import BAND, LAYERS, ODDS, STRENGTHS
from tests.pictures.views.examples import steering as example

TEXTS = [["x"] * 5] * 3


def test_data_are_the_measures_and_their_bands() -> None:
    data = example().data
    odds, damage = data["measures"]
    torch.testing.assert_close(torch.tensor(odds["values"]), ODDS, atol=5.1e-3, rtol=0)
    torch.testing.assert_close(torch.tensor(odds["null"]), BAND, atol=5.1e-3, rtol=0)
    assert damage["null"] is None and data["texts"][1][3] == " text at layer 5, +0.5"


def test_words_and_still_are_of_the_layer_at_which_the_measure_is_greatest() -> None:
    table = torch.zeros(3, 5)
    table[1] = torch.tensor([-2.0, 0.0, 1.0, 4.0, 3.0])
    band = torch.stack([torch.full((3, 5), -0.5), torch.full((3, 5), 0.75)])
    view = steering(LAYERS, STRENGTHS, TEXTS, {"odds": table}, {"odds": band})
    assert view.words == (
        "Steering, 3 layers and strengths from -1 to 1. odds is greatest at layer 5, strength 0.5: 4.0; at that layer "
        "it runs from -2.0 to 3.0. Directions that mean nothing give -0.5 to 0.8 there."
    )
    axes: Any = view.still().axes[0]
    assert axes.lines[0].get_ydata().tolist() == table[1].tolist() and len(axes.collections) == 1
    assert "mean nothing" not in steering(LAYERS, STRENGTHS, TEXTS, {"odds": table}).words


def test_what_does_not_fit_is_named() -> None:
    measures = {"odds": ODDS}
    refused: list[tuple[tuple[Any, ...], str]] = [
        (([], STRENGTHS, [], measures), "got nothing to show"),
        ((LAYERS, [], [[]] * 3, measures), "got nothing to show"),
        ((LAYERS, STRENGTHS, TEXTS, {}), "got nothing to show"),
        ((LAYERS, STRENGTHS[::-1], TEXTS, measures), "do not rise"),
        ((LAYERS, [0.0] * 5, TEXTS, measures), "do not rise"),
        ((LAYERS, STRENGTHS, TEXTS[:2], measures), "one text for each of 3 layers and 5 strengths"),
        ((LAYERS, STRENGTHS, TEXTS, {"odds": ODDS[:2]}), r"odds has shape \(2, 5\); expected \(3, 5\)"),
        ((LAYERS, STRENGTHS, TEXTS, measures, {"other": BAND}), r"a null for \['other'\], but no such measure"),
        ((LAYERS, STRENGTHS, TEXTS, measures, {"odds": BAND[:1]}), "The null of 'odds' has shape"),
        ((LAYERS, STRENGTHS, TEXTS, measures, {"odds": BAND.flip(0)}), "lower edge above its upper"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            steering(*arguments)
