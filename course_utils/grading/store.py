"""Results on disk: one JSON file for each submission, written whole or not at all, and good for as long as what it
says is about the same notebook, the same lesson and the same rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

from course_utils.errors import CourseError
from course_utils.grading.handed_in import LABEL, Label
from course_utils.grading.intake import Submission
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import (
    FORMAT,
    Broken,
    ByHand,
    ExerciseInfo,
    Mark,
    Marked,
    NotUsable,
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
    status = submission.status or _status(found.marks)
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
        in_words={question.id: len(question.looks_for) for question in lesson.questions},
        marked=found,
    )


def _status(marks: dict[str, Mark]) -> Status:
    if not marks or any(mark.verdict == Ruling.EXAMINER_ERROR for mark in marks.values()):
        return Status.EXAMINER_ERROR
    return Status.IN_PART if any(mark.verdict.open for mark in marks.values()) else Status.MARKED


class Store:
    """The folders ``results`` and ``by-hand`` of one output folder, which belongs to one folder of submissions and one
    lesson.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder, self.hand = out / "results", out / "by-hand"
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".*.part"):  # of a run that was killed
            stale.unlink()

    def claim(self, submissions: Path, lesson: Lesson) -> None:
        """Say that the folder is for these submissions and this lesson.

        Raises:
            CourseError: it is for others, whose marks would be deleted.
        """
        label = self.out / LABEL
        mine = Label(str(submissions.resolve()), lesson.name, lesson.source)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = msgspec.json.decode(label.read_bytes(), type=Label)
            if (found.submissions, found.lesson) != (mine.submissions, mine.lesson):
                raise CourseError(
                    f"{self.out} holds the marks of lesson {found.lesson} for {found.submissions}; those of lesson "
                    f"{mine.lesson} for {mine.submissions} need a folder of their own: --out FOLDER"
                )
        others = [] if label.exists() else [path for path in self.folder.glob("*.json") if not _is_result(path)]
        if others:
            raise CourseError(
                f"marking would delete files that it did not write, such as {others[0]}; say --out FOLDER"
            )
        write_atomically(label, msgspec.json.format(msgspec.json.encode(mine), indent=1).decode() + "\n")

    def lesson(self) -> str:
        """The lesson whose marks are here, as `load_lesson` takes it. Raises CourseError where none are."""
        try:
            return msgspec.json.decode((self.out / LABEL).read_bytes(), type=Label).source
        except (OSError, msgspec.MsgspecError):
            raise CourseError(f"{self.out}: nothing has been marked there yet") from None

    def load(self, key: str) -> Result | None:
        """The stored result of a student, None if there is none.

        Raises:
            NotUsable: there is one that cannot be used; it says why.
        """
        try:
            data = (self.folder / f"{key}.json").read_bytes()
        except OSError:
            return None
        return replace(decode_result(data), by_hand=self.by_hand(key))

    def load_all(self) -> list[Result]:
        """Every stored result that can be read, in the order of the students' names."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(NotUsable):
                if one := self.load(path.stem):
                    found.append(one)
        return sorted(found, key=lambda one: one.student.name.casefold())

    def save(self, result: Result) -> None:
        """Write a result so that it is there whole or not at all, whatever happens meanwhile."""
        text = msgspec.json.format(encode(result), indent=1).decode()
        write_atomically(self.folder / f"{result.student.key}.json", text + "\n")

    def by_hand(self, key: str) -> dict[str, ByHand]:
        """By exercise, what the teacher gave this student. Raises CourseError where the file is damaged: a mark by hand
        is never dropped in silence.
        """
        path = self.hand / f"{key}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, ByHand])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise CourseError(f"{path}: the marks given by hand cannot be read ({error})") from None

    def set_by_hand(self, key: str, exercise: str, mark: ByHand) -> None:
        """Keep a mark that the teacher gives, beside the results, where no marking writes."""
        self.hand.mkdir(exist_ok=True)
        marks = self.by_hand(key) | {exercise: mark}
        text = msgspec.json.format(msgspec.json.encode(marks), indent=1).decode()
        write_atomically(self.hand / f"{key}.json", text + "\n")

    def keep_only(self, keys: set[str]) -> None:
        """Remove the results of students who are not in the folder any more; what was given by hand stays."""
        for path in self.folder.glob("*.json"):
            if path.stem not in keys:
                path.unlink()


def _is_result(path: Path) -> bool:
    """Whether marking wrote it, in this version or another."""
    try:
        decode_result(path.read_bytes())
    except NotUsable as error:
        return isinstance(error, OtherFormat)
    return True


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that no one ever sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Half characters can come from a submission; no file is lost for them.
    partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    partial.replace(path)
