"""Mark a folder: what is already marked is kept, the rest is spread over workers, each result is stored as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.grading import canary, executors
from course_utils.grading.intake import Submission, collect
from course_utils.grading.lesson import Lesson
from course_utils.grading.sandbox import Limits
from course_utils.grading.store import Store, fingerprint, record

Told = Callable[[str, int, int], None]
"""Progress: what is being said, how many submissions are done, of how many."""


@dataclass(frozen=True)
class Plan:
    """How a folder is to be marked.

    Attributes:
        submissions: a folder or a zip.
        out: where results go; nothing is written anywhere else.
        executor: see :func:`course_utils.grading.executors.executor`.
        again: mark also what is marked already.
        seed: of the hidden inputs, the same for all; fresh for each submission unless given.
    """

    submissions: Path
    out: Path
    level: str
    limits: Limits
    workers: int = 2
    executor: str = "local"
    roster: Path | None = None
    again: bool = False
    seed: int | None = None


def grade(lesson: Lesson, plan: Plan, tell: Told = lambda *_: None) -> list[dict[str, Any]]:
    """Mark every submission and return their results in the order of the students' names.

    Raises:
        CourseError: the folder, the roster, the executor or the canary is not in order. Nothing was marked then.
    """
    submissions = collect(plan.submissions, lesson, plan.roster)
    store = Store(plan.out)
    store.keep_only({submission.student.key for submission in submissions})
    prints = {one.student.key: fingerprint(one, lesson, plan.level, plan.limits) for one in submissions}
    results: dict[str, dict[str, Any]] = {}
    todo: list[Submission] = []
    for one in submissions:
        key = one.student.key
        stored = None if plan.again else store.load(key)
        if stored is not None and stored["fingerprint"] == prints[key] and stored["status"] != "examiner error":
            results[key] = stored
        elif one.notebook is None:
            results[key] = record(one, lesson, prints[key], None)
            store.save(results[key])
        else:
            todo.append(one)
    if todo:
        _mark(lesson, plan, todo, prints, results, store, len(submissions), tell)
    return [results[one.student.key] for one in submissions]


def _mark(
    lesson: Lesson,
    plan: Plan,
    todo: list[Submission],
    prints: dict[str, str],
    results: dict[str, dict[str, Any]],
    store: Store,
    count: int,
    tell: Told,
) -> None:
    with executors.executor(plan.executor, plan.workers, plan.out / "jobs") as pool:
        tell("the solved lesson and the untouched one, as a test of the machine", len(results), count)
        canary.sing(lesson, plan.level, plan.limits, pool)
        waiting: dict[Future[Any], Submission] = {}
        for one in todo:
            task = executors.Task(lesson.source, plan.level, plan.limits, json.dumps(one.notebook), plan.seed)
            waiting[pool.submit(executors.do, task)] = one
        tell(todo[0].student.name, len(results), count)
        for future in as_completed(waiting):
            one = waiting[future]
            try:
                answer = future.result()
            except Exception as error:  # of the executor: one lost submission is not the others' business
                answer = {"broken": f"{type(error).__name__}: {error}"}
            broken = answer.get("broken", "")
            result = record(one, lesson, prints[one.student.key], None if broken else answer, broken)
            store.save(result)
            results[one.student.key] = result
            tell(one.student.name, len(results), count)
