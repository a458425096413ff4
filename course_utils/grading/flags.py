"""Flags that only the whole class shows: whose answer is the reference's, or another's."""

from __future__ import annotations

from typing import Any

from course_utils.grading import similar
from course_utils.grading.lesson import Lesson

_NOT_TRIED = ("not tried", "missing")


def add(lesson: Lesson, results: list[dict[str, Any]]) -> list[similar.Pair]:
    """Add to each mark the flags that its neighbours give it; returns the pairs that are alike. The stored results are not touched."""
    names = {result["student"]["key"]: result["student"]["name"] for result in results}
    marks = {result["student"]["key"]: result["marks"] for result in results}
    sources = {
        key: {id: mark["source"] for id, mark in own.items() if mark["verdict"] not in _NOT_TRIED}
        for key, own in marks.items()
    }
    found = similar.pairs(lesson, sources)
    for pair in found:
        if not pair.second:
            marks[pair.first][pair.exercise]["flags"].append("same code as the reference solution, names aside")
        elif pair.share == 1.0:
            for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                marks[one][pair.exercise]["flags"].append(f"same code as {names[other]}'s, names aside")
    return found
