"""Results on disk: one JSON file for each submission, written whole or not at all, and good for as long as what it says is about
the same notebook, the same lesson and the same rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_utils.grading.intake import Submission
from course_utils.grading.lesson import Lesson
from course_utils.grading.sandbox import Limits
from course_utils.grading.verdicts import FOR_A_PERSON, Mark

FORMAT = 1


def fingerprint(submission: Submission, lesson: Lesson, level: str, limits: Limits) -> str:
    """What a result depends on. Another one means that it has to be marked again."""
    parts = [FORMAT, submission.digest, lesson.digest, level, asdict(limits)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def record(
    submission: Submission, lesson: Lesson, print_: str, marked: dict[str, Any] | None, error: str = ""
) -> dict[str, Any]:
    """The result of one submission: who, what was handed in, its status, and what marking found (None if it could not be marked)."""
    student = submission.student
    exercises = {exercise.id: {"title": exercise.title, "points": exercise.points} for exercise in lesson.exercises}
    marks = {id: Mark.from_json(mark) for id, mark in marked["marks"].items()} if marked else {}
    status = submission.status or ("examiner error" if error or not marked else _status(marks))
    result: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": print_,
        "student": asdict(student),
        "files": list(submission.files),
        "digest": submission.digest,
        "lesson": lesson.name,
        "exercises": exercises,
        "status": status,
        "reason": submission.reason or error,
        "notes": list(submission.notes),
        "points": sum(mark.points for mark in marks.values()),
        "out_of": sum(exercise.points for exercise in lesson.exercises),
    }
    return result | (
        marked or {"marks": {}, "flags": [], "prose": {}, "seed": None, "level": "", "seconds": 0.0, "runs": []}
    )


def _status(marks: dict[str, Mark]) -> str:
    if any(mark.verdict == "examiner error" for mark in marks.values()):
        return "examiner error"
    return "in part" if any(mark.verdict in FOR_A_PERSON for mark in marks.values()) else "marked"


class Store:
    """The folder ``results`` of one output folder."""

    def __init__(self, out: Path) -> None:
        self.folder = out / "results"
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".*.part"):  # of a run that was killed
            stale.unlink()

    def load(self, key: str) -> dict[str, Any] | None:
        """The stored result of a student, if there is a whole one."""
        with contextlib.suppress(OSError, ValueError):
            data = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            if isinstance(data, dict) and data.get("format") == FORMAT:
                return data
        return None

    def save(self, result: dict[str, Any]) -> None:
        """Write a result so that it is there whole or not at all, whatever happens meanwhile."""
        write_atomically(
            self.folder / f"{result['student']['key']}.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        )

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
