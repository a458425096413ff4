"""A lesson runs to its end with right answers whose values come in other forms than the references'.

Each exercise is solved by that answer of `tests/right_answers` whose values come in the form farthest from the
reference's (an array, a generator), on a tiny model. The two lessons have every kind of value that the others have, and
are the two that once stopped; all seven take three times as long.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.exercises import Model
from course_utils.exercises.forms import Form
from course_utils.exercises.judging import run_case
from course_utils.notebooks import execute, files
from course_utils.notebooks.normalise import checks_in, exercise_roles, text_of
from tests.exercises.test_right_answers import BY_ID, RIGHT
from tests.notebooks.test_other_models import CELL_TIMEOUT, COMMITTED, failed_cells

LESSONS = ("1", "6")
FARTHEST = ("ndarray", "float32", "float64", "generator", "tuple", "list", "scalar tensor", "tensor")


@pytest.mark.slow
def test_every_cell_runs_when_right_answers_return_other_forms() -> None:
    together, given = new_notebook(), 0
    for path in COMMITTED:
        if path.stem[1] not in LESSONS:
            continue
        lesson = files.read(path)
        for index, cell in enumerate(lesson.cells):
            cell["metadata"]["at"] = f"{path.stem}, cell {index}"
        given += answer_differently(lesson)
        together.cells += [new_code_cell("%reset -f"), *lesson.cells]
    assert given > 12
    project = str(Path(__file__).parents[2])
    environment = {"COURSE_MODEL": "tiny-llama", "OMP_NUM_THREADS": "1", "PYTHONPATH": project}
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    done = execute.execute(together, COMMITTED[0].parent, environment=environment, timeout=CELL_TIMEOUT, go_on=True)
    assert failed_cells(done) == []
    assert "".join(text_of(output) for cell in done.cells for output in cell.get("outputs", [])).count("✓") >= given


def answer_differently(lesson: NotebookNode) -> int:
    """Solve a lesson's exercises, one after the other; how many were."""
    names = {
        one.exercise: one.name for cell in lesson.cells if cell.cell_type == "code" for one in checks_in(cell.source)
    }
    given = 0
    for index, (id, role) in exercise_roles(lesson).items():
        number = farthest(id) if role == "answer" else None
        if number is not None:
            module = RIGHT[id][number].__module__
            lesson.cells[index].source += f"\n\nfrom {module} import RIGHT\n{names[id]} = RIGHT[{number}]"
            given += 1
    return given


def farthest(id: str) -> int | None:
    """Which right answer returns the form that is least like the reference's; None where none returns another."""
    exercise = BY_ID[id]
    cases = [case for case in exercise.cases(1) if not case.raises and Model() not in case.args]
    if not cases:
        return None
    own = kinds(run_case(exercise, exercise.reference, cases[0]).form)
    places = {}
    for number, answer in enumerate(RIGHT[id]):
        others = kinds(run_case(exercise, answer, cases[0]).form) - own
        places[number] = min((FARTHEST.index(kind) for kind in others & {*FARTHEST}), default=len(FARTHEST))
    number = min(places, key=places.__getitem__)
    return number if places[number] < len(FARTHEST) else None


def kinds(form: Form | None) -> set[str]:
    """What a value consists of, at any depth."""
    return {form.kind}.union(*map(kinds, form.items)) if form else set()
