"""The attention view: its data, its words, its still, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course_utils.pictures.views import attention
from course_utils.pictures.views.packing import unpacked
from tests.pictures.views.examples import TOKENS, causal_patterns

PATTERNS = causal_patterns(3, 4, len(TOKENS))


def test_data_are_the_lower_triangles_in_percent() -> None:
    data = attention(PATTERNS, TOKENS, 2).data
    rows = torch.from_numpy(unpacked(data["weights"]).copy()).reshape(3, 4, -1)
    query, key = torch.tril_indices(len(TOKENS), len(TOKENS))
    torch.testing.assert_close(rows / 100, PATTERNS[:, :, query, key], atol=5.1e-3, rtol=0)
    assert (data["layers"], data["heads"], data["key_value_heads"]) == (3, 4, 2)


def test_words_and_still_show_the_chosen_head() -> None:
    view = attention(PATTERNS, TOKENS, 2, start=(1, 2))
    row = PATTERNS[1, 2, -1]
    most = int(row.argmax())
    shown = TOKENS[most].replace(" ", "·").replace("\n", "↵")
    assert view.words == (
        "Attention, 3 layers of 4 heads, 2 of them sharing keys and values, 6 tokens. Head 1.2: the last token, ·a$b, "
        f"looks most at {shown}, position {most} ({100 * float(row[most]):.0f} %)."
    )
    axes: Any = view.still().axes[0]
    drawn = torch.tensor(axes.images[0].get_array().tolist())
    torch.testing.assert_close(drawn, PATTERNS[1, 2], atol=5.1e-3, rtol=0)
    assert "sharing" not in attention(PATTERNS, TOKENS).words


def test_what_does_not_fit_is_named() -> None:
    refused: list[tuple[tuple[Any, ...], str]] = [
        ((PATTERNS, TOKENS[1:]), r"patterns has shape .*; expected \(layer, head, 5, 5\)"),
        ((PATTERNS, TOKENS, 3), "4 heads do not divide into 3 groups"),
        ((PATTERNS, TOKENS, 0), "4 heads do not divide into 0 groups"),
        ((PATTERNS, TOKENS, 2, (3, 0)), "no head 3.0 in 3 layers of 4 heads"),
        ((PATTERNS, TOKENS, 2, (0, -1)), "no head 0.-1"),
        ((2 * PATTERNS, TOKENS), "The attention runs from .* to 2; a weight lies between 0 and 1"),
        ((PATTERNS.mT, TOKENS), "looks at a later one"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            attention(*arguments)


def test_a_text_too_long_for_a_view_is_refused() -> None:
    with pytest.raises(ValueError, match=r"This attention view would have .* bytes of data"):
        attention(causal_patterns(30, 9, 50), ["a"] * 50)
