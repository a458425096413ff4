"""The notebook that is really run: the answers, the hidden questions between them, and only those of the lesson's
cells that they need.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import nbformat.v4
from nbformat import NotebookNode

from course_utils.exercises import Exercise
from course_utils.grading.lesson import Lesson
from course_utils.grading.merge import Merged
from course_utils.grading.names import is_dynamic, names_bound, names_used
from course_utils.notebooks.normalise import exercise_roles, parse_cell

_MARKER = re.compile(r"^([^\S\n]*#.*)\b(?:NBVAL|PYTEST_VALIDATE)_(?=[A-Z_]+[^\S\n]*$)", re.MULTILINE)
_INSTALLS = re.compile(
    r"^([^\S\n]*)[%!][^\S\n]*(?:python3? -m )?(?:pip3?|uv|conda|mamba|apt|apt-get)\b.*$", re.MULTILINE
)
_INSIDE = "course_utils.grading.inside.probe"


def build(
    lesson: Lesson,
    merged: Merged,
    ask: Collection[str],
    seed: int,
    nonce: str,
    seconds: float,
    *,
    drop: Collection[str] = (),
    whole: bool = False,
) -> NotebookNode:
    """The exam of one submission.

    Args:
        ask: the exercises to ask for.
        drop: the exercises of which nothing of the learner's is run, since it ended an earlier run. As after a check
            that failed, the reference stands in their place.
        seed: of the hidden inputs.
        nonce: comes back with each answer's values.
        seconds: what an answer may take on one of its inputs.
        whole: run all of the lesson's cells, also those that no answer is seen to need, and of the learner's the same.
    """
    cells: list[NotebookNode] = []
    roles = exercise_roles(lesson.notebook)
    done: set[str] = set()
    for index, cell in enumerate(lesson.notebook.cells):
        if cell.cell_type != "code" or done >= set(ask):
            continue
        id, role = roles.get(index, ("", ""))
        if role == "answer":
            if id not in drop:
                parts = merged.everything if whole else merged.cells
                cells += [_cell(kind, id, _tame(source)) for kind, source in parts.get(id, [])]
        elif role == "check":
            exercise = lesson.exercise(id)
            if id in ask:
                question = f"__import__({_INSIDE!r}, fromlist=['send']).send({id!r}, {seed}, {{nonce!r}}, {seconds})"
                cells.append(_cell("probe", id, question.format(nonce=nonce)))
                cells.append(_cell("again", id, question.format(nonce=nonce + "-again")))
                done.add(id)
            cells.append(_cell("supply", id, supply(exercise, keep=False), name=exercise.name))
        else:
            cells.append(_cell("lesson", "", cell.source))
    return nbformat.v4.new_notebook(cells=cells if whole else _needed(cells))


def supply(exercise: Exercise, *, keep: bool) -> str:
    """The cell that puts an exercise's reference back once it is judged; ``keep`` leaves the learner's own answer
    under its name.
    """
    import inspect
    import textwrap

    source = textwrap.dedent(inspect.getsource(exercise.reference))
    module = exercise.reference.__module__
    arguments = f"{exercise.id!r}, {module!r}, {exercise.name!r}, {source!r}"
    call = f"__import__({_INSIDE!r}, fromlist=['supply']).supply({arguments})"
    return f"{call};" if keep else f"{exercise.name} = {call}"


def _cell(kind: str, exercise: str, source: str, **more: Any) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"exam": {"kind": kind, "exercise": exercise, **more}})


def _tame(source: str) -> str:
    """A learner's comment must not steer nbval (``# NBVAL_SKIP``), and nothing is installed: there is no network, and
    who tries to reach it is flagged.
    """
    return _INSTALLS.sub(r"\1pass", _MARKER.sub(lambda match: match.group(0).lower(), source))


def _needed(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Leave out the lesson's cells that bind no name which an answer, or a cell that an answer needs, uses."""
    learners = [cell for cell in cells if cell.metadata["exam"]["kind"] in ("answer", "extra")]
    if any(is_dynamic(parse_cell(cell.source)) for cell in learners):
        return cells
    wanted: set[str] = set()
    kept: list[NotebookNode] = []
    for cell in reversed(cells):
        kind = cell.metadata["exam"]["kind"]
        if kind == "supply":
            wanted.discard(cell.metadata["exam"]["name"])
        elif kind in ("answer", "extra"):
            wanted |= names_used(cell.source)
        elif kind == "lesson":
            if not names_bound(cell.source) & wanted:
                continue
            wanted |= names_used(cell.source)
        kept.append(cell)
    return kept[::-1]
