"""Mark one notebook: ask, read what came, and where a run ended early, ask again without what ended it.

One answer that kills its process, or never ends, costs its own exercise and no other. Whatever a run was for, an
exercise whose reference it came to show is closed from then on: its mark stands, and no later run asks for it. Else
whoever carries anything from one kernel to the next could hand in what he was shown.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from nbformat import NotebookNode

from course_utils.grading import exam_notebook, examiner, messages, verdicts
from course_utils.grading.flags import Flag, Raised
from course_utils.grading.lesson import Lesson
from course_utils.grading.merge import Merged, merge
from course_utils.grading.names import is_dynamic, names_bound
from course_utils.grading.reading_limit import CODE_LIMIT, SECONDS, ReadingLimit, TookTooLong, code_in
from course_utils.grading.removing import remove
from course_utils.grading.results import Mark, Marked, Ruling, Run
from course_utils.grading.sandbox import Limits, Sandbox
from course_utils.grading.unshown_functions import unshown_functions
from course_utils.grading.verdicts import without_points
from course_utils.notebooks.normalise import parse_cell

ROUNDS = 20  # at most this many kernels for one submission


def mark_notebook(
    lesson: Lesson, notebook: NotebookNode, sandbox: Sandbox, *, seed: int | None = None, ask_all: bool = False
) -> Marked:
    """Everything that is found out about one notebook.

    Args:
        seed: of the hidden inputs; fresh unless given.
        ask_all: run the stubs that were not touched, too.
    """
    limit = ReadingLimit(SECONDS)
    if (code := code_in(notebook)) > CODE_LIMIT:
        return _unread(lesson, messages.TOO_MUCH_CODE.format(code=code, most=CODE_LIMIT), sandbox)
    try:
        merged = limit.read(merge, lesson, notebook)
    except TookTooLong:
        return _unread(lesson, messages.TOO_LONG_TO_READ.format(seconds=SECONDS), sandbox)
    seed = secrets.randbelow(2**31) if seed is None else seed
    return _Marking(lesson, merged, sandbox, seed, limit, ask_all=ask_all).result()


def _unread(lesson: Lesson, told: str, sandbox: Sandbox) -> Marked:
    marks = {one.id: without_points(one, Ruling.NOT_REACHED, told) for one in lesson.exercises}
    return Marked(marks, level=sandbox.level)


class _Marking:
    def __init__(
        self, lesson: Lesson, merged: Merged, sandbox: Sandbox, seed: int, reading: ReadingLimit, *, ask_all: bool
    ) -> None:
        self.lesson, self.merged, self.sandbox, self.seed, self.reading = lesson, merged, sandbox, seed, reading
        self.limits: Limits = sandbox.limits
        self.marks: dict[str, Mark] = {}
        self.left: list[str] = []
        self.drop: set[str] = set()
        self.suspects: set[str] = set()  # those that ended their process once
        self.flags: list[Raised] = []
        self.runs: list[Run] = []
        self.whole = False
        code = (cell.source for cell in lesson.notebook.cells if cell.cell_type == "code")
        self.left_out = merged.own_names | {name for source in code for name in names_bound(source)}
        self.started = time.monotonic()
        for exercise in lesson.exercises:
            if merged.answers[exercise.id] is None:
                self.marks[exercise.id] = without_points(exercise, Ruling.MISSING, messages.NO_ANSWER_CELL)
                self.drop.add(exercise.id)
            elif exercise.id in merged.untouched and not ask_all:
                self.marks[exercise.id] = without_points(exercise, Ruling.NOT_TRIED)
            else:
                self.left.append(exercise.id)

    def result(self) -> Marked:
        failures = 0
        for _ in range(ROUNDS):
            time_left = self.limits.wall - (time.monotonic() - self.started)
            if not self.left or time_left < 1:
                break
            try:
                reading = self._run(time_left, self.left)
            except TookTooLong:
                self._give_up(Ruling.NOT_REACHED, messages.TOO_LONG_TO_READ_ON.format(seconds=SECONDS))
                break
            if reading.trouble:
                failures += 1
                if failures == 2:
                    self._give_up(Ruling.EXAMINER_ERROR, messages.MARKING_FAILED.format(trouble=reading.trouble))
            self._take(reading)
        self._give_up(Ruling.NOT_REACHED, messages.TIME_WAS_OVER.format(seconds=self.limits.wall))
        self._look_again()
        general = [flag for id, flag in self.merged.flags if not id] + self.flags
        return Marked(
            marks={id: self._complete(id) for id in self.lesson.ids},
            flags=tuple(flag for index, flag in enumerate(general) if flag not in general[:index]),
            prose=self.merged.prose,
            seed=self.seed,
            level=self.sandbox.level,
            protections=self.sandbox.protections,
            seconds=round(time.monotonic() - self.started, 2),
            runs=tuple(self.runs),
        )

    def _give_up(self, verdict: Ruling, told: str) -> None:
        for id in self.left:
            self.marks[id] = without_points(self.lesson.exercise(id), verdict, told)
        self.left = []

    def _look_again(self) -> None:
        """Where an answer is not right without all of the learner's own code before its check, see whether it is with
        it: what a function changes, or a text that is executed, no source shows. By then the reference may have been
        seen, so that one earns nothing by itself: a person looks.
        """
        try:
            wide = [id for id, mark in self.marks.items() if self.reading.read(self._may_need_more, id, mark.verdict)]
            time_left = self.limits.wall - (time.monotonic() - self.started)
            if not wide or time_left < 1:
                return
            reading = self._run(time_left, wide, everything=True)
        except TookTooLong:
            return  # and a flag says so
        self.flags += reading.flags
        for id in wide:
            if id in reading.marks and reading.marks[id].verdict == Ruling.PASS:
                told = messages.RIGHT_WITH_ALL_CELLS.format(message=self.marks[id].message)
                self.marks[id] = replace(self.marks[id], verdict=Ruling.UNCLEAR, message=told)

    def _may_need_more(self, id: str, verdict: Ruling) -> bool:
        everything = self.merged.everything.get(id, [])
        if verdict == Ruling.NOT_TRIED:  # `globals()["standardise"] = mine`; most who leave the stub have no answer
            name = self.lesson.exercise(id).name
            return any(name in source and is_dynamic(parse_cell(source)) for _, source in everything)
        if self.whole or everything == self.merged.cells.get(id, []):
            return False
        return verdict in (Ruling.ERROR, Ruling.FAIL, Ruling.PART, Ruling.MISSING)

    def _run(self, time_left: float, ask: Sequence[str], *, everything: bool = False) -> verdicts.Reading:
        nonce = secrets.token_hex(16)
        notebook = self.reading.read(
            exam_notebook.build,
            self.lesson,
            self.merged.with_everything(ask) if everything else self.merged,
            list(ask),
            self.seed,
            nonce,
            self.limits.case,
            drop=self.drop,
            whole=self.whole,
        )
        right = frozenset(id for id, one in self.marks.items() if one.verdict == Ruling.PASS)
        sockets = self.sandbox.new_socket_folder()
        scratch = self.sandbox.scratch / sockets.name
        run = examiner.run(
            self.lesson,
            notebook,
            examiner.Question(self.seed, nonce, right, frozenset() if self.whole or everything else self.left_out),
            self.limits,
            spec_folder=self.sandbox.spec_folder,
            sockets=sockets,
            scratch=scratch,
            wall=time_left,
        )
        self.runs.append(replace(run, whole=self.whole, everything=everything))
        for place in (sockets, scratch):
            remove(place)
        reading = verdicts.read(self.lesson, run)
        return self._discarded(reading) if self.sandbox.was_changed() else reading

    def _discarded(self, reading: verdicts.Reading) -> verdicts.Reading:
        """Nothing that was seen in a run counts during which the files were changed that it was started from. It is
        not run again, since its references were shown.
        """
        for id in list(self.left):
            exercise = self.lesson.exercise(id)
            reading.marks[id] = without_points(exercise, Ruling.EXAMINER_ERROR, messages.SANDBOX_CHANGED)
        reading.flags.append(Flag.SANDBOX_CHANGED.raised())
        reading.culprit, reading.trouble = None, ""
        return reading

    def _take(self, reading: verdicts.Reading) -> None:
        self.flags += reading.flags
        self.whole = self.whole or reading.lacks_a_cell
        for id, one in reading.marks.items():
            if id in self.suspects:
                one = replace(one, verdict=Ruling.FLAKY, points=0, message=messages.ENDED_ONCE)
            self.marks[id] = self._in_doubt(id, one)
        self.left = [id for id in self.left if id not in self.marks]
        if reading.culprit is None or reading.culprit[0] not in self.left:
            return
        id, verdict = reading.culprit
        ended = self.runs[-1].kernel_end
        if verdict == Ruling.CRASHED and not ended and id not in self.suspects:
            self.suspects.add(id)  # once may be bad luck
            return
        told = messages.answer_ended(ended) if ended and verdict == Ruling.CRASHED else verdict.meaning
        if reading.beside:  # whether the answer needs that cell cannot be told for certain
            told = messages.IN_A_CELL_OF_YOUR_OWN.format(message=told)
            verdict = Ruling.UNCLEAR
        self.marks[id] = self._in_doubt(id, without_points(self.lesson.exercise(id), verdict, told))
        self.drop.add(id)
        self.left.remove(id)

    def _in_doubt(self, id: str, mark: Mark) -> Mark:
        """Open, where an answer that is not right may not be the one that the learner meant."""
        if mark.verdict in (Ruling.PASS, Ruling.NOT_TRIED) or mark.verdict.open:
            return mark
        missing = examiner.missing_names(self.runs[-1].cells, id) & self.merged.own_names
        packages = examiner.missing_packages(self.runs[-1].cells, id) - {"course_utils", *self.lesson.modules}
        if packages:
            told = messages.LACKS_PACKAGES.format(names=", ".join(sorted(packages)), message=mark.message)
        elif missing:
            told = messages.LACKS_NAMES.format(names=", ".join(sorted(missing)), message=mark.message)
        elif id in self.merged.doubtful:
            told = messages.SEVERAL_ANSWERS.format(message=mark.message)
        else:
            return mark
        return replace(mark, verdict=Ruling.UNCLEAR, message=told)

    def _complete(self, id: str) -> Mark:
        flags = [flag for exercise, flag in self.merged.flags if exercise == id]
        if self.marks[id].verdict.tried:
            answer = [*self.merged.extras(id), self.merged.answers[id] or ""]
            others = [source for parts in self.merged.everything.values() for _, source in parts]
            seen = {
                name
                for run in self.runs
                for cell in run.cells
                if cell.exercise == id and cell.answer is not None
                for name in cell.answer.used
            }
            try:
                found = self.reading.read(unshown_functions, self.lesson, id, answer, others, seen)
                flags += [Flag.USES_UNSHOWN.raised(function=name) for name in found]
            except TookTooLong:
                flags.append(Flag.NOT_ALL_READ.raised())
        return replace(self.marks[id], source=self.merged.answers[id] or "").flagged(*flags)
