"""What a picture shows, said in words: for whoever cannot see it, for a search, and for a comparison of two runs.

A function here takes the numbers that a picture is drawn from and returns one or two plain sentences. Numbers have two
significant digits, and what is "highest" is decided after rounding (the first of equals), so that another processor
says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

MOST_NAMED = 12
"""How many bars, lines or tables are told one by one; of more, it is said how many there are."""
LONGEST_TEXT = 160
"""Characters of a text that are repeated."""


def sentence(*parts: str) -> str:
    """The parts that are not empty, each ended by a full stop, on one line."""
    lines = [" ".join(part.split()) for part in parts if part.strip()]
    return " ".join(line if line[-1] in ".!?…" else f"{line}." for line in lines)


def titled(kind: str, title: str) -> str:
    """The kind of picture and its title in quotation marks, if it has one."""
    inner = title.strip().replace("“", "‘").replace("”", "’")
    return f"{kind} “{inner}”" if inner else kind


def coloured(kind: str, colour_label: str) -> str:
    """The kind of picture and what its colours stand for, if that has a name."""
    return f"{kind}, {colour_label}" if colour_label else kind


def number(value: float, scale: float = 0.0, signed: bool = False) -> str:
    """A number with two significant digits.

    Args:
        scale: the largest magnitude in the picture; what is nearer to 0 than `noise` of it is "about 0".
        signed: with "+" where above 0.
    """
    if not np.isfinite(value):
        return "no number" if np.isnan(value) else ("infinity" if value > 0 else "-infinity")
    if abs(value) < noise(scale):
        return "0" if value == 0 else "about 0"
    short = float(f"{value:.2g}")
    sign = "+" if signed and short > 0 else ""
    if short != 0 and not 1e-4 <= abs(short) < 1e6:
        return f"{sign}{short:.2g}"
    text = f"{short:.6f}".rstrip("0").rstrip(".") if abs(short) < 10 else f"{short:,.0f}"
    return f"{sign}{text}"


def noise(scale: float) -> float:
    """What is nearer to 0 than this counts as 0 beside `scale`: nobody sees it, and its digits are another processor's.

    A rank of 2 beside one of 40,000 is no noise, so it is never more than 0.05.
    """
    return min(scale / 1000, 0.05)


def largest(values: np.ndarray) -> float:
    """The largest magnitude of the finite values; 0 if there is none."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def quoted(token: str) -> str:
    """A token in quotation marks with its spaces, so that one hears where it begins; control characters by escapes."""
    return f"“{token if token.isprintable() else repr(token)[1:-1]}”"


def listed(items: Sequence[str], what: str) -> str:
    """The items with semicolons between; of more than ``MOST_NAMED``, how many of `what` are left out."""
    more = len(items) - MOST_NAMED
    return "; ".join(items) if more <= 0 else "; ".join([*items[:MOST_NAMED], f"and {more} more {what}"])


def of_bars(title: str, xlabel: str, labels: Sequence[str], values: np.ndarray) -> str:
    """Bars: each with its number, from the top."""
    scale = largest(values)
    bars = [f"{label.strip()} {number(value, scale)}" for label, value in zip(labels, values, strict=True)]
    kind = titled(counted(len(labels), "bar"), title)
    return sentence(coloured(kind, xlabel), listed(bars, "bars"))


