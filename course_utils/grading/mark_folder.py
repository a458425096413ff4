"""Mark a folder: what is already marked is kept, the rest is spread over workers, each result is stored as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading import executors
from course_utils.grading.intake import Submission, collect
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Broken, NotUsable, Result, Ruling, Status
from course_utils.grading.sandbox import Limits
from course_utils.grading.self_test import self_test
from course_utils.grading.store import Store, fingerprint, make_result

_ERRORS = {Ruling.ERROR, Ruling.CRASHED, Ruling.TIME_OUT, Ruling.EXAMINER_ERROR, Ruling.OUTPUT_LIMIT}
_A_RUN = 3  # notebooks with nothing but errors, one after the other
_TWICE = 2
_SET_ASIDE = (
    "Twice the whole marking ended while this notebook was being marked, so it is set aside. Look into it, and mark it "
    "alone with --again."
)
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
        if not isinstance(plan.again, bool):
            known = {name for one in self.submissions for name in _names(one)}
            if unknown := [name for name in plan.again if name.casefold() not in known]:
                raise CourseError(f"--again: nobody is called {', '.join(sorted(unknown))}")
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
            except NotUsable as error:
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
        return bool({name.casefold() for name in again} & _names(one))

    def _keep(self, one: Submission, answer: executors.Marking | None) -> None:
        result = make_result(one, self.lesson, self._fingerprint(one), answer)
        result = replace(result, by_hand=self.store.by_hand(one.student.key))
        self.store.save(result)
        self.done[one.student.key] = result

    def _mark(self, todo: list[Submission]) -> None:
        """Mark these, those last and one by one that the last run did not come to the end of."""
        plan, count = self.plan, len(self.submissions)
        suspects = [one for one in todo if executors.begun(self._running(one))]
        todo = [one for one in todo if one not in suspects]
        for one in list(suspects):
            if executors.begun(self._running(one)) >= _TWICE and not self._again(one):
                self._keep(one, Broken(_SET_ASIDE))
                suspects.remove(one)
        if suspects:
            names = ", ".join(one.student.name for one in suspects)
            self.say(f"the last run ended while these were being marked: {names}. They come last, one by one.")
        with executors.executor(plan.executor, plan.workers, plan.out / "jobs") as pool:
            if todo or suspects:
                self.tell("the solved lesson and the untouched one, as a test of the machine", len(self.done), count)
                self_test(self.lesson, plan.level, plan.limits, pool)
            watch = _Watch(self.lesson, plan, pool)
            waiting = {pool.submit(executors.do, self._task(one)): one for one in todo}
            try:
                for future in as_completed(waiting):
                    self._take(waiting[future], future, watch)
                for one in suspects:
                    self._take(one, pool.submit(executors.do, self._task(one)), watch)
                watch.last()
            except _MachineChanged as changed:
                for future in waiting:
                    future.cancel()
                for key in changed.since:
                    one = next(one for one in self.submissions if one.student.key == key)
                    self._keep(one, Broken(f"It was marked while the machine was not in order: {changed}"))
                names = ", ".join(self.done[key].student.name for key in changed.since)
                raise CourseError(f"{changed} Set aside one of these, and mark again: {names}.") from None
            finally:
                for one in [*todo, *suspects]:  # whatever ended it, this program is there to say so
                    self._running(one).unlink(missing_ok=True)

    def _task(self, one: Submission) -> executors.Task:
        plan = self.plan
        running = ""
        if plan.executor == "local":
            self._running(one).parent.mkdir(exist_ok=True)
            running = str(self._running(one))
        return executors.Task(
            self.lesson.source, plan.level, plan.limits, json.dumps(one.notebook), plan.seed, running=running
        )

    def _running(self, one: Submission) -> Path:
        return self.plan.out / "running" / one.student.key

    def _take(self, one: Submission, future: Future[executors.Marking], watch: _Watch) -> None:
        try:
            answer = future.result()
        except Exception as error:  # of the executor: one lost submission is not the others' business
            answer = Broken(f"{type(error).__name__}: {error}")
        self._keep(one, answer)
        self.tell(one.student.name, len(self.done), len(self.submissions))
        watch.saw(self.done[one.student.key])


def _names(one: Submission) -> set[str]:
    student = one.student
    return {name.casefold() for name in (student.key, student.name, student.id, student.email) if name}


class _MachineChanged(Exception):
    """The machine marks wrongly; ``since``: the students who were marked since it was last seen to mark rightly."""

    def __init__(self, told: str, since: list[str]) -> None:
        super().__init__(told)
        self.since = since


class _Watch:
    """At the level ``rlimits``, looks whether what marks is still what it was: the course's files after each notebook,
    and the self-test whenever a run of errors begins and at the end.
    """

    def __init__(self, lesson: Lesson, plan: Plan, pool: Executor) -> None:
        self.lesson, self.plan, self.pool = lesson, plan, pool
        self.needed = plan.level == "rlimits"
        self.since: list[str] = []
        self.in_a_row = 0

    def saw(self, result: Result) -> None:
        """Raises _MachineChanged where marking cannot go on."""
        if not self.needed:
            return
        self.since.append(result.student.key)
        if replace(self.lesson).digest != self.lesson.digest:
            raise _MachineChanged(
                "The files of the course were changed while a notebook was marked; install it anew.", self.since
            )
        rulings = {mark.verdict for mark in result.marks.values() if mark.verdict.tried}
        self.in_a_row = self.in_a_row + 1 if rulings and rulings <= _ERRORS else 0
        if self.in_a_row == _A_RUN:
            self._test_again()

    def last(self) -> None:
        """Raises _MachineChanged where the self-test fails at the end."""
        if self.needed and self.since:
            self._test_again()

    def _test_again(self) -> None:
        try:
            self_test(self.lesson, self.plan.level, self.plan.limits, self.pool)
        except CourseError as error:
            told = f"The solved lesson, or the untouched one, is not marked as it was at the beginning: {error}"
            raise _MachineChanged(told, self.since) from None
        self.since = []
