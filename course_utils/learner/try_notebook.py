"""`course check`: run a learner's notebook in a kernel of its own, and say how each exercise stands."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:  # nbformat comes in only when a notebook is read
    from nbformat import NotebookNode

WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class State:
    """How one exercise of a notebook stands.

    ``status`` is "right", "wrong", "not tried" or "not reached"; ``message`` what the check said, or why it was not
    reached.
    """

    exercise: str
    status: str
    points: int
    message: str


def states(path: Path, timeout: float = 600) -> list[State]:
    """Run the notebook from top to bottom, going on after a cell that fails; its exercises in order.

    Nothing is written beside it, and no progress is kept. ``timeout`` is in seconds, for each cell.

    Raises:
        CourseError: it cannot be read, it has no check cell, a cell takes too long, or the kernel dies.
    """
    from course_utils.learner import record
    from course_utils.notebooks import execute, files, normalise

    notebook = files.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    asked = [one.exercise for cell in code for one in normalise.checks_in(cell.source)]
    if not asked:
        raise CourseError(f"{path}: has no check cell; a lesson of the course was expected.")
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) / "progress.json"
        executed = execute.execute(
            _watched(notebook),
            path.resolve().parent,
            timeout=timeout,
            environment={"COURSE_PROGRESS": str(kept)},
            go_on=True,
        )
        found = record.read(kept)["exercises"] if kept.is_file() else {}
    failed = _first_error(executed)
    return [_state(id, found.get(id), failed) for id in asked]


def changes(path: Path) -> Iterator[None]:
    """One item at once, and one each time the file is saved again; for ever."""
    last: int | None = None
    while True:
        try:
            now: int | None = path.stat().st_mtime_ns
        except OSError:  # between an editor's two steps of saving
            now = last
        if now != last:
            last = now
            yield
        time.sleep(WATCH_SECONDS)


def _watched(notebook: NotebookNode) -> NotebookNode:
    """The notebook behind a cell that has its checks recorded, also of what was not tried."""
    from nbformat.v4 import new_code_cell

    result = copy.deepcopy(notebook)
    result.cells.insert(0, new_code_cell("from course_utils.learner import progress; progress.keep_untried()"))
    return result


def _state(id: str, entry: dict[str, object] | None, failed: str) -> State:
    if entry is None:
        return State(id, "not reached", 0, failed or "its check cell did not run")
    message = str(entry.get("message", ""))
    points = entry.get("points", 0)
    return State(id, str(entry.get("status", "not tried")), points if isinstance(points, int) else 0, message)


def _first_error(notebook: NotebookNode) -> str:
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                # One cell came in front, so this counts from 1.
                return f"cell {index} failed with {output.ename}: {output.evalue}"[:300]
    return ""
