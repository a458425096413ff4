"""Every picture of the lessons: data in, figure and words out.

A function here takes tensors, arrays and labels, never a model, and returns a :class:`Picture`, which a notebook shows
when it is a cell's last expression. Its words, made from the same numbers, are the text beside the image: what a screen
reader, a search engine and the comparison of outputs get. Nothing goes through pyplot, so no global state is left and
no window opens.

Colours can be told apart by colour-blind readers: one sequential map (viridis), one diverging map with white at zero
(red above, blue below), and the Okabe-Ito palette for lines.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from course_utils.errors import refuse_unknown_options
from course_utils.pictures import words

DOTS_PER_INCH = 100
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LABEL_INCHES = 0.16
"""What one label of eight points needs of an axis, so that its neighbour can be read."""
STRIP_CHARACTERS = 80
"""How many stand in a row of a token strip, so that they can be read at the width of a page."""
HIGHLIGHT, PLAIN = "#D55E00", "#8DA9C4"

Values = Any
"""Numbers: a tensor, an array or nested lists."""


class Picture(Figure):
    """A figure that a notebook shows by itself, as a PNG of 100 dots per inch, and what it shows in words.

    Attributes:
        words: one or two sentences. The functions here write them; whoever draws on :func:`new_picture` writes them
            too, and a lesson with a picture that has none is refused.
    """

    words: str = ""

    def png(self) -> bytes:
        """The picture as a PNG file's bytes, on white."""
        FigureCanvasAgg(self)
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
        return buffer.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        return self.png(), {"alt": self.words}

    def __repr__(self) -> str:
        return self.words or "<a picture without words>"


def new_picture(width: float = 8.0, height: float = 4.0, rows: int = 1, columns: int = 1) -> tuple[Picture, Any]:
    """An empty picture of that many inches and its axes (one, or an array of them)."""
    figure = Picture(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns)
    return figure, axes


def as_array(values: Values) -> np.ndarray:
    """Values as a float array, wherever they were."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=float)


def show_token(token: str) -> str:
    """A token as it can be read in a picture: a leading space as a raised dot, a line break as an arrow.

    One space between two words stays: what has it is no token but a name, such as "attention 23".
    """
    dotted = re.sub(r"^ | $| (?=\s)|(?<=\s) ", "·", token)
    return plain(dotted.replace("\n", "↵").replace("\t", "⇥"))


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: a dollar sign would start its mathematics, and two of them crash it."""
    return text.replace("$", r"\$")


def _name_axes(axes: Axes, title: str, xlabel: str = "", ylabel: str = "") -> None:
    axes.set(title=plain(title), xlabel=plain(xlabel), ylabel=plain(ylabel))


