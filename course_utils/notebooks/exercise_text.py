"""What an exercise says of itself in its lesson: title, minutes, points, difficulty and the folded hints.

The exercise is the one source of these words; here they are written into the lesson's Markdown cells. The rest of a
cell stays the author's. A notebook on which this was done once is not changed by doing it again.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator

from nbformat import NotebookNode

from course_utils.exercises import Exercise, Hint, get_exercise
from course_utils.notebooks.normalise import PROSE_MARK, Problem, exercise_roles

WIDTH = 140
"""Characters at which the lines of a hint are broken in the notebook's source. A reader sees no difference."""

_FOLDED = re.compile(r"<details>\s*<summary>Hint \d+\b.*?</details>\n*", re.DOTALL)
_FACTS = re.compile(r"\n*`\d+ min` · `\d+ points?` · `[●○]+`[ \t]*(?:\n+|\Z)")
_CODE = re.compile(r"```\n(?P<lines>.*?)\n```|`(?P<inline>[^`]+)`", re.DOTALL)


def write_exercises(notebook: NotebookNode) -> None:
    """Write what its exercises say of themselves into `notebook`, in place. Ids that nothing defines are left alone."""
    for exercise, cells in _exercises_of(notebook):
        _write(exercise, cells)


def problems(notebook: NotebookNode) -> list[Problem]:
    """The Markdown cells whose words are not those of their exercise, with what to do about it."""
    found = []
    places = {id(cell): index for index, cell in enumerate(notebook.cells)}
    for exercise, cells in _exercises_of(notebook):
        copies = [NotebookNode(cell_type=cell.cell_type, source=cell.source) for cell in cells]
        _write(exercise, copies)
        for cell, written in zip(cells, copies, strict=True):
            if cell.source.rstrip("\n") != written.source:
                told = f"does not say of exercise {exercise.id} what the exercise says; run `course notebooks furnish`"
                found.append(Problem(places[id(cell)], told))
    return found


def heading(exercise: Exercise) -> str:
    """The exercise's heading in the lesson and the line with its minutes, points and difficulty."""
    points = "1 point" if exercise.points == 1 else f"{exercise.points} points"
    difficulty = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
    return f"### {exercise.id} · {exercise.title}\n`{exercise.minutes} min` · `{points}` · `{difficulty}`"


def folded_hint(number: int, hint: Hint) -> str:
    """A hint as HTML that shows its title and unfolds its text.

    Markdown takes the lines of such a block as they are, up to the first empty line. So the block has none, and what
    is code is marked up as code here.
    """
    block = f"<details><summary>Hint {number}: {_marked_up(hint.title)}</summary>{_marked_up(hint.text)}</details>"
    # The lines of a <pre> are kept as they are; only what stands around it is wrapped.
    pieces = re.split(r"\s*(<pre>.*?</pre>)\s*", block, flags=re.DOTALL)
    wrapped = [piece if piece.startswith("<pre>") else _wrapped(piece) for piece in pieces]
    return "\n".join(piece for piece in wrapped if piece)


def _exercises_of(notebook: NotebookNode) -> Iterator[tuple[Exercise, list[NotebookNode]]]:
    """Each exercise with the Markdown cells that are about it: below the check before it, above its answer cell."""
    start, answers = 0, {}
    for index, (id, role) in sorted(exercise_roles(notebook).items()):
        if role == "answer":
            answers[id] = index
        if role == "check" and id in answers:
            about = notebook.cells[start : answers[id]]
            start = index + 1
            cells = [cell for cell in about if cell.cell_type == "markdown" and not _is_place_for_words(cell)]
            try:
                exercise = get_exercise(id)
            except KeyError:
                continue
            if cells:
                yield exercise, cells


def _is_place_for_words(cell: NotebookNode) -> bool:
    return PROSE_MARK.search(cell.source.split("\n", 1)[0]) is not None


def _write(exercise: Exercise, cells: list[NotebookNode]) -> None:
    """Write the exercise's words into its cells: each where it stands today, else into the last cell."""
    title = re.compile(rf"^### {re.escape(exercise.id)} · .*$", re.MULTILINE)
    headed = next((cell for cell in cells if title.search(cell.source)), cells[-1])
    headed["source"] = _with_heading(headed.source, title, heading(exercise))
    hinted = [cell for cell in cells if _FOLDED.search(cell.source)] or [cells[-1]]
    for cell in hinted[:-1]:
        cell["source"] = _with_hints(cell.source, "")
    folded = "\n".join(folded_hint(number, hint) for number, hint in enumerate(exercise.hints, start=1))
    hinted[-1]["source"] = _with_hints(hinted[-1].source, folded)


def _with_heading(source: str, title: re.Pattern[str], wanted: str) -> str:
    found = title.search(source)
    before, after = (source[: found.start()], source[found.end() :]) if found else ("", f"\n{source}")
    facts = _FACTS.match(after)
    after = after[facts.end() :] if facts else after.lstrip("\n")
    return f"{before}{wanted}\n\n{after}".rstrip("\n")


def _with_hints(source: str, wanted: str) -> str:
    first = _FOLDED.search(source)
    before, after = (source[: first.start()], source[first.end() :]) if first else (source, "")
    pieces = [before.rstrip("\n"), wanted, _FOLDED.sub("", after).strip("\n")]
    return "\n\n".join(piece for piece in pieces if piece)


def _marked_up(text: str) -> str:
    """Text with `code` in backticks as HTML; three backticks on lines of their own hold several lines of code."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts.append(html.escape(text[end : code.start()], quote=False))
        tag, content = ("code", code["inline"]) if code["lines"] is None else ("pre", code["lines"])
        parts.append(f"<{tag}>{html.escape(content, quote=False)}</{tag}>")
        end = code.end()
    return "".join([*parts, html.escape(text[end:], quote=False)])


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
