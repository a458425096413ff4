"""Before anything is marked: the solved lesson must get every point, and the lesson as it was given none.

If not, the lesson, the machine or the sandbox is at fault, and marks would be unfair to everyone. The teacher is told
which.
"""

from __future__ import annotations

import json
from concurrent.futures import Executor

from course_utils.errors import CourseError
from course_utils.grading.executors import Task, do
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Broken, Ruling
from course_utils.grading.sandbox import Limits
from course_utils.notebooks.solve import solve


def self_test(lesson: Lesson, level: str, limits: Limits, pool: Executor) -> None:
    """Mark the solved lesson and the untouched one.

    Raises:
        CourseError: the one does not get all points or the other gets one; it says which exercise, and what was found.
    """
    solved, untouched = (
        pool.submit(do, Task(lesson.source, level, limits, json.dumps(notebook), ask_all=True))
        for notebook in (solve(lesson.notebook), lesson.notebook)
    )
    for what, future, wanted in (
        ("the solved lesson", solved, Ruling.PASS),
        ("the lesson as it is given", untouched, Ruling.NOT_TRIED),
    ):
        try:
            answer = future.result()
        except Exception as error:  # of the executor: nothing of ours raises
            raise CourseError(
                f"nothing was marked: {what} was lost on the way. {type(error).__name__}: {error}"
            ) from error
        if isinstance(answer, Broken):
            raise CourseError(f"nothing was marked: {what} could not be marked either. {answer.reason}")
        for id, mark in answer.marks.items():
            if mark.verdict != wanted:
                told = f"{mark.message}\n{mark.trace}".strip()
                raise CourseError(
                    f"nothing was marked: exercise {id} of {what} came out as {mark.verdict.value!r}, "
                    f"{wanted.value!r} was expected. {told}"
                )
