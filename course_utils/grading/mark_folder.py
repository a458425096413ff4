"""Mark a folder: what is already marked is kept, the rest is spread over workers, each result is stored as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.grading import executors
from course_utils.grading.intake import Submission, collect
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Broken, OtherFormat, Result, Status
from course_utils.grading.sandbox import Limits
from course_utils.grading.self_test import self_test
from course_utils.grading.store import Store, fingerprint, make_result

Told = Callable[[str, int, int], None]
"""Progress: what is being said, how many submissions are done, of how many."""


@dataclass(frozen=True)
class Plan:
    """How a folder is to be marked.

    Attributes:
        submissions: a folder or a zip.
        out: where results go; nothing is written anywhere else.
        executor: see :func:`course_utils.grading.executors.executor`.
        again: mark also what is marked already: True for all, or the names, ids or keys of some students.
        seed: of the hidden inputs, the same for all; fresh for each submission unless given.
    """

    submissions: Path
    out: Path
    level: str
    limits: Limits
    workers: int = 2
    executor: str = "local"
    roster: Path | None = None
    again: bool | frozenset[str] = False
    seed: int | None = None


def mark_folder(
    lesson: Lesson, plan: Plan, tell: Told = lambda *_: None, say: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Mark every submission and return their results in the order of the students' names.

    Args:
        tell: is told how far it is.
        say: is told what the teacher should know beside the results, in a sentence.

    Raises:
        CourseError: the folder, the roster, the executor or the self-test is not in order. Nothing was marked then.
    """
    return _FolderMarking(lesson, plan, tell, say).results()


class _FolderMarking:
    def __init__(self, lesson: Lesson, plan: Plan, tell: Told, say: Callable[[str], None]) -> None:
        self.lesson, self.plan, self.tell, self.say = lesson, plan, tell, say
        self.submissions = collect(plan.submissions, lesson, plan.roster)
        self.store = Store(plan.out)
        self.store.claim(plan.submissions, lesson)
        self.store.keep_only({submission.student.key for submission in self.submissions})
        self.done: dict[str, Result] = {}

    def results(self) -> list[Result]:
        todo = [one for one in self.submissions if not self._is_done(one)]
        if todo:
            self._mark(todo)
        return [self.done[one.student.key] for one in self.submissions]

    def _fingerprint(self, one: Submission) -> str:
        return fingerprint(one, self.lesson, self.plan.level, self.plan.limits)

    def _is_done(self, one: Submission) -> bool:
        """Whether there is nothing left to do: it was marked already, or cannot be."""
        stored = None
        if not self._again(one):
            try:
                stored = self.store.load(one.student.key)
            except OtherFormat as error:
                self.say(f"{one.student.name} is marked again, since the stored result cannot be used: {error}.")
        if stored and stored.fingerprint == self._fingerprint(one) and stored.status != Status.EXAMINER_ERROR:
            # The roster may say more of a student, or more certainly, than when the notebook was marked.
            current = replace(stored, student=one.student, files=one.files, notes=one.notes)
            if current != stored:
                self.store.save(current)
            self.done[one.student.key] = current
            return True
        if one.notebook is None:
            self._keep(one, None)
            return True
        return False

    def _again(self, one: Submission) -> bool:
        again = self.plan.again
        if isinstance(again, bool):
            return again
        return bool(again & {one.student.key, one.student.name, one.student.id, one.student.email} - {""})

    def _keep(self, one: Submission, answer: executors.Marking | None) -> None:
        result = make_result(one, self.lesson, self._fingerprint(one), answer)
        result = replace(result, by_hand=self.store.by_hand(one.student.key))
        self.store.save(result)
        self.done[one.student.key] = result

    def _mark(self, todo: list[Submission]) -> None:
        plan, count = self.plan, len(self.submissions)
        with executors.executor(plan.executor, plan.workers, plan.out / "jobs") as pool:
            self.tell("the solved lesson and the untouched one, as a test of the machine", len(self.done), count)
            self_test(self.lesson, plan.level, plan.limits, pool)
            waiting: dict[Future[executors.Marking], Submission] = {}
            for one in todo:
                task = executors.Task(self.lesson.source, plan.level, plan.limits, json.dumps(one.notebook), plan.seed)
                waiting[pool.submit(executors.do, task)] = one
            self.tell(todo[0].student.name, len(self.done), count)
            for future in as_completed(waiting):
                one = waiting[future]
                try:
                    answer = future.result()
                except Exception as error:  # of the executor: one lost submission is not the others' business
                    answer = Broken(f"{type(error).__name__}: {error}")
                self._keep(one, answer)
                self.tell(one.student.name, len(self.done), count)