def bars(
    labels: Sequence[str], values: Values, title: str = "", xlabel: str = "", highlight: Sequence[str] = ()
) -> Picture:
    """Horizontal bars, the first on top, each with its number; those whose label is in ``highlight`` stand out."""
    numbers = as_array(values)
    figure, axes = new_picture(7.0, 0.7 + 0.3 * len(numbers))
    colours = [HIGHLIGHT if label in highlight else PLAIN for label in labels]
    axes.barh(range(len(numbers)), numbers, color=colours)
    axes.set_yticks(range(len(numbers)), [show_token(label) for label in labels], family="monospace")
    axes.invert_yaxis()
    for place, number in enumerate(numbers):
        axes.annotate(
            f"{number:.3g}", (max(number, 0), place), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    _name_axes(axes, title, xlabel)
    figure.words = words.of_bars(title, xlabel, labels, numbers)
    return figure


class HeatmapOptions(TypedDict, total=False):
    """How :func:`heatmap` shows its cells.

    Attributes:
        diverging: white at zero, red above, blue below, symmetric; else viridis from the least to the greatest value.
        annotate: a text for each cell, in the cell.
        colour_label: what stands beside the colour bar.
        limit: the value of the strongest colour; the greatest magnitude unless given.
        bottom_up: row 0 at the bottom, as layers are usually drawn.
    """

    diverging: bool
    annotate: Sequence[Sequence[str]] | None
    colour_label: str
    limit: float | None
    bottom_up: bool


def heatmap(
    values: Values,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    x_labels: Sequence[str] | None = None,
    y_labels: Sequence[str] | None = None,
    **options: Unpack[HeatmapOptions],
) -> Picture:
    """A (row, column) table as coloured cells.

    Args:
        x_labels, y_labels: a text for each column and for each row; their numbers, if not given.
        options: those of :class:`HeatmapOptions`.

    Raises:
        TypeError: there is no option of that name.
    """
    refuse_unknown_options(heatmap, options, HeatmapOptions)
    annotate = options.get("annotate")
    table = as_array(values)
    rows, columns = table.shape
    # A cell with a word in it needs room for the word.
    width = min(12.0, 2.2 + columns * (0.85 if annotate is not None else 0.32))
    height = min(10.0, 1.4 + rows * (0.27 if annotate is not None else 0.2))
    figure, axes = new_picture(max(5.0, width), max(2.6, height))
    draw_table(axes, table, options.get("diverging", False), options.get("limit"), options.get("colour_label", ""))
    if annotate is not None:
        _write_cells(axes, annotate)
    _label_axis(axes, "x", x_labels, columns)
    _label_axis(axes, "y", y_labels, rows)
    if options.get("bottom_up"):
        axes.invert_yaxis()
    _name_axes(axes, title, xlabel, ylabel)
    kind, colour_label = words.titled("Heat map", title), options.get("colour_label", "")
    signed = options.get("diverging", False)
    figure.words = words.of_table(kind, (ylabel, xlabel), (y_labels, x_labels), table, colour_label, signed)
    return figure


def heatmaps(
    tables: Mapping[str, Values],
    title: str = "",
    columns: int = 3,
    limit: float | None = None,
    own_scale: bool = False,
    colour_label: str = "",
) -> Picture:
    """Several (row, column) tables, each under its name; white at zero, red above, blue below.

    Args:
        columns: how many stand side by side.
        limit: the value of the strongest colour in all of them; the greatest magnitude unless given.
        own_scale: each table by its own greatest magnitude, which stands in its title.
    """
    arrays = {name: as_array(values) for name, values in tables.items()}
    rows = -(-len(arrays) // columns)
    figure, axes = new_picture(10.0, 0.5 + (1.8 if columns < 4 else 0.95) * rows, rows, columns)
    shared = None if own_scale else limit or max(float(np.abs(table).max()) for table in arrays.values()) or 1.0
    places = np.atleast_1d(axes).flatten()
    for place, (name, table) in zip(places, arrays.items(), strict=False):
        largest = shared or float(np.abs(table).max()) or 1.0
        colours = {"norm": TwoSlopeNorm(0.0, -largest, largest), "cmap": "RdBu_r", "interpolation": "nearest"}
        image = place.imshow(table, aspect="auto", **colours)
        scale = f" (±{largest:.2g})" if own_scale else ""
        place.set_title(plain(name.replace("\n", "↵")) + scale, fontsize=8)
        place.tick_params(labelsize=6)
        place.locator_params(nbins=4, integer=True)
    for place in places[len(arrays) :]:
        place.set_axis_off()
    if not own_scale:
        figure.colorbar(image, ax=list(places), label=plain(colour_label))
    figure.suptitle(plain(title), fontsize=11)
    figure.words = words.of_tables(title, colour_label, arrays)
    return figure


def draw_table(
    axes: Axes, table: np.ndarray, diverging: bool, limit: float | None = None, colour_label: str = ""
) -> Any:
    """The cells of a heat map and its colour bar on existing axes; returns the image."""
    finite = table[np.isfinite(table)]
    largest = limit or (float(np.abs(finite).max()) if finite.size else 1.0) or 1.0
    if diverging:
        norm: Normalize = TwoSlopeNorm(0.0, -largest, largest)
        colours = "RdBu_r"
    else:
        lowest = float(finite.min()) if finite.size else 0.0
        norm = Normalize(
            min(lowest, 0.0) if lowest > 0 else lowest, limit or (float(finite.max()) if finite.size else 1.0)
        )
        colours = "viridis"
    image = axes.imshow(table, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label=plain(colour_label), fraction=0.04, pad=0.02)
    return image


def _write_cells(axes: Axes, texts: Sequence[Sequence[str]]) -> None:
    image = axes.images[0]
    table = np.asarray(image.get_array())
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            colour = _readable_on(image.cmap(image.norm(table[row, column])))
            axes.text(column, row, show_token(text), ha="center", va="center", fontsize=7, color=colour)


def _readable_on(ground: Any) -> str:
    red, green, blue = ground[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _label_axis(axes: Axes, which: str, labels: Sequence[str] | None, count: int) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    if labels is None:
        axis.set_major_locator(MaxNLocator(integer=True, nbins=min(count, 15)))
        return
    texts = [show_token(label) for label in labels]
    crowded = which == "x" and max(map(len, texts), default=0) > 4
    figure: Any = axes.figure
    side = figure.get_size_inches()[0 if which == "x" else 1] - 1.5  # inches that title, scale and names leave
    every = max(1, math.ceil(count * LABEL_INCHES / side))  # of more labels than there is room for, each second, third
    getattr(axes, f"set_{which}ticks")(
        range(0, count, every), texts[::every],
        family="monospace", fontsize=8, **({"rotation": 60, "ha": "right"} if crowded else {}),
    )  # fmt: skip


class LineOptions(TypedDict, total=False):
    """What :func:`lines` draws besides its lines, and on which axes.

    Attributes:
        x: where the values stand; 0, 1, 2, ... unless given.
        log_x, log_y: a logarithmic axis, to base 2 and to base 10.
        bands: half the width of a shaded band around the series of that name, such as a standard deviation.
        marks: vertical lines with their labels, at these x.
        guess: the point (x, y) where a learner guessed; a coordinate that was not asked for is ``...``. One that is
            None was not guessed, and nothing is drawn.
    """

    x: Values | None
    log_x: bool
    log_y: bool
    bands: Mapping[str, Values] | None
    marks: Mapping[str, float] | None
    guess: tuple[Any, Any] | None


def lines(
    series: Mapping[str, Values],
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    **options: Unpack[LineOptions],
) -> Picture:
    """One line for each named series over the same x.

    Args:
        options: those of :class:`LineOptions`.

    Raises:
        TypeError: there is no option of that name.
    """
    refuse_unknown_options(lines, options, LineOptions)
    x, bands = options.get("x"), options.get("bands") or {}
    figure, axes = new_picture(8.0, 3.8)
    drawn: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for place, (name, values) in enumerate(series.items()):
        numbers = as_array(values)
        across = as_array(x) if x is not None else np.arange(len(numbers))
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(across, numbers, label=plain(name), color=colour, marker="o", markersize=3, linewidth=1.5)
        drawn[name] = (across, numbers)
        if name in bands:
            half = as_array(bands[name])
            axes.fill_between(across, numbers - half, numbers + half, color=colour, alpha=0.2, linewidth=0)
    for label, where in (options.get("marks") or {}).items():
        axes.axvline(where, color="#666666", linewidth=1, linestyle=":")
        axes.annotate(
            plain(label),
            (where, 1.0),
            (3, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
    if options.get("log_y"):
        axes.set_yscale("log")
    guess = _given(options.get("guess"))
    if guess is not None:
        _draw_guess(axes, *guess)
    if options.get("log_x"):
        axes.set_xscale("log", base=2)
    elif x is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(series) > 1 or guess is not None:
        axes.legend(frameon=False, fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _name_axes(axes, title, xlabel, ylabel)
    figure.words = words.of_lines(title, (xlabel, ylabel), drawn, guess)
    return figure


def _given(guess: tuple[Any, Any] | None) -> tuple[float | None, float | None] | None:
    """A guess as a point, with None for what was not asked; None itself if a coordinate was not guessed."""
    if guess is None or any(one is None for one in guess):
        return None
    x, y = (None if one is ... else float(one) for one in guess)
    return x, y


def _draw_guess(axes: Axes, x: float | None, y: float | None) -> None:
    look: dict[str, Any] = {"color": "#000000", "label": "your guess"}
    if x is not None and y is not None:
        axes.plot([x], [y], marker="*", markersize=12, linestyle="none", zorder=3, **look)
    elif x is not None:
        axes.axvline(x, linewidth=1.5, linestyle="--", **look)
    elif y is not None:
        axes.axhline(y, linewidth=1.5, linestyle="--", **look)


def token_strip(
    tokens: Sequence[str],
    values: Values,
    title: str = "",
    colour_label: str = "",
    limit: float | None = None,
) -> Picture:
    """A text as its tokens, each on a ground coloured by its value, wrapped as lines of text are. NaN stays white."""
    numbers = as_array(values)
    shown = [show_token(token) for token in tokens]
    rows: list[list[int]] = [[]]
    used = 0
    for place, token in enumerate(shown):
        if used + len(token) > STRIP_CHARACTERS and rows[-1]:
            rows.append([])
            used = 0
        rows[-1].append(place)
        used += len(token)
    figure, axes = new_picture(9.0, 0.9 + 0.36 * len(rows))
    finite = numbers[np.isfinite(numbers)]
    norm = Normalize(0.0, limit or (float(finite.max()) if finite.size else 1.0))
    colours = colormaps["YlOrRd"]
    widest = max(sum(len(shown[i]) for i in row) for row in rows)
    for row, places in enumerate(rows):
        left = 0
        for place in places:
            token = shown[place]
            ground = colours(norm(numbers[place]) * 0.9) if np.isfinite(numbers[place]) else (1.0, 1.0, 1.0, 1.0)
            axes.add_patch(_box(left, row, len(token), ground))
            axes.text(
                left + len(token) / 2, row + 0.5, token, family="monospace", fontsize=10, ha="center", va="center",
                color=_readable_on(ground),
            )  # fmt: skip
            left += len(token)
    axes.set(xlim=(0, max(widest, 40)), ylim=(len(rows), 0), title=plain(title))
    axes.axis("off")
    scale = figure.colorbar(_scale(norm, colours), ax=axes, fraction=0.025, pad=0.01)
    scale.set_label(plain("\n".join(textwrap.wrap(colour_label, 14))), fontsize=8)
    figure.words = words.of_text(title, colour_label, tokens, numbers)
    return figure


def _box(left: float, row: float, width: float, colour: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, row + 0.06), width, 0.88, facecolor=colour, edgecolor="white", linewidth=1)


def _scale(norm: Normalize, colours: Any) -> Any:
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, colours)


def attention(pattern: Values, tokens: Sequence[str], title: str = "") -> Picture:
    """One head's attention pattern (query position, key position), with the tokens on both axes; rows sum to 1."""
    table = as_array(pattern)
    side = min(8.0, 2.2 + 0.3 * len(tokens))
    figure, axes = new_picture(side + 0.8, side)
    draw_table(axes, table, diverging=False, limit=1.0, colour_label="attention weight")
    _label_axis(axes, "x", tokens, len(tokens))
    _label_axis(axes, "y", tokens, len(tokens))
    _name_axes(axes, title, "key: the token looked at", "query: the token that looks")
    figure.words = words.of_attention(title, tokens, table)
    return figure


# Lesson 6


def scatter(
    x: Values,
    y: Values,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    labels: Mapping[int, str] | None = None,
    diagonal: bool = False,
    log_x: bool = False,
) -> Picture:
    """One point for each pair of numbers; those whose index is in ``labels`` stand out, with their text.

    Args:
        diagonal: draw the line on which both numbers are the same.
    """
    across, up = as_array(x).ravel(), as_array(y).ravel()
    figure, axes = new_picture(7.0, 4.6)
    axes.scatter(across, up, s=10, color=PLAIN, alpha=0.5, linewidths=0, rasterized=True)
    if log_x:
        axes.set_xscale("log")
    if diagonal:
        ends = [float(min(across.min(), up.min())), float(max(across.max(), up.max()))]
        axes.plot(ends, ends, color="#666666", linewidth=1, linestyle=":", label="the same on both axes")
        axes.legend(frameon=False, fontsize=9)
    for place, text in (labels or {}).items():
        axes.scatter(across[place], up[place], s=36, color=HIGHLIGHT, zorder=3)
        axes.annotate(
            show_token(text), (across[place], up[place]), (6, 4), textcoords="offset points", fontsize=9, zorder=4
        )
    axes.margins(0.08)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _name_axes(axes, title, xlabel, ylabel)
    figure.words = words.of_points(title, (xlabel, ylabel), across, up, labels or {})
    return figure


def ladder(steps: Mapping[str, float], title: str = "", xlabel: str = "seconds") -> Picture:
    """What is left after each step, first on top, and in pale what that step took away; each with its times-faster
    against the first.
    """
    names, numbers = list(steps), as_array(list(steps.values()))
    figure, axes = new_picture(8.0, 1.0 + 0.42 * len(names))
    axes.barh(range(len(names)), numbers, color=PALETTE[0])
    axes.barh(range(1, len(names)), -np.diff(numbers), left=numbers[1:], color=PALETTE[5], alpha=0.35)
    for place, number in enumerate(numbers):
        times = "" if place == 0 else f"   {numbers[0] / number:.3g} times faster"
        axes.annotate(
            f"{number:.2g} s{times}", (max(number, numbers[place - 1]) if place else number, place), (5, 0),
            textcoords="offset points", va="center", fontsize=9,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * float(numbers.max()))  # room for the longest note
    axes.spines[["top", "right"]].set_visible(False)
    _name_axes(axes, title, xlabel)
    figure.words = words.of_steps(title, xlabel, steps)
    return figure


# Lesson 4


def token_table(
    cells: Sequence[Sequence[str]],
    values: Values,
    tokens: Sequence[str],
    title: str = "",
    colour_label: str = "",
    log: bool = False,
) -> Picture:
    """A text's tokens across, depths up, and in each cell a token on a ground coloured by its value.

    Args:
        cells: the token to write at each depth and position, depth 0 first; long ones are cut.
        values: (depth, position).
        tokens: the text, one token for each position.
        log: colour by the logarithm of the values, which must be above 0, the least brightest (for ranks).
    """
    table = as_array(values)
    depths, positions = table.shape
    figure, axes = new_picture(min(12.0, max(5.0, 1.8 + 0.85 * positions)), max(2.6, 1.3 + 0.23 * depths))
    if log:
        norm: Normalize = LogNorm(1.0, max(10.0, float(table.max())))
    else:
        norm = Normalize(min(0.0, float(table.min())), float(table.max()) or 1.0)
    image = axes.imshow(
        table, cmap="viridis_r" if log else "viridis", norm=norm, aspect="auto", interpolation="nearest"
    )
    figure.colorbar(image, ax=axes, label=plain(colour_label), fraction=0.04, pad=0.02)
    for depth, row in enumerate(cells):
        for position, token in enumerate(row):
            shown = show_token(token[:9])
            # Punctuation is small and there is much of it: larger, so that it can be read.
            small = len(token.strip()) <= 1
            axes.text(
                position, depth, shown, ha="center", va="center", fontsize=11 if small else 8,
                color=_readable_on(image.cmap(norm(table[depth, position]))), fontweight="bold" if small else "normal",
            )  # fmt: skip
    _label_axis(axes, "x", tokens, positions)
    axes.set_yticks(range(depths), [str(depth) for depth in range(depths)], fontsize=8)
    axes.invert_yaxis()
    _name_axes(axes, title, "after this token", "depth")
    figure.words = words.of_token_table(title, colour_label, cells, tokens)
    return figure


# Lesson 5


def trade_off(
    paths: Mapping[str, tuple[Values, Values]],
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    controls: Sequence[str] = (),
    limit: float | None = None,
) -> Picture:
    """What is gained against what it costs: one line for each named path of (cost, gain) points, costs on a logarithmic
    axis.

    Args:
        controls: names of paths to draw in grey, to compare the others with.
        limit: the highest cost that is acceptable; what lies beyond is shaded.
    """
    figure, axes = new_picture(8.0, 4.4)
    colours = [colormaps["viridis"](place) for place in np.linspace(0, 0.92, max(1, len(paths) - len(controls)))]
    for name, (cost, gain) in paths.items():
        grey = name in controls
        colour = "#888888" if grey else colours.pop(0)
        axes.plot(
            as_array(cost), as_array(gain), label=plain(name), color=colour, marker="o", markersize=4, linewidth=1.5,
            linestyle="--" if grey else "-",
        )  # fmt: skip
    axes.set_xscale("log")
    if limit is not None:
        right = axes.get_xlim()[1]
        axes.axvspan(limit, right, color="#D55E00", alpha=0.08, linewidth=0)
        axes.set_xlim(right=right)
    ticks = [tick for tick in (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100) if tick < axes.get_xlim()[1]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.axhline(0, color="#666666", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _name_axes(axes, title, xlabel, ylabel)
    drawn = {name: (as_array(cost), as_array(gain)) for name, (cost, gain) in paths.items()}
    figure.words = words.of_paths(title, (xlabel, ylabel), drawn)
    return figure