def of_table(
    kind: str, names: tuple[str, str], labels: tuple[Sequence[str] | None, Sequence[str] | None], table: np.ndarray,
    colour_label: str = "", signed: bool = False,
) -> str:  # fmt: skip
    """A (row, column) table: its size, the three strongest cells and, unless `signed`, the lowest.

    Args:
        kind: what it is, with its title.
        names: what a row and a column are; "row" and "column" if empty.
        labels: a text for each row and for each column; their numbers if None.
        signed: strongest means farthest from 0; else highest.
    """
    row_name, column_name = names[0] or "row", names[1] or "column"
    rows, columns = table.shape
    size = coloured(f"{kind}: {rows} by {columns} cells ({row_name} by {column_name})", colour_label)
    if not np.isfinite(table).any():
        return sentence(size, "No cell has a number")

    scale = largest(table)

    def cell(place: tuple[int, int]) -> str:
        where = [
            f"{name} {i if texts is None else texts[i].strip() if texts[i].strip().isdigit() else quoted(texts[i])}"
            for name, texts, i in zip((row_name, column_name), labels, place, strict=True)
        ]
        return f"{number(table[place], scale, signed)} at {', '.join(where)}"

    order = ranked(np.abs(table) if signed else table)
    strongest = [cell(place) for place in order[:3]]
    lowest = "" if signed or len(order) < 4 else f"Lowest: {cell(ranked(-table)[0])}"
    return sentence(size, f"{'Strongest' if signed else 'Highest'}: {'; '.join(strongest)}", lowest)


def of_tables(title: str, colour_label: str, tables: Mapping[str, np.ndarray]) -> str:
    """Several (row, column) tables: of each its size and the cell farthest from 0."""
    told = []
    for name, table in tables.items():
        size = f"{' '.join(name.split())}, {table.shape[0]} by {table.shape[1]}"
        strongest = "no number"
        for row, column in ranked(np.abs(table))[:1]:
            strongest = f"{number(table[row, column], largest(table), signed=True)} at row {row}, column {column}"
        told.append(f"{size}: {strongest}")
    kind = coloured(titled(counted(len(tables), "heat map"), title), colour_label)
    return sentence(f"{kind}; the strongest cell of each", listed(told, "maps"))


def of_lines(
    title: str,
    axes: tuple[str, str],
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    guess: tuple[float | None, float | None] | None = None,
) -> str:
    """Lines: where each begins and ends, and its highest and lowest point, as (x, y) arrays of the same length. A guess
    that is drawn among them: its (x, y), None for one that was not asked for.
    """
    kind = titled("Line" if len(series) == 1 else f"{len(series)} lines", title)
    over = f"{axes[1] or 'values'} over {axes[0] or 'their place'}"
    told = []
    for name, (x, y) in series.items():
        finite = np.isfinite(y)
        x, y = x[finite], y[finite]
        if not len(y):
            told.append(f"{name}: no number")
            continue
        rounded, scale = significant(y), largest(y)
        first, last = (f"{number(y[end], scale)} at {number_of_place(x[end])}" for end in (0, -1))
        points = [f"from {first} to {last}"] if len(y) > 1 else [first]
        for extreme, place in (("highest", int(rounded.argmax())), ("lowest", int(rounded.argmin()))):
            if rounded[place] not in (rounded[0], rounded[-1]):
                points.append(f"{extreme} {number(y[place], scale)} at {number_of_place(x[place])}")
        told.append(f"{f'{name}: ' if len(series) > 1 or name.strip() else ''}{', '.join(points)}")
    guessed = ""
    if guess is not None:
        across, up = guess
        parts = ["" if up is None else f"{up:,g}", "" if across is None else f"at {across:,g}"]
        guessed = f"Your guess: {' '.join(filter(None, parts))}"
    return sentence(f"{kind}: {over}", listed(told, "lines"), guessed)


def of_text(title: str, colour_label: str, tokens: Sequence[str], values: np.ndarray) -> str:
    """A text with a number for each token: the text, the three highest tokens and the lowest."""
    text = "".join(tokens)
    kind = titled("Text coloured by token", title)
    shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    told = [coloured(kind, colour_label), f"The text, {counted(len(tokens), 'token')}: “{shown}”"]
    order = [place for _, place in ranked(values[None])]
    if order:
        scale = largest(values)
        highest = "; ".join(f"{quoted(tokens[i])} {number(values[i], scale)}" for i in order[:3])
        _, least = ranked(-values[None])[0]
        told += [f"Highest: {highest}", f"Lowest: {quoted(tokens[least])} {number(values[least], scale)}"]
    return sentence(*told)


