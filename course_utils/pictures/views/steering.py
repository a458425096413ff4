"""Steering: layer and strength as sliders, over texts and measures computed beforehand (lesson 5)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values, lines
from course_utils.pictures.views.packing import checked, rounded
from course_utils.pictures.views.view import View


def steering(
    layers: Sequence[int],
    strengths: Sequence[float],
    texts: Sequence[Sequence[str]],
    measures: Mapping[str, Values],
    null: Mapping[str, Values] | None = None,
    prompt: str = "",
) -> View:
    """What a direction does, at each layer and strength: the text that is written, and measures of it with their nulls.

    Args:
        layers, strengths: what the sliders choose from; strengths in rising order.
        texts: what was written, [layer][strength].
        measures: by name, (layer, strength).
        null: for a measure, what directions that mean nothing do: the lower and the upper edge of the band that holds
            them, (2, layer, strength).
        prompt: what was continued.

    Raises:
        ValueError: strengths do not rise, something has another shape, a band is upside down or of no measure.
    """
    shape = (len(layers), len(strengths))
    if not all(shape) or not measures:
        raise ValueError("The steering view got nothing to show; give layers, strengths and at least one measure.")
    if list(strengths) != sorted(set(strengths)):
        raise ValueError(f"The strengths {list(strengths)} do not rise.")
    if [len(row) for row in texts] != [shape[1]] * shape[0]:
        raise ValueError(f"There must be one text for each of {shape[0]} layers and {shape[1]} strengths.")
    if unknown := set(null or {}) - set(measures):
        raise ValueError(f"There is a null for {sorted(unknown)}, but no such measure; there is {list(measures)}.")
    read = []
    for name, values in measures.items():
        band = None
        if null and name in null:
            edges = checked(null[name], f"The null of {name!r}", (2, *shape))
            if (edges[0] > edges[1]).any():
                raise ValueError(f"The null of {name!r} has its lower edge above its upper one.")
            band = rounded(edges, 2)
        read.append({"name": name, "values": rounded(checked(values, name, shape), 2), "null": band})
    data: dict[str, Any] = {
        "title": "Steering",
        "prompt": prompt,
        "layers": list(layers),
        "strengths": rounded(np.asarray(strengths, dtype=float), 3),
        "texts": [list(row) for row in texts],
        "measures": read,
    }
    return View("steering", data, _words(data), functools.partial(_still, data))


def _best(data: dict[str, Any]) -> tuple[int, int]:
    """The layer and strength at which the first measure is greatest."""
    table = np.array(data["measures"][0]["values"])
    layer, strength = divmod(int(table.argmax()), table.shape[1])
    return layer, strength


def _words(data: dict[str, Any]) -> str:
    first = data["measures"][0]
    layer, strength = _best(data)
    values = first["values"][layer]
    said = (
        f"{data['title']}, {len(data['layers'])} layers and strengths from {data['strengths'][0]:g} to "
        f"{data['strengths'][-1]:g}. {first['name']} is greatest at layer {data['layers'][layer]}, strength "
        f"{data['strengths'][strength]:g}: {values[strength]:z.1f}; at that layer it runs from {values[0]:z.1f} to "
        f"{values[-1]:z.1f}."
    )
    if first["null"] is not None:
        low, high = (edge[layer][strength] for edge in first["null"])
        said += f" Directions that mean nothing give {low:z.1f} to {high:z.1f} there."
    return said


def _still(data: dict[str, Any]) -> Picture:
    first = data["measures"][0]
    layer, _ = _best(data)
    series: dict[str, Any] = {f"layer {data['layers'][layer]}": first["values"][layer]}
    bands = None
    if first["null"] is not None:
        low, high = (np.array(edge[layer]) for edge in first["null"])
        series["directions that mean nothing"] = (low + high) / 2
        bands = {"directions that mean nothing": (high - low) / 2}
    return lines(series, data["title"], "strength", first["name"], x=data["strengths"], bands=bands)
