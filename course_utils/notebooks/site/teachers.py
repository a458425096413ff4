"""What a teacher needs of a lesson on one page: what takes how long, what goes wrong, what to look for in words.

All of it has its source in the lesson and its exercises. What only a teacher can know stands in `docs/teaching/`, in a
file with the lesson's name, and opens the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from course_utils.exercises import Exercise, get_exercise, questions
from course_utils.notebooks.normalise import PROSE_MARK, exercise_roles
from course_utils.notebooks.prediction_text import asked_before
from course_utils.notebooks.site.lessons import minutes_to_read, title_of


def page(lesson: NotebookNode, name: str, notes: str = "") -> str:
    """The page on the lesson called `name`, in Markdown; `notes` is what was written by hand."""
    exercises = [get_exercise(id) for id in _exercises(lesson)]
    parts = [
        f"# {title_of(lesson)}, for teachers",
        f"[The lesson](../notebooks/{name}.ipynb) · [with solutions](../solved/{name}.ipynb) · "
        f'<a href="../slides/{name}.html">Slides</a>',
        notes.strip(),
        "## Timing",
        _timing(lesson, exercises),
        *_predictions(lesson),
        "## What goes wrong",
        "The check names these mistakes when a learner's values are those of the mistake. The report of `course grade` "
        "counts them by the same names.",
        *(text for exercise in exercises if (text := _mistakes(exercise))),
        "## Answers in words",
        *_rubrics(lesson),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _exercises(lesson: NotebookNode) -> list[str]:
    return [id for _, (id, role) in sorted(exercise_roles(lesson).items()) if role == "check"]


def _timing(lesson: NotebookNode, exercises: list[Exercise]) -> str:
    rows = []
    for one in exercises:
        difficulty = "●" * one.difficulty + "○" * (3 - one.difficulty)
        rows.append(f"| {one.id} | {one.title} | {one.minutes} | {one.points} | {difficulty} |")
    minutes, points = sum(one.minutes for one in exercises), sum(one.points for one in exercises)
    return "\n".join(
        [
            f"To read: about {minutes_to_read(lesson)} minutes. The exercises: {minutes} minutes, {points} points. "
            "For an hour in class take those with one dot, and give the rest as homework.",
            "",
            "| exercise | title | minutes | points | difficulty |",
            "|---|---|--:|--:|---|",
            *rows,
        ]
    )


def _predictions(lesson: NotebookNode) -> Iterator[str]:
    """What the lesson lets one guess before anything runs: in class, asked aloud."""
    prose = (cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    asked = [question for source in prose for question in asked_before(source)]
    if asked:
        yield "## Before it runs"
        yield "Ask this aloud, let everybody write a guess down, and run the cell only then."
        yield "\n".join(f"- {question[0].upper()}{question[1:]}" for question in asked)


def _mistakes(exercise: Exercise) -> str:
    if not exercise.mistakes:
        return ""
    told = [f"- **{one.name}.** {as_written(one.says)}" for one in exercise.mistakes]
    return "\n".join([f"### {exercise.id} · {exercise.title}", "", *told])


def as_written(text: str) -> str:
    """A check's sentence in Markdown: between backticks is code; all else is itself, as `__init__` is."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]$])", r"\\\1", part) for part in parts)


def _rubrics(lesson: NotebookNode) -> Iterator[str]:
    """Each question of the lesson, in its words, with what a right answer says and an example."""
    asked = {}
    for cell in lesson.cells:
        mark = PROSE_MARK.search(cell.source.split("\n", 1)[0]) if cell.cell_type == "markdown" else None
        if mark:
            asked[mark.group(1)] = cell.source[mark.end() :].strip().split("\n\n", 1)[0]
    if not asked:
        yield "This lesson asks for none."
        return
    number = next(iter(asked)).split(".")[0]
    rubrics = {one.id: one for one in questions(number)}
    for id, words in asked.items():
        yield f"### Question {id}\n\n{quoted(words)}"
        if id in rubrics:
            points = "\n".join(f"- {point}" for point in rubrics[id].looks_for)
            yield f"A right answer says, a point each:\n\n{points}\n\nFor example:\n\n{quoted(rubrics[id].answer)}"


def quoted(text: str) -> str:
    """Text as a quotation in Markdown."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
