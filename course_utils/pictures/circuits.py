"""A circuit as a drawing: parts of the model as nodes, layers up, and an arrow for each path, as wide as its effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_utils.pictures.plots import PALETTE, Picture, new_picture, plain

_UP, _DOWN = PALETTE[1], PALETTE[0]
Arrow = tuple[str, str, float]
"""From, to, and the effect."""


def _aside(level: int, nodes: int) -> float:
    """Levels stand a little to the left and to the right in turn, so that no arrow runs through a node between."""
    return (0.12 if level % 2 else -0.12) / nodes


def draw_circuit(
    arrows: Sequence[Arrow], levels: Mapping[str, float], title: str = "", unit: str = "logits"
) -> Picture:
    """Draw arrows between named nodes, each with its number: red where it raises the answer, blue where it lowers it.

    Args:
        levels: of each node, how high it stands: its layer. Nodes of one level stand side by side in this order.

    Raises:
        ValueError: there is no arrow, or one begins or ends at a node that has no level.
    """
    if not arrows:
        raise ValueError("There is no arrow to draw; give at least one (from, to, effect).")
    missing = [node for begin, end, _ in arrows for node in (begin, end) if node not in levels]
    if missing:
        raise ValueError(f"levels has no {missing[0]!r}; give each node of an arrow its level.")
    heights = sorted(set(levels.values()))
    rows = {height: [node for node in levels if levels[node] == height] for height in heights}
    # One step up for each level that there is: layers without a node take no room.
    places = {
        node: ((place + 1) / (len(row) + 1) + _aside(heights.index(height), len(row)), float(heights.index(height)))
        for height, row in rows.items()
        for place, node in enumerate(row)
    }
    widest = max(len(row) for row in rows.values())
    figure, axes = new_picture(max(6.0, 1.5 * widest + 1.5), 1.3 * len(heights) + 0.8)
    largest = max(abs(effect) for _, _, effect in arrows) or 1.0
    into: dict[str, int] = {}
    for begin, end, effect in arrows:
        colour = _UP if effect > 0 else _DOWN
        style = {"arrowstyle": "-|>", "color": colour, "lw": 0.8 + 5 * abs(effect) / largest, "alpha": 0.75}
        axes.annotate("", places[end], places[begin], arrowprops={**style, "shrinkA": 14, "shrinkB": 14})
        # Each number a little further up its arrow than the last one at that node, so that they do not meet.
        share = 0.35 + 0.12 * (into.get(end, 0) % 4)
        into[end] = into.get(end, 0) + 1
        x, y = (a + share * (b - a) for a, b in zip(places[begin], places[end], strict=True))
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.text(x, y, f"{effect:+.2f}", fontsize=8, color=colour, ha="center", va="center", bbox=box)
    for node, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": "#444444"}
        axes.text(x, y, plain(node), fontsize=9, ha="center", va="center", bbox=box, zorder=5)
    axes.set(xlim=(0, 1), ylim=(-0.3, len(heights) - 0.7), title=plain(title))
    axes.set_axis_off()
    largest_first = sorted(arrows, key=lambda arrow: -abs(arrow[2]))[:6]
    named = ", ".join(f"{begin} to {end} {effect:+.2f}" for begin, end, effect in largest_first)
    figure.words = f"{title}: {len(arrows)} arrows between {len(levels)} nodes, {unit}. Strongest: {named}."
    return figure
