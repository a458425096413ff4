"""What a lesson has its reader predict: the question above the cell in which a guess is kept.

The prediction is the one source of its question; here it is written into the lesson, behind the mark
``**Predict first:**`` in the Markdown cell above ``predict(...)``. A question for which no guess is kept stands behind
the same mark, and is the author's.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from course_utils.exercises.lookup import get_prediction
from course_utils.exercises.predicting import Prediction
from course_utils.notebooks.normalise import Problem

MARK = "**Predict first:**"

_ASKED = re.compile(r"\*\*Predict(?: first)?[.:]\*\*\s*(.+?)(?=\n\s*\n|\Z)", re.DOTALL)
_PREDICT = re.compile(r"^predict\(\"([\w.]+)\"", re.MULTILINE)
_FOLD = re.compile(r"^<details>", re.MULTILINE)


def asked_before(source: str) -> list[str]:
    """What a cell of Markdown has its reader predict, each question in one line."""
    return [" ".join(found.split()) for found in _ASKED.findall(source)]


def write_questions(notebook: NotebookNode) -> None:
    """Write each prediction's question into `notebook`, in place. Ids that nothing defines are left alone."""
    for prediction, index in _predictions_of(notebook):
        cell = notebook.cells[index]
        cell["source"] = _with_question(cell.source, prediction)


def problems(notebook: NotebookNode) -> list[Problem]:
    """The Markdown cells whose question is not that of their prediction, with what to do about it."""
    return [
        Problem(index, f"does not ask what prediction {prediction.id} asks; run `course notebooks furnish`")
        for prediction, index in _predictions_of(notebook)
        if notebook.cells[index].source != _with_question(notebook.cells[index].source, prediction)
    ]


def _predictions_of(notebook: NotebookNode) -> Iterator[tuple[Prediction, int]]:
    """Each prediction with the place of the Markdown cell above the cell that keeps the guess."""
    above: int | None = None
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            above = index
        if cell.cell_type != "code" or above is None:
            continue
        for id in _PREDICT.findall(cell.source):
            with contextlib.suppress(KeyError):
                yield get_prediction(id), above


def _with_question(source: str, prediction: Prediction) -> str:
    """The cell with the question in place of the last one in it; where it has none, above the hints or at its end."""
    wanted = f"{MARK} {prediction.asks}"
    asked = list(_ASKED.finditer(source))
    if asked:
        return source[: asked[-1].start()] + wanted + source[asked[-1].end() :]
    fold = _FOLD.search(source)
    before, after = (source[: fold.start()], source[fold.start() :]) if fold else (source, "")
    return "\n\n".join(piece for piece in (before.rstrip("\n"), wanted, after) if piece)
