"""The patching map: heads by layer, what each does to the answer, and where it looks (lesson 6)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from course_utils.pictures.plots import Picture, Values, draw_table, new_picture
from course_utils.pictures.views.packing import checked, packed, rounded
from course_utils.pictures.views.view import View

NAMED = 5  # heads named in the words and in the still


@dataclass(frozen=True)
class PatchedPair:
    """What was measured on one pair of prompts.

    Attributes:
        label: what to call the pair.
        gap: the whole distance between the two runs, in the view's unit.
        maps: tables (layer, head) by name, the first the one that is shown first.
        prompts: the tokens of each prompt by name, in the order in which they are shown.
        attention: for each of ``prompts``, how much the last token attends to each position,
            (layer, head, position), between 0 and 1.
        by_position: what the first of ``maps`` is with one position patched alone, (layer, head, position) of the
            first prompt; may be missing.
        asked: what was asked, as (clean prompt, corrupted prompt, answer after clean, answer after corrupted); may be
            missing. It is not shown: it lets the same be asked again, which the tokens need not tell.
    """

    label: str
    gap: float
    maps: Mapping[str, Values]
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    attention: Mapping[str, Values] = field(default_factory=dict)
    by_position: Values | None = None
    asked: tuple[str, str, str, str] | None = None


def patching_map(pairs: Sequence[PatchedPair], copy: Values | None = None, unit: str = "logits") -> View:
    """A map of heads to point at: each head's numbers, where it looks on both prompts, and two heads side by side.

    Args:
        pairs: one or more; all with the same layers, heads and names of maps. The reader chooses between them.
        copy: each head's copy score, (layer, head), in standard deviations over names.

    Raises:
        ValueError: there is no pair or no map, shapes do not fit together, a prompt has no attention or an attention
            no prompt, or a number is not finite.
    """
    if not pairs or not pairs[0].maps:
        raise ValueError("The patching map got nothing to show; give at least one pair with at least one map.")
    shape = checked(next(iter(pairs[0].maps.values())), "The first map", ("layer", "head")).shape
    names = list(pairs[0].maps)
    data: dict[str, Any] = {
        "title": "Patching map",
        "unit": unit,
        "pairs": [_pair_data(pair, shape, names) for pair in pairs],
        "copy": None if copy is None else rounded(checked(copy, "copy", shape), 1),
    }
    return View("patching_map", data, _words(data), functools.partial(_still, data))


def _pair_data(pair: PatchedPair, shape: tuple[int, ...], names: list[str]) -> dict[str, Any]:
    if list(pair.maps) != names:
        raise ValueError(f"{pair.label!r} has the maps {list(pair.maps)}; expected {names}, as the first pair has.")
    if set(pair.prompts) != set(pair.attention):
        raise ValueError(
            f"{pair.label!r} has the prompts {list(pair.prompts)} and attention on {list(pair.attention)}; each prompt "
            "needs the attention on it, (layer, head, position)."
        )
    moved = None
    if pair.by_position is not None:
        if not pair.prompts:
            raise ValueError(f"{pair.label!r} has effects by position but no prompt; give the tokens of one.")
        length = len(next(iter(pair.prompts.values())))
        moved = rounded(checked(pair.by_position, "by_position", (*shape, length)), 1)
    return {
        "label": pair.label,
        "gap": rounded(checked(pair.gap, "gap", ()), 2),
        "maps": [
            {"name": name, "values": rounded(checked(values, f"The map {name!r}", shape), 3)}
            for name, values in pair.maps.items()
        ],
        "prompts": [
            {
                "name": name,
                "tokens": list(tokens),
                # A byte for each: as numbers they would be most of the data.
                "attention": packed(
                    checked(pair.attention[name], f"The attention on {name!r}", (*shape, len(tokens))),
                    f"The attention on {name!r}",
                ),
            }
            for name, tokens in pair.prompts.items()
        ],
        "by_position": moved,
    }


def _strongest(table: np.ndarray) -> list[tuple[int, int]]:
    order = np.argsort(-np.abs(table), axis=None, kind="stable")[:NAMED]
    return [(int(place) // table.shape[1], int(place) % table.shape[1]) for place in order]


def _words(data: dict[str, Any]) -> str:
    """As a person would say it who sees the first map of the first pair."""
    first = data["pairs"][0]["maps"][0]
    table = np.array(first["values"])
    layers, heads = table.shape
    named = ", ".join(f"{layer}.{head} {table[layer, head]:+z.1f}" for layer, head in _strongest(table))
    quiet = int((np.abs(table) < 0.1).sum())
    return (
        f"{data['title']}, {layers} layers by {heads} heads, {first['name']}, {data['unit']}. Strongest: {named}. "
        f"{quiet} heads move less than 0.1."
    )


def _still(data: dict[str, Any]) -> Picture:
    pair = data["pairs"][0]
    table = np.array(pair["maps"][0]["values"])
    figure, axes = new_picture(5.6, max(2.6, 1.4 + 0.2 * len(table)))
    image = draw_table(axes, table, diverging=True, colour_label=data["unit"])
    for layer, head in _strongest(table):
        red, green, blue, _ = image.cmap(image.norm(table[layer, head]))
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        axes.text(head, layer, f"{layer}.{head}", ha="center", va="center", fontsize=8, color=ink)
    axes.invert_yaxis()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))  # there is no layer 0.5
    axes.set(title=f"{data['title']}: {pair['maps'][0]['name']}", xlabel="head", ylabel="layer")
    return figure
