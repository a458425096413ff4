"""The options that the pictures take by name: each reaches the figure, and an unknown one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from course_utils.pictures import plots

TABLE = [[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]]


def test_the_options_of_a_heatmap_reach_the_figure() -> None:
    plain: Any = plots.heatmap(TABLE, "title", "x", "y").axes[0]
    assert plain.images[0].get_cmap().name == "viridis" and plain.get_ylim() == (1.5, -0.5) and not plain.texts
    words = [["a", "b", "c"], ["d", "e", "f"]]
    picture: Any = plots.heatmap(
        TABLE, diverging=True, annotate=words, colour_label="logits", limit=5.0, bottom_up=True, y_labels=["one", "two"]
    )
    axes, scale = picture.axes
    assert axes.images[0].get_cmap().name == "RdBu_r" and axes.get_ylim() == (-0.5, 1.5)
    assert [text.get_text() for text in axes.texts] == list("abcdef")
    assert axes.images[0].get_clim() == (-5.0, 5.0) and scale.get_ylabel() == "logits"


def test_the_options_of_lines_reach_the_figure() -> None:
    plain: Any = plots.lines({"one": [1.0, 2.0, 3.0]}).axes[0]
    assert plain.lines[0].get_xdata().tolist() == [0, 1, 2] and plain.get_yscale() == "linear"
    picture: Any = plots.lines(
        {"one": [1.0, 2.0], "two": [3.0, 4.0]},
        x=[4, 8],
        log_x=True,
        log_y=True,
        bands={"two": [0.5, 0.5]},
        marks={"m": 5},
    )
    axes: Any = picture.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [4, 8]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert len(axes.collections) == 1 and [text.get_text() for text in axes.texts] == ["m"]


def test_an_unknown_option_is_named_with_those_that_there_are() -> None:
    with pytest.raises(TypeError) as refused:
        plots.heatmap(TABLE, limits=5.0)  # type: ignore[call-arg]
    assert str(refused.value).startswith("heatmap has no option 'limits'; did you mean 'limit'? It has title, xlabel, ")
    with pytest.raises(
        TypeError, match=r"lines has no option 'band'; did you mean 'bands'\? .* x, log_x, log_y, bands"
    ):
        plots.lines({"one": [1.0]}, band={})  # type: ignore[call-arg]
