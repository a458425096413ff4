"""Marks in the forms that other systems read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from course_utils.grading.lesson import Lesson
from course_utils.grading.store import write_atomically
from course_utils.grading.verdicts import FOR_A_PERSON


def write(lesson: Lesson, results: list[dict[str, Any]], out: Path) -> None:
    """Write ``grades.csv``, ``moodle.csv``, ``canvas.csv``, and for each student Gradescope's ``results.json``."""
    write_atomically(out / "grades.csv", _csv(grades(lesson, results)))
    write_atomically(out / "moodle.csv", _csv(moodle(lesson, results)))
    write_atomically(out / "canvas.csv", _csv(canvas(lesson, results)))
    folder = out / "gradescope"
    for result in results:
        place = folder / result["student"]["key"]
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / "results.json", json.dumps(gradescope(result), indent=1, ensure_ascii=False) + "\n")


def grades(lesson: Lesson, results: list[dict[str, Any]]) -> list[list[Any]]:
    """Student by exercise: points, verdicts, flags. A notebook that could not be marked has a status and a reason, and no points."""
    head = ["student", "id", "email", "status", "points", "out of", "reason", "for a person", "flags"]
    rows: list[list[Any]] = [head + [f"{id} {what}" for id in lesson.ids for what in ("points", "verdict", "mistake")]]
    for result in results:
        student, marks = result["student"], result["marks"]
        flags = [
            *result["notes"],
            *result["flags"],
            *(f"{id}: {flag}" for id, mark in marks.items() for flag in mark["flags"]),
        ]
        row = [
            student["name"],
            student["id"],
            student["email"],
            result["status"],
            result["points"] if marks else "",
            result["out_of"],
        ]
        row += [result["reason"], "yes" if needs_a_person(result) else "", "; ".join(flags)]
        for id in lesson.ids:
            mark = marks.get(id)
            row += [mark["points"], mark["verdict"], mark["mistake"] or ""] if mark else ["", "", ""]
        rows.append(row)
    return rows


def needs_a_person(result: dict[str, Any]) -> bool:
    """Whether someone should look at it before the marks go out: it could not be marked, a verdict is open, or a flag says so."""
    if result["status"] != "marked":
        return True
    marks = result["marks"].values()
    serious = ("calls the reference", "same code as", "disturbed", "sent what only", "cells define", "which the solution")
    flags = [*result["flags"], *(flag for mark in marks for flag in mark["flags"])]
    return any(mark["verdict"] in FOR_A_PERSON for mark in marks) or any(
        word in flag for flag in flags for word in serious
    )


def moodle(lesson: Lesson, results: list[dict[str, Any]]) -> list[list[Any]]:
    """For Moodle's import of grades: map "Email address" or "ID number" to the user, and the lesson's column to its grade item."""
    rows: list[list[Any]] = [["ID number", "Full name", "Email address", lesson.name, "Feedback comments"]]
    for result in results:
        student = result["student"]
        rows.append(
            [
                student["id"],
                student["name"],
                student["email"],
                result["points"] if result["marks"] else "",
                _feedback(result),
            ]
        )
    return rows


def canvas(lesson: Lesson, results: list[dict[str, Any]]) -> list[list[Any]]:
    """For Canvas' import of grades: its five leading columns, one assignment, and the line with the points possible."""
    rows: list[list[Any]] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lesson.name]]
    rows.append(["    Points Possible", "", "", "", "", sum(exercise.points for exercise in lesson.exercises)])
    for result in results:
        student = result["student"]
        rows.append(
            [
                student["name"],
                student["id"],
                student["id"],
                student["email"],
                "",
                result["points"] if result["marks"] else "",
            ]
        )
    return rows


def gradescope(result: dict[str, Any]) -> dict[str, Any]:
    """Gradescope's results.json (https://gradescope-autograders.readthedocs.io): one test for each exercise."""
    tests = [
        {
            "number": id,
            "name": f"{id} {result['exercises'][id]['title']}",
            "score": mark["points"],
            "max_score": mark["out_of"],
            "status": "passed" if mark["verdict"] == "pass" else "failed",
            "output": f"{mark['verdict']}: {mark['message']}",
            "visibility": "visible",
        }
        for id, mark in result["marks"].items()
    ]
    told = result["reason"] or f"{result['points']} of {result['out_of']} points"
    return {"score": result["points"], "output": told, "visibility": "visible", "tests": tests}


def _feedback(result: dict[str, Any]) -> str:
    if not result["marks"]:
        return str(result["reason"])
    return " | ".join(
        f"{id}: {mark['verdict']}, {mark['points']} of {mark['out_of']}" for id, mark in result["marks"].items()
    )


def _csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[_harmless(value) for value in row] for row in rows])
    return out.getvalue()


def _harmless(value: Any) -> Any:
    """A name that begins like a formula must not become one in the teacher's spreadsheet."""
    if isinstance(value, str):
        value = " ".join(value.split()) if not value.startswith("    ") else value
        return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return value
