"""The notebook that is really run: the answers, the hidden questions between them, and only those of the lesson's
cells that they need.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass

import nbformat.v4
from nbformat import NotebookNode

from course_utils.exercises import Exercise
from course_utils.grading.lesson import Lesson
from course_utils.grading.merge import Merged
from course_utils.grading.names import is_dynamic, names_bound, names_used
from course_utils.grading.results import CellKind
from course_utils.notebooks.normalise import exercise_roles, parse_cell

_MARKER = re.compile(r"^([^\S\n]*#.*)\b(?:NBVAL|PYTEST_VALIDATE)_(?=[A-Z_]+[^\S\n]*$)", re.MULTILINE)
_INSTALLS = re.compile(
    r"^([^\S\n]*)[%!][^\S\n]*(?:python3? -m )?(?:pip3?|uv|conda|mamba|apt|apt-get)\b.*$", re.MULTILINE
)
_INSIDE = "course_utils.grading.inside.probe"


@dataclass(frozen=True)
class ExamCell:
    """What a cell of the exam is there for, for which exercise ("" for the lesson's own), and, of one that puts back a
    reference, under which name. It travels in the cell's metadata.
    """

    kind: CellKind
    exercise: str = ""
    name: str = ""

    @classmethod
    def of(cls, cell: NotebookNode) -> ExamCell:
        """That of a cell of the exam."""
        stored = cell.metadata["exam"]
        return cls(CellKind(stored["kind"]), stored["exercise"], stored["name"])

    def with_source(self, source: str) -> NotebookNode:
        """The cell itself."""
        return nbformat.v4.new_code_cell(source, metadata={"exam": asdict(self)})


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
                cells += [ExamCell(kind, id).with_source(_tame(source)) for kind, source in parts.get(id, [])]
        elif role == "check":
            exercise = lesson.exercise(id)
            if id in ask:
                question = f"__import__({_INSIDE!r}, fromlist=['send']).send({id!r}, {seed}, {{nonce!r}}, {seconds})"
                cells.append(ExamCell(CellKind.PROBE, id).with_source(question.format(nonce=nonce)))
                cells.append(ExamCell(CellKind.AGAIN, id).with_source(question.format(nonce=nonce + "-again")))
                done.add(id)
            put_back = supply(exercise, keep=False)
            cells.append(ExamCell(CellKind.SUPPLY, id, exercise.name).with_source(put_back))
        else:
            cells.append(ExamCell(CellKind.LESSON).with_source(cell.source))
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


def _tame(source: str) -> str:
    """A learner's comment must not steer nbval (``# NBVAL_SKIP``), and nothing is installed: there is no network, and
    who tries to reach it is flagged.
    """
    return _INSTALLS.sub(r"\1pass", _MARKER.sub(lambda match: match.group(0).lower(), source))


def _needed(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Leave out the lesson's cells that bind no name which an answer, or a cell that an answer needs, uses."""
    exam = [(ExamCell.of(cell), cell) for cell in cells]
    if any(one.kind.learners and is_dynamic(parse_cell(cell.source)) for one, cell in exam):
        return cells
    wanted: set[str] = set()
    kept: list[NotebookNode] = []
    for one, cell in reversed(exam):
        if one.kind is CellKind.SUPPLY:
            wanted.discard(one.name)
        elif one.kind.learners:
            wanted |= names_used(cell.source)
        elif one.kind is CellKind.LESSON:
            if not names_bound(cell.source) & wanted:
                continue
            wanted |= names_used(cell.source)
        kept.append(cell)
    return kept[::-1]
