"""A lesson as slides, for the wall of a classroom: what is asked before anything runs, and then the picture.

Made of the committed lesson: a slide for each part, with its questions, its exercises and its picture, which stays
folded where there is a question. One page of plain HTML that is scrolled, turned with the arrow keys, or printed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbformat import NotebookNode

from course_utils.exercises import get_exercise
from course_utils.exercises.lookup import get_prediction
from course_utils.notebooks.furnish import BADGE
from course_utils.notebooks.normalise import exercise_roles
from course_utils.notebooks.pages import markdown_as_html
from course_utils.notebooks.site.lessons import Place, still, title_of
from course_utils.notebooks.site.teachers import asked_before
from course_utils.pictures import VIEW_TYPE

_PREDICT = re.compile(r"^predict\(\"([\w.]+)\"", re.MULTILINE)
_CLOSING = re.compile(r"What (was learned|you have learned|you have seen|you saw)")
_AFTERWARDS = "Further"  # what a lesson offers beyond its end is not for the classroom
_LONGEST = 420  # characters of a part's first paragraph that fit on a slide

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}: slides</title>
<link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/slides.css">
<script src="../_static/slides.js" defer></script>
</head>
<body>
<main><article>
{slides}
</article></main>
</body>
</html>
"""


@dataclass
class _Part:
    """What stands under one heading of the second level."""

    heading: str
    first: str = ""
    asked: list[str] = field(default_factory=list)
    """Questions as the lesson's text has them."""
    guesses: list[str] = field(default_factory=list)
    """Questions that `predict` keeps a guess for, in words that need no text around them."""
    exercises: list[str] = field(default_factory=list)
    pictures: list[NotebookNode] = field(default_factory=list)

    @property
    def questions(self) -> list[str]:
        return self.guesses or self.asked


def deck(lesson: NotebookNode, name: str, place: Place) -> str:
    """The page with the slides of the lesson called `name`; the stills of its pictures are written beside it."""
    title = title_of(lesson)
    slides = [_opening(lesson, name, title)]
    for part in _parts(lesson):
        if _CLOSING.match(part.heading):
            slides.append(f"<h2>{_inline(part.heading)}</h2>\n{markdown_as_html(part.first)}")
        elif part.questions or part.exercises or part.pictures:
            slides.append(_slide(part, place))
    numbered = [
        f'<section aria-label="Slide {number} of {len(slides)}">\n{slide}\n'
        f'<p class="number" aria-hidden="true">{number} / {len(slides)}</p></section>'
        for number, slide in enumerate(slides, start=1)
    ]
    return _PAGE.format(title=html.escape(title), slides="\n".join(numbered))


def _opening(lesson: NotebookNode, name: str, title: str) -> str:
    paragraphs = _paragraphs(next(cell.source for cell in lesson.cells if cell.cell_type == "markdown"))
    words = [one for one in paragraphs if not one.startswith(("#", "**")) and not BADGE.search(one)]
    links = f'<a href="../notebooks/{name}.html">The lesson</a> · <a href="../teachers/{name}.html">For teachers</a>'
    return (
        f"<h1>{html.escape(title)}</h1>\n{markdown_as_html(words[0]) if words else ''}\n<p>{links}</p>\n"
        '<p class="quiet">Arrow keys turn the slides. Where something is asked, the picture is folded under it.</p>'
    )


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
            part.guesses += [html.escape(get_prediction(id).asks, quote=False) for id in _PREDICT.findall(cell.source)]
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


def _slide(part: _Part, place: Place) -> str:
    lines = [f"<h2>{_inline(part.heading)}</h2>"]
    if part.first and not part.questions and len(part.first) <= _LONGEST:
        lines.append(markdown_as_html(part.first))
    if part.questions:
        asked = "".join(f"<li>{_inline(one[0].upper() + one[1:])}</li>" for one in part.questions)
        lines.append(f'<p class="quiet">Before it runs</p>\n<ul class="asked">{asked}</ul>')
    if part.pictures:
        # A view is what the part leads to, and shows most.
        shown = next((one for one in part.pictures if VIEW_TYPE in one.data), part.pictures[0])
        picture = f"<figure>{still(shown, place)}</figure>"
        lines.append(f"<details><summary>The picture</summary>{picture}</details>" if part.questions else picture)
    if part.exercises:
        told = (f"{one.id} {_inline(one.title)} ({one.minutes} min)" for one in map(get_exercise, part.exercises))
        lines.append(f'<p class="quiet">Exercises: {"; ".join(told)}</p>')
    return "\n".join(lines)


def _inline(text: str) -> str:
    """One line of Markdown, without the paragraph around it."""
    return re.sub(r"^<p>(.*)</p>$", r"\1", markdown_as_html(text).strip(), flags=re.DOTALL)


def _paragraphs(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"\n\s*\n", text) if one.strip()]
