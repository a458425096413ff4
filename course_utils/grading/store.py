"""Results on disk: one JSON file for each submission, written whole or not at all, and good for as long as what it
says is about the same notebook, the same lesson and the same rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import msgspec

from course_utils.grading.intake import Submission
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import (
    FORMAT,
    Broken,
    ExerciseInfo,
    Mark,
    Marked,
    OtherFormat,
    Result,
    Ruling,
    Status,
    decode_result,
    encode,
)
from course_utils.grading.sandbox import Limits


def fingerprint(submission: Submission, lesson: Lesson, level: str, limits: Limits) -> str:
    """What a result depends on. Another one means that it has to be marked again."""
    parts = [FORMAT, submission.digest, lesson.digest, level, asdict(limits)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def make_result(submission: Submission, lesson: Lesson, print_: str, marked: Marked | Broken | None) -> Result:
    """The result of one submission; ``marked`` is None if there was nothing that could be marked."""
    broken = marked.reason if isinstance(marked, Broken) else ""
    found = marked if isinstance(marked, Marked) else Marked({})
    status = Status(submission.status) if submission.status else _status(found.marks)
    return Result(
        format=FORMAT,
        fingerprint=print_,
        student=submission.student,
        files=submission.files,
        digest=submission.digest,
        lesson=lesson.name,
        exercises={exercise.id: ExerciseInfo(exercise.title, exercise.points) for exercise in lesson.exercises},
        status=status,
        reason=submission.reason or broken,
        notes=submission.notes,
        marked=found,
    )


def _status(marks: dict[str, Mark]) -> Status:
    if not marks or any(mark.verdict == Ruling.EXAMINER_ERROR for mark in marks.values()):
        return Status.EXAMINER_ERROR
    return Status.IN_PART if any(mark.verdict.open for mark in marks.values()) else Status.MARKED


class Store:
    """The folder ``results`` of one output folder."""

    def __init__(self, out: Path) -> None:
        self.folder = out / "results"
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".*.part"):  # of a run that was killed
            stale.unlink()

    def load(self, key: str) -> Result | None:
        """The stored result of a student, None if there is none.

        Raises:
            OtherFormat: there is one that cannot be used; it says why.
        """
        try:
            data = (self.folder / f"{key}.json").read_bytes()
        except OSError:
            return None
        return decode_result(data)

    def load_all(self) -> list[Result]:
        """Every stored result that can be read, in the order of the students' keys."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(OtherFormat, OSError):
                found.append(decode_result(path.read_bytes()))
        return found

    def save(self, result: Result) -> None:
        """Write a result so that it is there whole or not at all, whatever happens meanwhile."""
        text = msgspec.json.format(encode(result), indent=1).decode()
        write_atomically(self.folder / f"{result.student.key}.json", text + "\n")

    def keep_only(self, keys: set[str]) -> None:
        """Remove the results of students who are not in the folder any more."""
        for path in self.folder.glob("*.json"):
            if path.stem not in keys:
                path.unlink()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that no one ever sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Half characters can come from a submission; no file is lost for them.
    partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    partial.replace(path)
