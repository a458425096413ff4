"""``progress()``: what is done, what comes next; kept on this machine, saved, erased, and a page when all is done."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, get_exercise, messages, watch
from course_utils.exercises.messages import say
from course_utils.learner import certificate, record
from course_utils.learner.standing import Standing, standing

_greeted: set[str] = set()


class Progress:
    """In a notebook: ``progress()`` prints where one stands; ``progress.save()`` writes a file to keep."""

    untried = False

    def keep_untried(self) -> None:
        """From now on note a check of what was not tried, too: it was reached. `course check` wants to know."""
        self.untried = True

    def __call__(self) -> None:
        """Print where one stands, and where that is kept."""
        path = record.file()
        if path is None:
            print("Your progress is not kept here (COURSE_PROGRESS=off, or this is no notebook).")
            return
        print(told(standing(read(path))))
        print(f"Kept in {path}, and sent nowhere.")

    def save(self, target: str | Path = "progress.json") -> Path:
        """Copy the record to a file that survives this machine, as on Colab. ``restore`` brings it back.

        Raises:
            CourseError: nothing is kept yet, or the file cannot be written.
        """
        target, path = Path(target), kept()
        if target.is_dir():
            target = target / "progress.json"
        try:
            shutil.copyfile(path, target)
        except (OSError, shutil.SameFileError) as error:
            raise CourseError(f"{target}: cannot be written ({error}). Name another file.") from None
        return target

    def restore(self, source: str | Path) -> None:
        """Bring a saved record back in place of the present one; what cannot be read of it is named and left out.

        Raises:
            CourseError: the file is not a record of progress, or none is kept here.
        """
        source, path = Path(source), kept(must_exist=False)
        try:
            text = source.read_text(encoding="utf-8-sig")
            found, strange = record.parse(text)
            if not all(part in json.loads(text) for part in record.PARTS):
                raise ValueError("it is no record of progress")
        except (OSError, ValueError) as error:
            raise CourseError(f"{source}: cannot be restored ({error}). Give a file of progress.save().") from None

        def replace(contents: record.Contents) -> None:
            contents.clear()
            contents.update(found)

        _changed(path, replace)
        if strange:
            print(f"Not restored, since it cannot be read: {'; '.join(strange[:5])}{' ...' if strange[5:] else ''}.")

    def erase(self) -> None:
        """Forget everything. What is saved elsewhere stays.

        Raises:
            CourseError: the file cannot be removed.
        """
        path = kept(must_exist=False)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CourseError(f"{path}: cannot be removed ({error}). Remove it by hand.") from None

    def certificate(self, name: str = "", target: str | Path = "certificate.html") -> Path:
        """Write a page of one's own once every exercise is right.

        Raises:
            CourseError: something is still to do, and what; or the page cannot be written.
        """
        target, found = Path(target), standing(read(kept()))
        if not found.done:
            open_ones = ", ".join(lesson.number for lesson in found.lessons if not lesson.done)
            raise CourseError(f"Not every exercise is right yet: lessons {open_ones} are open. Next is {found.next}.")
        try:
            target.write_text(certificate.page(found, name), encoding="utf-8")
        except OSError as error:
            raise CourseError(f"{target}: cannot be written ({error}). Name another file.") from None
        return target


progress = Progress()


def kept(must_exist: bool = True) -> Path:
    """The file of the record. Raises CourseError where none can be kept, or where nothing is in it yet."""
    path = record.place()
    if path is None:
        raise CourseError("No progress is kept: COURSE_PROGRESS is off. Unset it, or have it name a file.")
    if must_exist and not path.is_file():
        raise CourseError(f"Nothing is done yet: there is no {path}. It is made by the first check in a lesson.")
    return path


def read(path: Path) -> record.Contents:
    """What the file holds. Raises CourseError if it cannot be read."""
    try:
        return record.read(path)
    except OSError as error:
        raise CourseError(f"{path}: cannot be read ({error}). Put its permissions right, or remove it.") from None


def told(found: Standing) -> str:
    """Where one stands, as lines: a row for each lesson, and what to do next."""
    lines = ["lesson                exercises   points   guesses (right)   questions   last time"]
    for lesson in found.lessons:
        guesses = f"{lesson.guesses} of {lesson.predictions} ({lesson.guessed_right})"
        lines.append(
            f"{lesson.number} {lesson.name:18} {'✓' if lesson.done else ' '} "
            f"{f'{lesson.right} of {lesson.exercises}':>8} {f'{lesson.points}/{lesson.out_of}':>8}   {guesses:>15} "
            f"{f'{lesson.questions_right} of {lesson.questions}':>11}   {lesson.last}".rstrip()
        )
    if found.done:
        lines.append("Everything is right. progress.certificate() writes a page of your own.")
    else:
        lines.append(f"Next: {found.next} ({get_exercise(found.next).title}).")
    return "\n".join(lines)


def note_event(event: str, id: str, value: Any) -> None:
    """Write what a check, a hint or a solution says into the record; ``exercises.watch`` calls it."""
    greet(id)

    def edit(entry: dict[str, Any]) -> None:
        if event == "checked" and value.status != "not tried":
            entry["tries"] = entry.get("tries", 0) + 1
        if event == "checked" and entry.get("status") != "right":
            entry["status"], entry["message"] = value.status, value.message
            entry["points"] = max(entry.get("points", 0), value.points)
        if event == "hint":
            entry["hints"] = max(entry.get("hints", 0), value)
        if event == "solution":
            entry["solution"] = True

    untried = event == "checked" and value.status == "not tried"
    if untried and not progress.untried and not record.entry("exercises", id):
        return  # run through from top to bottom, a lesson is not begun
    record.note("exercises", id, edit)


def greet(id: str) -> None:
    """Say once in a kernel, when a lesson is first used, where its reader was the last time."""
    lesson = id.split(".")[0]
    path = record.file()
    if path is None or lesson in _greeted or lesson not in LESSONS:
        return
    _greeted.add(lesson)
    with contextlib.suppress(OSError):
        (found,) = (one for one in standing(record.read(path)).lessons if one.number == lesson)
        if found.begun:
            template = messages.WELCOME_BACK if found.next else messages.WELCOME_BACK_DONE
            print(say(template, right=found.right, count=found.exercises, lesson=lesson, next=found.next))


def _changed(path: Path, edit: Any) -> None:
    try:
        record.change(path, edit)
    except OSError as error:
        raise CourseError(f"{path}: cannot be written ({error}). COURSE_PROGRESS names another file.") from None


watch(note_event)
