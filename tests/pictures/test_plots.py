"""The options that the pictures take by name: each reaches the figure, and an unknown one is refused."""

from __future__ import annotations

from itertools import pairwise
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


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" Paris", "·Paris"),
        ("attention 23", "attention 23"),
        (" New York", "·New York"),
        (" ", "·"),
        ("   ", "···"),
        ("\n  x ", "↵··x·"),
        ("a  b", "a··b"),
        ("\t$", "⇥\\$"),
    ],
)
def test_the_space_that_belongs_to_a_token_is_seen_and_the_one_in_a_name_is_none(token: str, shown: str) -> None:
    assert plots.show_token(token) == shown


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


@pytest.mark.parametrize(
    ("guess", "drawn", "said"),
    [
        ((2, ...), ([2, 2], [0, 1]), " Your guess: at 2."),
        ((..., 0.5), ([0, 1], [0.5, 0.5]), " Your guess: 0.5."),
        ((1, 4400.0), ([1], [4400]), " Your guess: 4,400 at 1."),
    ],
    ids=["where", "how much", "how much there"],
)
def test_a_guess_is_drawn_and_said(guess: Any, drawn: Any, said: str) -> None:
    picture: Any = plots.lines({"one": [1.0, 3.0, 2.0]}, guess=guess)
    line = picture.axes[0].lines[-1]
    assert (list(line.get_xdata()), list(line.get_ydata())) == drawn
    assert [text.get_text() for text in picture.axes[0].get_legend().get_texts()][-1] == "your guess"
    assert picture.words.endswith(said)


@pytest.mark.parametrize("guess", [None, (None, ...), (2, None)])
def test_where_nothing_was_guessed_the_picture_is_as_ever(guess: Any) -> None:
    picture: Any = plots.lines({"one": [1.0, 3.0, 2.0]}, guess=guess)
    plain: Any = plots.lines({"one": [1.0, 3.0, 2.0]})
    assert picture.words == plain.words and len(picture.axes[0].lines) == 1 and picture.axes[0].get_legend() is None


def test_an_unknown_option_is_named_with_those_that_there_are() -> None:
    with pytest.raises(TypeError) as refused:
        plots.heatmap(TABLE, limits=5.0)  # type: ignore[call-arg]
    assert str(refused.value).startswith("heatmap has no option 'limits'; did you mean 'limit'? It has title, xlabel, ")
    with pytest.raises(
        TypeError, match=r"lines has no option 'band'; did you mean 'bands'\? .* x, log_x, log_y, bands"
    ):
        plots.lines({"one": [1.0]}, band={})  # type: ignore[call-arg]


def test_several_tables_share_a_scale_or_have_their_own() -> None:
    tables = {"small": [[0.5, 0.1]], "large": [[-4.0], [2.0]], "third": [[0.0]]}
    shared: Any = plots.heatmaps(tables, "Three", columns=2)
    assert [axes.images[0].norm.vmax for axes in shared.axes if axes.images] == [4.0, 4.0, 4.0]
    assert [axes.get_title() for axes in shared.axes if axes.images] == list(tables)
    own: Any = plots.heatmaps(tables, columns=2, own_scale=True)
    assert [axes.images[0].norm.vmax for axes in own.axes if axes.images] == [0.5, 4.0, 1.0]


def test_a_token_strip_is_wrapped_as_a_page_of_text_is() -> None:
    rows = {length: plots.token_strip(["x" * length] * 3, [1.0] * 3).axes[0].get_ylim()[0] for length in (26, 40, 41)}
    assert rows == {26: 1, 40: 2, 41: 3}


TOKENS = ["When", " Mike", " $", "$$", "\n"]


def every_picture() -> dict[str, plots.Picture]:
    """One of each kind, with dollar signs wherever a text goes in."""
    table = [[1.0, -2.0, 0.5, 0.2, 0.1], [0.0, 3.0, -1.0, 0.3, 0.2]]
    return {
        "bars": plots.bars([" a", " $$"], [0.6561, 0.03], "$$ title", "$x$", highlight=[" a"]),
        "heatmap": plots.heatmap(table, "$$", "$head$", "$$", TOKENS, ["$$", "b"], colour_label="$$", diverging=True),
        "heatmaps": plots.heatmaps({"$$": TABLE, "$a$": TABLE}, "$$", colour_label="$$"),
        "lines": plots.lines({"$$": [1.0, 4.0, 2.0], "$b$": [0.0, -1.0, 1.0]}, "$$", "$$", "$$", marks={"$$": 1}),
        "token_strip": plots.token_strip(TOKENS, [float("nan"), 12.34, 3.0, 1.0, 0.5], "$$", "$$"),
        "attention": plots.attention([[1.0] + [0.0] * 4] * 5, TOKENS, "$$"),
        "scatter": plots.scatter([1.0, 2.0], [3.0, 4.0], "$$", "$x$", "$$", {1: "$$"}, diagonal=True),
        "ladder": plots.ladder({"loop $$": 31.0, "$batch$": 11.0}, "$$", "$$"),
        "token_table": plots.token_table([["-"] * 5, ["-"] * 5, [" $$"] * 5], [[0.5] * 5] * 3, TOKENS, "$$", "$$"),
        "trade_off": plots.trade_off({"$$": ([1.1, 2.0], [0.5, 3.0]), "$a$": ([1.0], [0.0])}, "$$", "$$", "$$"),
    }  # fmt: skip


