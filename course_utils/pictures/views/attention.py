"""Attention: every layer's heads, small and large, and where each token looks (lesson 2)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values
from course_utils.pictures.plots import attention as plot_attention
from course_utils.pictures.views.packing import checked, packed, readable, unpacked
from course_utils.pictures.views.view import View


def attention(
    patterns: Values,
    tokens: Sequence[str],
    key_value_heads: int | None = None,
    start: tuple[int, int] = (0, 0),
) -> View:
    """A layer and a head to choose, each row of its pattern to point at; heads that share keys and values in one frame.

    Args:
        patterns: attention weights (layer, head, query, key), of a causal model: no token looks ahead.
        tokens: of the text, (position,).
        key_value_heads: how many heads have keys and values of their own; all, unless given.
        start: the layer and head that are shown first.

    Raises:
        ValueError: the shape does not fit the tokens, a weight lies outside 0 to 1 or ahead of its query, the heads do
            not divide into the groups, or there is no such layer or head to start with.
    """
    count = len(tokens)
    table = checked(patterns, "patterns", ("layer", "head", count, count))
    layers, heads = table.shape[:2]
    groups = heads if key_value_heads is None else key_value_heads
    if groups < 1 or heads % groups:
        raise ValueError(f"{heads} heads do not divide into {groups} groups that share keys and values.")
    if not (0 <= start[0] < layers and 0 <= start[1] < heads):
        raise ValueError(f"There is no head {start[0]}.{start[1]} in {layers} layers of {heads} heads to start with.")
    ahead = np.triu(np.ones((count, count), dtype=bool), 1)
    if table[:, :, ahead].max(initial=0.0) > 1e-3:
        raise ValueError("A token looks at a later one; this view shows causal attention.")
    behind = np.tril_indices(count)
    data: dict[str, Any] = {
        "title": "Attention",
        "tokens": list(tokens),
        "layers": layers,
        "heads": heads,
        "key_value_heads": groups,
        "start": list(start),
        "weights": packed(table[:, :, behind[0], behind[1]], "The attention"),
    }
    return View("attention", data, _words(data), functools.partial(_still, data))


def _pattern(data: dict[str, Any]) -> np.ndarray:
    """The pattern that is shown first, (query, key), in percent."""
    count = len(data["tokens"])
    behind = np.tril_indices(count)
    all_weights = unpacked(data["weights"]).reshape(data["layers"], data["heads"], -1)
    pattern = np.zeros((count, count))
    pattern[behind] = all_weights[tuple(data["start"])]
    return pattern


def _words(data: dict[str, Any]) -> str:
    last = _pattern(data)[-1]
    layer, head = data["start"]
    most = int(last.argmax())
    shared = data["heads"] // data["key_value_heads"]
    grouped = f", {shared} of them sharing keys and values" if shared > 1 else ""
    return (
        f"{data['title']}, {data['layers']} layers of {data['heads']} heads{grouped}, {len(data['tokens'])} tokens. "
        f"Head {layer}.{head}: the last token, {readable(data['tokens'][-1])}, looks most at "
        f"{readable(data['tokens'][most])}, position {most} ({last[most]:z.0f} %)."
    )


def _still(data: dict[str, Any]) -> Picture:
    layer, head = data["start"]
    return plot_attention(_pattern(data) / 100, data["tokens"], f"{data['title']}: head {layer}.{head}")
