"""Each lesson of the course can be marked: the solved one gets every point, the one that was given none.

An exercise whose solution needs another one's, hidden while that is marked, or that gives values that cannot be sent,
comes to light here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils.grading.executors import executor
from course_utils.grading.lesson import load_lesson
from course_utils.grading.sandbox import Limits, choose_level
from course_utils.grading.self_test import self_test
from course_utils.notebooks.files import lessons, project_root


@pytest.mark.slow
@pytest.mark.parametrize("path", lessons(project_root(Path(__file__))), ids=lambda path: path.stem)
def test_solved_and_untouched(path: Path, tmp_path: Path) -> None:
    """What comes before anything is marked raises if the solved lesson does not pass or the untouched one does."""
    with executor("local", 1, tmp_path) as pool:
        self_test(load_lesson(str(path)), choose_level()[0], Limits(), pool)