def of_attention(title: str, tokens: Sequence[str], pattern: np.ndarray) -> str:
    """A (query, key) pattern: for each of the last queries the key that it looks at most."""
    queries, keys = pattern.shape
    kind = f"{titled('Attention pattern', title)}: {queries} queries by {keys} keys"
    rounded = significant(np.nan_to_num(pattern))
    looks = [
        f"{quoted(tokens[query])} at {quoted(tokens[key])} ({key}) {number(pattern[query, key])}"
        for query in range(max(0, queries - MOST_NAMED), queries)
        for key in [int(rounded[query].argmax())]
    ]
    return sentence(kind, f"Looks most, the last {len(looks)} tokens: {'; '.join(looks)}")


def of_token_table(title: str, colour_label: str, cells: Sequence[Sequence[str]], tokens: Sequence[str]) -> str:
    """Tokens by depth and position: what stands above the last position, depth by depth."""
    depths, positions = len(cells), len(tokens)
    kind = f"{titled('Table of tokens', title)}: {depths} depths by {positions} positions"
    runs: list[list[int]] = []
    for depth in range(depths):
        if runs and cells[depth][-1] == cells[runs[-1][0]][-1]:
            runs[-1][1] = depth
        else:
            runs.append([depth, depth])
    told = [f"{first if first == last else f'{first} to {last}'} {quoted(cells[first][-1])}" for first, last in runs]
    after = f"After {quoted(tokens[-1])}, by depth: {'; '.join(told)}"
    return sentence(coloured(kind, colour_label), after)


def of_points(title: str, axes: tuple[str, str], x: np.ndarray, y: np.ndarray, labels: Mapping[int, str]) -> str:
    """Points: how many, their ranges, and those that have a name."""
    kind = titled(counted(len(x), "point"), title)
    over = f"{axes[1] or 'vertical'} from {number(y.min())} to {number(y.max())}, "
    over += f"over {axes[0] or 'horizontal'} from {number(x.min())} to {number(x.max())}"
    named = [f"{text.strip()} ({number(x[i])}, {number(y[i])})" for i, text in labels.items()]
    return sentence(f"{kind}: {over}", f"Named: {listed(named, 'points')}" if named else "")


def of_steps(title: str, xlabel: str, steps: Mapping[str, float]) -> str:
    """Steps: what is left after each, and how many times less that is than at first."""
    numbers = list(steps.values())
    told = [
        f"{name} {number(left)}" + (f", {number(numbers[0] / left)} times faster" if place and left else "")
        for place, (name, left) in enumerate(steps.items())
    ]
    return sentence(f"{titled('What each step leaves', title)}, {xlabel}", listed(told, "steps"))


def of_paths(title: str, axes: tuple[str, str], paths: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Paths of (cost, gain) points: each point of each path."""
    kind = titled(counted(len(paths), "path"), title)
    told = [
        f"{name}: " + ", ".join(f"{number(up)} for {number(across)}" for across, up in zip(cost, gain, strict=True))
        for name, (cost, gain) in paths.items()
    ]
    return sentence(f"{kind}: {axes[1] or 'gain'} for {axes[0] or 'cost'}", listed(told, "paths"))


def counted(count: int, what: str) -> str:
    """`1 bar`, `3 bars`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def number_of_place(x: float) -> str:
    """Where a point of a line stands: a whole number as it is, any other with two digits."""
    return f"{x:,.0f}" if float(x).is_integer() else number(x)


def significant(values: np.ndarray) -> np.ndarray:
    """The values with the digits that `number` keeps at their own scale."""
    rounded = np.vectorize(lambda value: float(f"{value:.2g}"), otypes=[float])(values)
    return np.where(np.abs(rounded) < noise(largest(values)), 0.0, rounded)


def ranked(table: np.ndarray) -> list[tuple[int, int]]:
    """The (row, column) places of the finite cells, the highest first; of equals the first in reading order."""
    rounded = significant(table)
    order = np.argsort(-np.where(np.isfinite(rounded), rounded, -np.inf), axis=None, kind="stable")
    places = [(int(place) // table.shape[1], int(place) % table.shape[1]) for place in order]
    return [place for place in places if np.isfinite(table[place])]
