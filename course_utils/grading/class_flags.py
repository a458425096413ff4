"""Flags that only the whole class shows: whose answer is the reference's, or another's."""

from __future__ import annotations

from dataclasses import replace

from course_utils.grading import similar
from course_utils.grading.flags import Flag, Raised
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Result

COMMON = 4
NAMED = 2  # of those who wrote the same, in the sentence


def add_class_flags(lesson: Lesson, results: list[Result]) -> tuple[list[Result], list[similar.Group]]:
    """The results with the flags that their neighbours give them, and the groups that are alike. What is stored is not
    touched.
    """
    names = {result.student.key: result.student.name for result in results}
    sources = {
        result.student.key: {id: mark.source for id, mark in result.marks.items() if mark.verdict.tried}
        for result in results
    }
    groups = similar.groups(lesson, sources)
    raised: dict[tuple[str, str], list[Raised]] = {}
    for group in groups:
        tried = sum(group.exercise in own for own in sources.values())
        # What a quarter of the class wrote is the obvious answer: the report shows it.
        common = len(group.students) > max(COMMON, tried / 4)
        for student in group.students:
            flags = raised.setdefault((student, group.exercise), [])
            others = [names[other] for other in group.students if other != student]
            if group.reference:
                flags.append(Flag.SAME_AS_REFERENCE.raised())
            if others and group.share == 1.0 and not common:
                flags.append(_same_as(others))
    return [_with_flags(result, raised) for result in results], groups


def _same_as(others: list[str]) -> Raised:
    named, more = ", ".join(others[:NAMED]), len(others) - NAMED
    if more > 0:
        return Flag.SAME_AS_MANY.raised(students=named, more=more)
    return Flag.SAME_AS_OTHERS.raised(students=named)


def _with_flags(result: Result, raised: dict[tuple[str, str], list[Raised]]) -> Result:
    marks = {id: mark.flagged(*raised.get((result.student.key, id), [])) for id, mark in result.marks.items()}
    return replace(result, marked=replace(result.marked, marks=marks))
