"""The patching map: what it takes, what it refuses, and what its words and its still say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from course_utils.pictures.views import PatchedPair, patching_map
from course_utils.pictures.views.packing import unpacked
from tests.pictures.views.examples import TOKENS, draw, pair


def test_data_are_the_tensors_rounded() -> None:
    one = pair()
    data = patching_map([one], copy=draw(5, 4)).data
    first = data["pairs"][0]
    for shown, (name, values) in zip(first["maps"], one.maps.items(), strict=True):
        assert shown["name"] == name
        torch.testing.assert_close(torch.tensor(shown["values"]), values, atol=5.1e-4, rtol=0)
    for shown in first["prompts"]:
        weights: Any = one.attention[shown["name"]]
        percent = torch.from_numpy(unpacked(shown["attention"]).copy()).reshape(weights.shape)
        torch.testing.assert_close(percent / 100, weights, atol=5.1e-3, rtol=0)
    torch.testing.assert_close(torch.tensor(first["by_position"]), one.by_position, atol=5.1e-2, rtol=0)
    torch.testing.assert_close(torch.tensor(data["copy"]), draw(5, 4), atol=5.1e-2, rtol=0)
    assert (first["gap"], first["label"]) == (11.43, "first pair")


def test_words_and_still_name_the_strongest() -> None:
    table = torch.zeros(3, 2)
    table[2, 1], table[0, 0], table[1, 0] = -4.0, 3.0, 0.05
    view = patching_map([PatchedPair("a pair", 5.0, {"patched alone": table})], unit="nats")
    assert view.words == (
        "Patching map, 3 layers by 2 heads, patched alone, nats. Strongest: 2.1 -4.0, 0.0 +3.0, 1.0 +0.1, 0.1 +0.0, "
        "1.1 +0.0. 4 heads move less than 0.1."
    )
    axes: Any = view.still().axes[0]
    assert [text.get_text() for text in axes.texts] == ["2.1", "0.0", "1.0", "0.1", "1.1"]
    assert axes.images[0].get_array().tolist() == [[3.0, 0.0], [pytest.approx(0.05), 0.0], [0.0, -4.0]]
    assert axes.get_ylim() == (-0.5, 2.5)  # layers go up
    assert {tick % 1 for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_ticklocs()} == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": {"patched alone": draw(5, 4)}}, "has the maps .* expected .*'direct'"),
        ({"maps": dict.fromkeys(pair().maps, draw(4, 4))}, r"has shape \(4, 4\); expected \(5, 4\)"),
        ({"attention": {"clean": draw(5, 4, 6)}}, "each prompt needs the attention on it"),
        ({"prompts": {"clean": TOKENS, "corrupted": TOKENS[1:]}}, r"'corrupted' has shape .* expected \(5, 4, 5\)"),
        ({"attention": dict.fromkeys(("clean", "corrupted"), draw(5, 4, 6))}, "'clean' runs from .* between 0 and 1"),
        ({"by_position": draw(5, 4, 7)}, r"by_position has shape \(5, 4, 7\); expected \(5, 4, 6\)"),
        ({"prompts": {}, "attention": {}}, "has effects by position but no prompt"),
        ({"gap": float("nan")}, "gap holds a number that is not finite"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patching_map([pair(), dataclasses.replace(pair(), **change)])


def test_nothing_to_show_and_a_copy_score_of_another_shape_are_refused() -> None:
    for empty in ([], [PatchedPair("none", 1.0, {})]):
        with pytest.raises(ValueError, match="got nothing to show"):
            patching_map(empty)
    with pytest.raises(ValueError, match=r"copy has shape \(4, 4\)"):
        patching_map([pair()], copy=draw(4, 4))
