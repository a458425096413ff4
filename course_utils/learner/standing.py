"""Where a learner stands: the record of what was done, held against what the course has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from course_utils.exercises import LESSONS, exercises, predictions, quizzes
from course_utils.learner.record import Contents


@dataclass(frozen=True)
class Lesson:
    """One lesson: what of it is done, out of what there is. ``next`` is the first exercise that is not right yet."""

    number: str
    name: str
    right: int
    exercises: int
    points: int
    out_of: int
    guesses: int
    guessed_right: int
    predictions: int
    questions_right: int
    questions: int
    last: str  # the day of the last entry, "2026-11-27"; "" if there is none
    next: str

    @property
    def begun(self) -> bool:
        """Whether there is any entry of it."""
        return bool(self.last)

    @property
    def done(self) -> bool:
        """Whether every exercise is right."""
        return self.right == self.exercises


@dataclass(frozen=True)
class Standing:
    """All lessons, and what to do next: the id of an exercise, or "" when all are right."""

    lessons: tuple[Lesson, ...]
    next: str

    @property
    def done(self) -> bool:
        """Whether every exercise of every lesson is right."""
        return all(lesson.done for lesson in self.lessons)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"lessons": [asdict(lesson) for lesson in self.lessons], "next": self.next, "done": self.done}


def standing(contents: Contents) -> Standing:
    """What the record says of each lesson of the course. Entries of lessons or exercises that are gone do not count."""
    lessons = tuple(_lesson(number, name, contents) for number, name in LESSONS.items())
    under_way = [lesson for lesson in lessons if lesson.begun and not lesson.done]
    to_do = [lesson for lesson in lessons if not lesson.done]
    latest = max(under_way, key=lambda lesson: lesson.last, default=None)
    following = latest or (to_do[0] if to_do else None)
    return Standing(lessons, following.next if following else "")


def _lesson(number: str, name: str, contents: Contents) -> Lesson:
    tried, guessed, answered = (_of(contents, part) for part in ("exercises", "predictions", "questions"))
    own, asked, chosen = exercises(number), predictions(number), quizzes(number)
    right = [exercise for exercise in own if tried.get(exercise.id, {}).get("status") == "right"]
    made = [guessed.get(each.id, {}) for each in asked]
    guesses = [entry for entry in made if "guess" in entry and not entry.get("late")]
    days = [
        str(part[each.id].get("last", ""))[:10]
        for part, ids in ((tried, own), (guessed, asked), (answered, chosen))
        for each in ids
        if each.id in part
    ]
    return Lesson(
        number=number,
        name=name.replace("_", " "),
        right=len(right),
        exercises=len(own),
        points=sum(_points(tried.get(exercise.id, {}), exercise.points) for exercise in own),
        out_of=sum(exercise.points for exercise in own),
        guesses=len(guesses),
        guessed_right=sum(bool(entry.get("right")) for entry in guesses),
        predictions=len(asked),
        questions_right=sum(bool(answered.get(each.id, {}).get("right")) for each in chosen),
        questions=len(chosen),
        last=max(days, default=""),
        next=next((exercise.id for exercise in own if exercise not in right), ""),
    )


def _of(contents: Contents, part: str) -> dict[str, dict[str, Any]]:
    """The entries of a part that are what they should be; the file may have been edited by hand."""
    return {id: entry for id, entry in contents.get(part, {}).items() if isinstance(entry, dict)}


def _points(entry: dict[str, Any], most: int) -> int:
    points = entry.get("points", 0)
    return max(0, min(most, points)) if isinstance(points, int) else 0
