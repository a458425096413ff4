"""A lesson as slides, for the wall of a classroom: what is asked before anything runs, and then the picture.

Made of the committed lesson: a slide for each part, with its questions, its exercises and its picture, which stays
folded where there is a question. One page of plain HTML that is scrolled, turned with the arrow keys, or printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from markupsafe import Markup
from nbformat import NotebookNode

from course_utils.exercises import Exercise, get_exercise
from course_utils.notebooks.furnish import BADGE
from course_utils.notebooks.normalise import exercise_roles
from course_utils.notebooks.pages import markdown_as_html
from course_utils.notebooks.prediction_text import asked_before
from course_utils.notebooks.site.lessons import Place, still, title_of
from course_utils.notebooks.site.rendering import render
from course_utils.pictures import VIEW_TYPE

_CLOSING = re.compile(r"What (was learned|you have learned|you have seen|you saw)")
_AFTERWARDS = "Further"  # what a lesson offers beyond its end is not for the classroom
_LONGEST = 420  # characters of a part's first paragraph that fit on a slide


@dataclass
class _Part:
    """What stands under one heading of the second level."""

    heading: str
    first: str = ""
    asked: list[str] = field(default_factory=list)
    exercises: list[str] = field(default_factory=list)
    pictures: list[NotebookNode] = field(default_factory=list)

    @property
    def closes(self) -> bool:
        """Whether it says what was learned."""
        return bool(_CLOSING.match(self.heading))

    @property
    def is_shown(self) -> bool:
        return self.closes or bool(self.asked or self.exercises or self.pictures)


@dataclass(frozen=True)
class _Slide:
    """A part as it is shown. What a lesson writes in Markdown is HTML here."""

    heading: Markup
    words: Markup
    asked: list[Markup]
    picture: Markup
    exercises: list[tuple[Exercise, Markup]]
    """Each with its title."""

    @classmethod
    def of(cls, part: _Part, place: Place) -> _Slide:
        if part.closes:
            return cls(_inline(part.heading), _block(part.first), [], Markup(), [])
        fits = part.first and not part.asked and len(part.first) <= _LONGEST
        # A view is what the part leads to, and shows most.
        first = next((one for one in part.pictures if VIEW_TYPE in one.data), next(iter(part.pictures), None))
        return cls(
            heading=_inline(part.heading),
            words=_block(part.first) if fits else Markup(),
            asked=[_inline(one[0].upper() + one[1:]) for one in part.asked],
            picture=still(first, place) if first else Markup(),
            exercises=[(one, _inline(one.title)) for one in map(get_exercise, part.exercises)],
        )


def deck(lesson: NotebookNode, name: str, place: Place) -> str:
    """The page with the slides of the lesson called `name`; the stills of its pictures are written beside it."""
    shown = [_Slide.of(part, place) for part in _parts(lesson) if part.is_shown]
    return render("slides.html", name=name, title=title_of(lesson), opening=_opening(lesson), parts=shown) + "\n"


def _opening(lesson: NotebookNode) -> Markup:
    """The lesson's first words below its title."""
    paragraphs = _paragraphs(next(cell.source for cell in lesson.cells if cell.cell_type == "markdown"))
    words = [one for one in paragraphs if not one.startswith(("#", "**")) and not BADGE.search(one)]
    return _block(words[0]) if words else Markup()


def _parts(lesson: NotebookNode) -> Iterator[_Part]:
    roles = exercise_roles(lesson)
    part: _Part | None = None
    for index, cell in enumerate(lesson.cells):
        if cell.cell_type == "markdown":
            for block in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
                if block.startswith("## "):
                    if part:
                        yield part
                    heading, _, rest = block.removeprefix("## ").partition("\n")
                    if heading.startswith(_AFTERWARDS):
                        return
                    part = _Part(heading.strip(), first=_first_words(heading, rest))
                if part:
                    part.asked += asked_before(block)
        elif part:
            id, role = roles.get(index, ("", ""))
            if role == "check":
                part.exercises.append(id)
            part.pictures += [one for one in cell.get("outputs", []) if "image/png" in one.get("data", {})]
    if part:
        yield part


def _first_words(heading: str, rest: str) -> str:
    """A part's first paragraph; of the closing part its list."""
    paragraphs = [one for one in _paragraphs(rest) if not one.startswith("#")]
    if _CLOSING.match(heading):
        return next((one for one in paragraphs if one.startswith("- ")), "")
    first = paragraphs[0] if paragraphs else ""
    return "" if asked_before(first) else first


def _block(text: str) -> Markup:
    """Markdown as HTML."""
    return Markup(markdown_as_html(text))


def _inline(text: str) -> Markup:
    """One line of Markdown, without the paragraph around it."""
    return Markup(re.sub(r"^<p>(.*)</p>$", r"\1", markdown_as_html(text).strip(), flags=re.DOTALL))


def _paragraphs(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"\n\s*\n", text) if one.strip()]
