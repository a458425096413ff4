"""Mark one submission: ask, read what came, and where a run ended early, ask again without what ended it.

One answer that kills its process, or never ends, costs its own exercise and no other.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from dataclasses import replace
from typing import Any

from nbformat import NotebookNode

from course_utils.grading import exam, examiner, verdicts
from course_utils.grading.borrowed import borrowed
from course_utils.grading.exam import names_bound
from course_utils.grading.lesson import Lesson
from course_utils.grading.merge import Merged, merge
from course_utils.grading.sandbox import Limits, Sandbox
from course_utils.grading.verdicts import Mark, plain

ROUNDS = 20  # at most this many kernels for one submission


def mark(
    lesson: Lesson, notebook: NotebookNode, sandbox: Sandbox, *, seed: int | None = None, ask_all: bool = False
) -> dict[str, Any]:
    """Everything that is found out about one notebook, as plain data: marks, flags, words, seed and the record of each run.

    Args:
        seed: of the hidden inputs; fresh unless given.
        ask_all: run the stubs that were not touched, too.
    """
    merged = merge(lesson, notebook)
    return _Marking(lesson, merged, sandbox, secrets.randbelow(2**31) if seed is None else seed, ask_all).result()


class _Marking:
    def __init__(self, lesson: Lesson, merged: Merged, sandbox: Sandbox, seed: int, ask_all: bool) -> None:
        self.lesson, self.merged, self.sandbox, self.seed = lesson, merged, sandbox, seed
        self.limits: Limits = sandbox.limits
        self.marks: dict[str, Mark] = {}
        self.left: list[str] = []
        self.drop: set[str] = set()
        self.suspects: dict[str, str] = {}
        self.flags: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.whole = False
        self.started = time.monotonic()
        for exercise in lesson.exercises:
            if merged.answers[exercise.id] is None:
                self.marks[exercise.id] = plain(
                    exercise, "missing", "There is no answer cell for this exercise in the notebook."
                )
                self.drop.add(exercise.id)
            elif exercise.id in merged.untouched and not ask_all:
                self.marks[exercise.id] = plain(exercise, "not tried")
            else:
                self.left.append(exercise.id)

    def result(self) -> dict[str, Any]:
        failures = 0
        for _ in range(ROUNDS):
            time_left = self.limits.wall - (time.monotonic() - self.started)
            if not self.left or time_left < 1:
                break
            reading = self._run(time_left)
            if reading.trouble:
                failures += 1
                if failures == 2:
                    for id in self.left:
                        self.marks[id] = plain(
                            self.lesson.exercise(id), "examiner error", f"The marking itself failed. {reading.trouble}"
                        )
                    self.left = []
            self._take(reading)
        for id in self.left:
            self.marks[id] = plain(
                self.lesson.exercise(id), "not reached", f"The {self.limits.wall:.0f} s for one notebook were over."
            )
        return {
            "marks": {id: self._complete(id).to_json() for id in self.lesson.ids},
            "flags": [*dict.fromkeys([text for id, text in self.merged.flags if not id] + self.flags)],
            "prose": self.merged.prose,
            "seed": self.seed,
            "level": self.sandbox.level,
            "walls_doubled": self.sandbox.nested,
            "seconds": round(time.monotonic() - self.started, 2),
            "runs": self.runs,
        }

    def _run(self, time_left: float) -> verdicts.Reading:
        nonce = secrets.token_hex(16)
        asked = list(self.left)
        notebook = exam.build(
            self.lesson, self.merged, asked, self.seed, nonce, self.limits.case, drop=self.drop, whole=self.whole
        )
        right = frozenset(id for id, one in self.marks.items() if one.verdict == "pass")
        meeting = self.sandbox.new_meeting()
        scratch = self.sandbox.folder / "scratch" / meeting.name
        entries = examiner.run(
            self.lesson,
            notebook,
            examiner.Question(self.seed, nonce, right),
            self.limits,
            spec_folder=self.sandbox.spec_folder,
            meeting=meeting,
            scratch=scratch,
            wall=time_left,
        )
        ended = examiner.kernel_end(meeting)
        self.runs.append({"asked": asked, "whole": self.whole, "kernel_end": ended, "cells": entries})
        for place in (meeting, scratch):
            shutil.rmtree(place, ignore_errors=True)
        return verdicts.read(self.lesson, entries, asked, ended)

    def _take(self, reading: verdicts.Reading) -> None:
        self.flags += reading.flags
        if not self.whole and any(self._lacks_a_cell(one) for one in reading.marks.values()):
            self.whole = True  # a cell was left out that was needed after all
            return
        for id, one in reading.marks.items():
            if id in self.suspects:
                one = replace(
                    one,
                    verdict="flaky",
                    points=0,
                    message=f"Once it {verdicts.VERDICTS[self.suspects[id]]}, once it did not.",
                )
            self.marks[id] = one
        self.left = [id for id in self.left if id not in self.marks]
        if reading.culprit is None or reading.culprit[0] not in self.left:
            return
        id, verdict = reading.culprit
        ended = self.runs[-1]["kernel_end"]
        if verdict == "crashed" and not ended and id not in self.suspects:
            self.suspects[id] = verdict  # once may be bad luck
            return
        told = f"{verdicts.VERDICTS[verdict].capitalize()}{f' ({ended})' if ended else ''}."
        self.marks[id] = plain(self.lesson.exercise(id), verdict, told)
        self.drop.add(id)
        self.left.remove(id)

    def _lacks_a_cell(self, one: Mark) -> bool:
        """Whether an answer failed for want of a name that the lesson gives."""
        if one.verdict not in ("error", "part", "fail"):
            return False
        missing = re.search(r"NameError\b.*?name '(\w+)' is not defined", one.message + one.trace, re.DOTALL)
        return missing is not None and any(
            missing.group(1) in names_bound(cell.source)
            for cell in self.lesson.notebook.cells
            if cell.cell_type == "code"
        )

    def _complete(self, id: str) -> Mark:
        flags = [text for exercise, text in self.merged.flags if exercise == id]
        if self.marks[id].verdict not in ("missing", "not tried"):
            extras = self.merged.extras
            answer = [*extras.get(id, []), self.merged.answers[id] or ""]
            taken = borrowed(self.lesson, id, answer, others=[cell for cells in extras.values() for cell in cells])
            flags += [f"uses {name}, which the solution does not" for name in taken]
        return replace(self.marks[id], source=self.merged.answers[id] or "").flagged(*flags)
