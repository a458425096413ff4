"""Marks in the forms that other systems read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Result, Ruling
from course_utils.grading.store import write_atomically

Row = list[str | int | float]


def write(lesson: Lesson, results: list[Result], out: Path) -> None:
    """Write ``grades.csv``, ``moodle.csv``, ``canvas.csv``, and for each student Gradescope's ``results.json``."""
    write_atomically(out / "grades.csv", _csv(grades(lesson, results)))
    write_atomically(out / "moodle.csv", _csv(moodle(lesson, results)))
    write_atomically(out / "canvas.csv", _csv(canvas(lesson, results)))
    marked = [result for result in results if _total(result, results) != ""]
    current = {result.student.key for result in marked}
    for stale in (out / "gradescope").glob("*/results.json"):
        if stale.parent.name not in current:
            stale.unlink()
    for result in marked:  # Gradescope knows no mark that is open: a file without a score it would refuse
        place = out / "gradescope" / result.student.key
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / "results.json", json.dumps(gradescope(result), indent=1, ensure_ascii=False) + "\n")


def grades(lesson: Lesson, results: list[Result]) -> list[Row]:
    """Student by exercise: points, verdicts, flags. A notebook that could not be marked has a status and a reason, and
    no points.
    """
    head = ["student", "id", "email", "status", "points", "out of", "reason", "for a person", "flags", "by hand"]
    rows: list[Row] = [[*head, *(f"{id} {what}" for id in lesson.ids for what in ("points", "verdict", "mistake"))]]
    rows[0] += [f"{id} points" for id in in_words(results)]
    for result in results:
        student = result.student
        row: Row = [student.name, student.id, student.email, result.status.value, _points(result), result.out_of]
        row += [result.reason, "yes" if result.needs_a_person else "", "; ".join(result.flags_told)]
        row.append("; ".join(f"{id}: {result.points_of(id)}, {one.because}" for id, one in result.by_hand.items()))
        for id in lesson.ids:
            mark = result.marks.get(id)
            row.append(result.points_of(id) if mark or id in result.by_hand else "")
            row += [mark.verdict.value, mark.mistake or ""] if mark else ["", ""]
        row += [result.points_of(id) if id in result.by_hand else "" for id in in_words(results)]
        rows.append(row)
    return rows


def moodle(lesson: Lesson, results: list[Result]) -> list[Row]:
    """For Moodle: "Identifier" is that of its grading worksheet, from the number in the name of a student's folder;
    "ID number" and "Email address" are those of the roster. Map one of them to the user, and the lesson's column to its
    grade item.
    """
    rows: list[Row] = [["Identifier", "ID number", "Full name", "Email address", lesson.name, "Feedback comments"]]
    for result in results:
        student = result.student
        number = student.accounts.get("participant", "")
        row: Row = [f"Participant {number}" if number else "", student.id, student.name, student.email]
        rows.append([*row, _total(result, results), _feedback(result)])
    return rows


def canvas(lesson: Lesson, results: list[Result]) -> list[Row]:
    """For Canvas' import of grades: its five leading columns, one assignment, and the line with the points possible.

    "ID" is Canvas's own number, from the name of the file; the two of the school's system come from the roster, which
    can be Canvas's own export.
    """
    rows: list[Row] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lesson.name]]
    rows.append(["    Points Possible", "", "", "", "", possible(lesson, results)])
    for result in results:
        student = result.student
        told = student.accounts
        canvas_id = told.get("canvas", "")
        # A list whose one number is called "id" may mean either: then it stands where Canvas's files have it.
        school_id = student.id if student.id != canvas_id else ""
        login = told.get("login", "") or student.email
        rows.append([student.name, canvas_id, school_id, login, told.get("section", ""), _total(result, results)])
    return rows


def gradescope(result: Result) -> dict[str, Any]:
    """Gradescope's results.json (https://gradescope-autograders.readthedocs.io): one test for each exercise."""
    tests = [
        {
            "number": id,
            "name": f"{id} {result.exercises[id].title}",
            "score": result.points_of(id),
            "max_score": mark.out_of,
            "status": "passed" if mark.verdict == Ruling.PASS else "failed",
            "output": f"{mark.verdict}: {mark.message}{_by_hand(result, id)}",
            "visibility": "visible",
        }
        for id, mark in result.marks.items()
    ]
    told = result.reason or f"{result.points} of {result.out_of} points"
    return {"score": result.points, "output": told, "visibility": "visible", "tests": tests}


def _points(result: Result) -> float | str:
    return result.points if result.has_points else ""


def in_words(results: list[Result]) -> list[str]:
    """The questions in words for which the teacher has begun to give points."""
    return sorted({id for result in results for id in result.by_hand if id in result.in_words})


def possible(lesson: Lesson, results: list[Result]) -> int:
    """The points that can be had in this class."""
    words = {id: points for result in results for id, points in result.in_words.items()}
    return sum(exercise.points for exercise in lesson.exercises) + sum(words[id] for id in in_words(results))


def _total(result: Result, results: list[Result]) -> float | str:
    """What goes to a gradebook: nothing while a part of it is for a person to decide, since there it would be a 0."""
    unread = any(id not in result.by_hand and result.marked.prose.get(id) for id in in_words(results))
    return "" if result.is_open or unread else _points(result)


def _by_hand(result: Result, id: str) -> str:
    given = result.by_hand.get(id)
    return f" Your teacher gave {result.points_of(id)} points: {given.because}" if given else ""


def _feedback(result: Result) -> str:
    if not result.marks:
        return result.reason
    return " | ".join(
        f"{id}: {mark.verdict}, {result.points_of(id)} of {mark.out_of}{_by_hand(result, id)}"
        for id, mark in result.marks.items()
    )


def _csv(rows: list[Row]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[_harmless(value) for value in row] for row in rows])
    return out.getvalue()


def _harmless(value: Any) -> Any:
    """A name that begins like a formula must not become one in the teacher's spreadsheet."""
    if isinstance(value, str):
        value = " ".join(value.split()) if not value.startswith("    ") else value
        return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return value
