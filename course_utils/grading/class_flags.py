"""Flags that only the whole class shows: whose answer is the reference's, or another's."""

from __future__ import annotations

from typing import Any

from course_utils.grading import similar
from course_utils.grading.lesson import Lesson

COMMON = 4
_NOT_TRIED = ("not tried", "missing")


def add(lesson: Lesson, results: list[dict[str, Any]]) -> list[similar.Group]:
    """Add to each mark the flags that its neighbours give it; returns the groups that are alike. What is stored is not touched."""
    names = {result["student"]["key"]: result["student"]["name"] for result in results}
    marks = {result["student"]["key"]: result["marks"] for result in results}
    sources = {
        key: {id: mark["source"] for id, mark in own.items() if mark["verdict"] not in _NOT_TRIED}
        for key, own in marks.items()
    }
    found = similar.groups(lesson, sources)
    for group in found:
        tried = sum(group.exercise in own for own in sources.values())
        common = len(group.students) > max(
            COMMON, tried / 4
        )  # what a quarter of the class wrote is the obvious answer: the report shows it
        for student in group.students:
            flags = marks[student][group.exercise]["flags"]
            others = [names[other] for other in group.students if other != student]
            if group.reference:
                flags.append("same code as the reference solution, names aside")
            if others and group.share == 1.0 and not common:
                more = f" and {len(others) - 2} more" if len(others) > 2 else ""
                flags.append(f"same code as {', '.join(others[:2])}{more}, names aside")
    return found
