"""The drawing of a circuit says its arrows, in the figure and in words."""

from __future__ import annotations

import pytest

from course_utils.pictures.circuits import draw_circuit

ARROWS = [("17.4", "20.0 value", 1.01), ("20.0 value", "23.0", 1.06), ("20.0 value", "23.3", -0.04)]
LEVELS = {"17.4": 17.0, "20.0 value": 20.0, "23.0": 23.0, "23.3": 23.0}


def test_each_arrow_has_its_number_and_each_node_its_place() -> None:
    picture = draw_circuit(ARROWS, LEVELS, "costs $5 and $6")
    axes = picture.axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert {"+1.01", "+1.06", "-0.04", *LEVELS} <= set(shown)
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts if text.get_text() in LEVELS}
    assert heights["17.4"] < heights["20.0 value"] < heights["23.0"] == heights["23.3"]
    drawn = [getattr(text, "arrow_patch", None) for text in axes.texts]
    widths = [arrow.get_linewidth() for arrow in drawn if arrow is not None]
    assert widths[1] > widths[0] > widths[2]
    assert picture._repr_png_()[0].startswith(b"\x89PNG")
    assert (
        "3 arrows between 4 nodes, logits. Strongest: 20.0 value to 23.0 +1.06, 17.4 to 20.0 value +1.01"
        in picture.words
    )


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="no arrow to draw"):
        draw_circuit([], {})
    with pytest.raises(ValueError, match=r"levels has no '23\.3'"):
        draw_circuit(ARROWS, {name: level for name, level in LEVELS.items() if name != "23.3"})
