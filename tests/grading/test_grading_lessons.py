"""Each lesson of the course can be marked: the solved one gets every point, the one that was given none.

An exercise whose solution needs another one's, hidden while that is marked, or that gives values that cannot be sent,
comes to light here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from course_utils.grading.lesson import load_lesson
from course_utils.grading.mark_folder import Plan, mark_folder
from course_utils.grading.sandbox import Limits, choose_level
from course_utils.notebooks.files import lessons, project_root


@pytest.mark.slow
@pytest.mark.parametrize("path", lessons(project_root(Path(__file__))), ids=lambda path: path.stem)
def test_solved_and_untouched(tmp_path: Path, path: Path) -> None:
    """The self-test marks both before anything else, and raises if the solved lesson does not pass or the untouched
    one does.
    """
    (tmp_path / "in").mkdir()
    shutil.copyfile(path, tmp_path / "in" / "Ann Untouched.ipynb")
    lesson = load_lesson(str(path))
    (result,) = mark_folder(lesson, Plan(tmp_path / "in", tmp_path / "out", choose_level()[0], Limits(), workers=1))
    assert result.status == "marked", result.reason
    assert {id: mark.verdict for id, mark in result.marks.items()} == dict.fromkeys(lesson.ids, "not tried")
    assert result.points == 0
