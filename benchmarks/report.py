"""The results as JSON, as Markdown and as a picture.

What other processors gave stands in processors/, each the results.json of a run there under a name of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row
from course_utils.pictures.plots import HIGHLIGHT, PALETTE, PLAIN, new_picture

COLUMNS = (
    ("what", "---"), ("way", "---"), ("seconds", "--:"), ("times", "--:"), ("memory, MB", "--:"), ("agreement", "--:"),
    ("note", "---"),
)  # fmt: skip
"""Of a table, by name with what Markdown wants under it; one in which nothing stands is left out."""


def write(folder: Path, machine: dict[str, Any], rows: Sequence[Row], command: str) -> list[Path]:
    """Write results.json, results.md and, if there is something to draw, results.png; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "results.json", folder / "results.md"]
    content = {"command": command, "machine": machine, "rows": [row.as_dict() for row in rows]}
    written[0].write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    others = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("processors/*.json"))]
    text = markdown(machine, rows, command) + by_processor([content, *others])
    written[1].write_text(text, encoding="utf-8")
    if any(row.table in ("head sweep", "ladder", "prompt length", "prompt pairs") for row in rows):
        written.append(folder / "results.png")
        picture(rows).savefig(written[2], dpi=100, facecolor="white")
    return written


def markdown(machine: dict[str, Any], rows: Sequence[Row], command: str) -> str:
    """A table for each part, and the machine that it was measured on."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    lines = [
        "# Measured",
        "",
        f"With `{command}`, on {machine['processor']}: {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['memory_gb']} GB, accelerator: {machine.get('accelerator', 'none')}; "
        f"{machine['system']}, Python {machine['python']}; {packages}. "
        f"Load average before the start: {machine['load_before']}.",
        "",
        "Ways that are compared took turns in one run; the best of the rounds counts. *Times* is against the first "
        "line of the same question. *Memory* is the peak above what the process held before; for a lesson, of all its "
        "processes.",
        "*Agreement* is the largest difference from the first line's numbers.",
    ]
    for table in dict.fromkeys(row.table for row in rows):
        cells = [_cells(row) for row in rows if row.table == table]
        filled = [place for place in range(len(COLUMNS)) if any(row[place] for row in cells)]
        lines += ["", f"## {table.capitalize()}", ""]
        for row in ([name for name, _ in COLUMNS], [rule for _, rule in COLUMNS], *cells):
            lines.append(f"| {' | '.join(row[place] for place in filled)} |")
    return "\n".join(lines) + "\n"


def by_processor(results: Sequence[dict[str, Any]]) -> str:
    """The head sweep and each step of the ladder, how many times as fast as the plain loop, a column for each of the
    results; "" without a head sweep in the first. Each is what a results.json holds.
    """
    first = [row for row in results[0]["rows"] if row["table"] in ("head sweep", "ladder")]
    if not any(row["table"] == "head sweep" for row in first):
        return ""
    asked = [(f"{row['table']}: {row['way']}", row["table"], row["way"], "times_faster") for row in first]
    asked.append(("patch_heads, seconds", "arithmetic limit", "patch_heads", "seconds"))
    asked.append(("its growing batch", "arithmetic limit", "its growing batch", "note"))
    lines = [
        "",
        "## By processor",
        "",
        "All heads, one pair: how many times as fast as the first line of the same run. The ladder's shortcuts add up "
        "from line to line.",
        "",
        f"| way | {' | '.join(result['machine']['processor'] for result in results)} |",
        f"| --- |{' --: |' * len(results)}",
    ]
    for name, table, way, figure in asked:
        cells = []
        for result in results:
            rows = [row for row in result["rows"] if (row["table"], row["way"]) == (table, way)]
            found = rows[0][figure] if rows else None
            cells.append(found if isinstance(found, str) else _number(found))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    """One row's text in each of COLUMNS, "" where it has none."""
    agreement = "" if row.agreement is None else f"{row.agreement:.1e}" if row.agreement else "0"
    numbers = [_number(row.seconds), _number(row.times_faster), _number(row.memory_mb, 0)]
    return [row.what, row.way, *numbers, agreement, row.note]


def _number(value: float | None, places: int | None = None) -> str:
    if value is None:
        return ""
    if places is not None:
        return f"{value:.{places}f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def picture(rows: Sequence[Row]) -> Any:
    """The head sweep as bars, the ladder as bars, and how time grows with length and with pairs."""
    figure, axes = new_picture(11, 8, 2, 2)
    for axis, table in zip(axes[0], ("head sweep", "ladder"), strict=True):
        some = [row for row in rows if row.table == table and row.seconds]
        if not some:
            axis.set_axis_off()
            continue
        axis.barh([row.way for row in some], [row.seconds for row in some], color=[_colour(row) for row in some])
        for place, row in enumerate(some):
            axis.text(row.seconds or 0.0, place, f" {_number(row.seconds)} s", va="center")
        axis.invert_yaxis()
        axis.set_xlim(right=1.2 * max(row.seconds or 0.0 for row in some))
        axis.set_xlabel("seconds")
        axis.set_title(f"{table.capitalize()}: all heads, one pair")
    for axis, table in zip(axes[1], ("prompt length", "prompt pairs"), strict=True):
        if not any(row.table == table for row in rows):
            axis.set_axis_off()
            continue
        for colour, way in zip(PALETTE, ("plain loop", "patch_heads"), strict=False):
            some = [row for row in rows if row.table == table and row.way == way and "no common" not in row.what]
            counts = [int(row.what.split()[0]) for row in some]
            axis.plot(counts, [row.seconds for row in some], "o-", color=colour, label=way)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("tokens" if table == "prompt length" else "pairs")
        axis.set_ylabel("seconds")
        axis.set_title(f"Time with {table}")
        axis.legend()
    return figure


def _colour(row: Row) -> str:
    return HIGHLIGHT if row.way in ("patch_heads", "+ product") else PLAIN