def test_each_kind_of_picture_is_here() -> None:
    import inspect
    import typing

    public = vars(plots).items()
    functions = {n for n, f in public if inspect.isfunction(f) and f.__module__ == plots.__name__ and n[0] != "_"}
    pictures = {n for n in functions if typing.get_type_hints(vars(plots)[n]).get("return") is plots.Picture}
    assert pictures == set(every_picture())


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(every_picture()))
def test_a_picture_draws_dollar_signs_as_they_are_and_says_its_words(kind: str) -> None:
    """`$$` in a title crashed, `$x$` came out in italics without its dollars."""
    from matplotlib.text import Text

    picture = every_picture()[kind]
    image, metadata = picture._repr_png_()
    assert image.startswith(b"\x89PNG") and metadata == {"alt": repr(picture)} == {"alt": picture.words}
    assert picture.words.count("“$$") >= 1 and r"\$" not in picture.words and "\n" not in picture.words
    drawn: list[Any] = [text for text in picture.findobj(Text) if "$" in text.get_text()]
    assert drawn and not [text.get_text() for text in drawn if text._preprocess_math(text.get_text())[1]]


@pytest.mark.slow
def test_words_name_the_numbers_that_matter() -> None:
    table = [[0.0] * 9 for _ in range(30)]
    table[23][3], table[17][4], table[29][0] = 4.7123, 2.9, -2.15
    said = plots.heatmap(table, "one head patched", "head", "layer", colour_label="logits", diverging=True).words
    assert said == (
        "Heat map “one head patched”: 30 by 9 cells (layer by head), logits. "
        "Strongest: +4.7 at layer 23, head 3; +2.9 at layer 17, head 4; -2.1 at layer 29, head 0."
    )
    said = plots.lines({"rank": [40_000.0, 3.0, 1.0, 2.0]}, "The rank", "depth", "rank").words
    assert said == "Line “The rank”: rank over depth. rank: from 40,000 at 0 to 2 at 3, lowest 1 at 2."
    said = plots.bars([" Paris", " Rome"], [0.6561, 0.0379], "Next token", "probability").words
    assert said == "2 bars “Next token”, probability. Paris 0.66; Rome 0.038."


def test_words_of_values_that_are_no_numbers() -> None:
    nan = float("nan")
    assert plots.heatmap([[nan, nan]]).words.endswith("No cell has a number.")
    assert "Highest: 2 at row 0, column 1." in plots.heatmap([[nan, 2.0]]).words
    assert plots.lines({"a": [nan, nan]}).words.endswith("a: no number.")
    assert "“ b” 1" in plots.token_strip(["a", " b"], [nan, 1.0]).words


def test_words_do_not_hang_on_the_last_digits() -> None:
    """Another processor's softmax differs by 1e-5: neither the numbers nor the order of near equals may follow it."""
    import numpy as np

    table = np.full((4, 4), 0.73)
    noise = np.random.default_rng(0).uniform(-1e-5, 1e-5, (2, 4, 4))
    first, second = (plots.heatmap(table + one).words for one in noise)
    assert first == second and (table + noise[0]).argmax() != (table + noise[1]).argmax()


def test_a_picture_that_nobody_described_says_so() -> None:
    figure, _ = plots.new_picture()
    assert repr(figure) == "<a picture without words>"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["heatmap", "attention", "token_table"])
def test_labels_of_200_tokens_do_not_overlap(kind: str) -> None:
    tokens = [f" token{place}" for place in range(200)]
    values = [[0.5] * 200] * 200
    picture: Any = {
        "heatmap": lambda: plots.heatmap(values, x_labels=tokens, y_labels=tokens),
        "attention": lambda: plots.attention(values, tokens),
        "token_table": lambda: plots.token_table([["a"] * 200] * 3, values[:3], tokens),
    }[kind]()
    picture.png()
    axes = picture.axes[0]
    for axis, along in ((axes.xaxis, "x0"), (axes.yaxis, "y0")):
        shown = [label for label in axis.get_ticklabels() if label.get_text()]
        starts = sorted(getattr(label.get_window_extent(), along) for label in shown)
        height = 8 / 72 * plots.DOTS_PER_INCH  # of the letters; a label is turned or stands beside its cell
        assert len(shown) >= 3 and min(b - a for a, b in pairwise(starts)) >= height
