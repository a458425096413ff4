"""The report: what the teacher needs to know of the class, and a page for each student. Plain HTML files that need no
server.

Here the figures are counted; what they look like stands in ``templates``. All text of a submission goes through their
autoescape.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from course_utils.exercises import Exercise
from course_utils.grading.exports import possible
from course_utils.grading.lesson import Lesson
from course_utils.grading.levels import not_protected
from course_utils.grading.readable import for_page
from course_utils.grading.results import Result, Ruling, Status
from course_utils.grading.similar import Group
from course_utils.grading.store import write_atomically

_COLOURS = {
    Ruling.PASS: "#2f855a",
    Ruling.PART: "#d69e2e",
    Ruling.FAIL: "#c53030",
    Ruling.ERROR: "#97266d",
    Ruling.NOT_TRIED: "#cbd5e0",
    Ruling.MISSING: "#a0aec0",
}
_OTHER = "#4a5568"
_SIGNS = {Ruling.PASS: "✓", Ruling.PART: "◐", Ruling.NOT_TRIED: "○", Ruling.MISSING: "○"}
_SHOWN_GROUPS = 40
_MOST_BINS = 21
_SHOWN_WORDS = 2_000  # characters of an answer in words on the class's page; the student's own has more


def write(lesson: Lesson, results: list[Result], out: Path, groups: list[Group] | None = None) -> None:
    """Write ``report/index.html`` for the teacher and ``report/students/*.html``, one page to give to each student."""
    folder = out / "report"
    (folder / "students").mkdir(parents=True, exist_ok=True)
    current = {f"{result.student.key}.html" for result in results}
    for stale in (folder / "students").glob("*.html"):
        if stale.name not in current:
            stale.unlink()
    for result in results:
        write_atomically(folder / "students" / f"{result.student.key}.html", student_page(lesson, result))
    write_atomically(folder / "index.html", class_page(lesson, results, groups or []))


def student_page(lesson: Lesson, result: Result) -> str:
    """The page for a student."""
    passed = sum(mark.verdict == Ruling.PASS for mark in result.marks.values())
    return _render("student.html", lesson, result=result, passed=passed)


def class_page(lesson: Lesson, results: list[Result], groups: list[Group]) -> str:
    """The teacher's page."""
    handed_in = [result for result in results if result.status != Status.NOTHING]
    marked = [result for result in results if result.marks]
    points = [result.points for result in results if result.has_points and not result.is_open]
    out_of = possible(lesson, results)
    people = sum(result.needs_a_person for result in results)
    hows = [one.marked for one in marked if one.marked.level]
    levels = {(how.level, not_protected(how.level, landlock=how.protections.landlock)) for how in hows}
    figures = [(str(len(handed_in)), "submissions"), (str(len(marked)), "marked"), (str(people), "for you to look at")]
    if len(handed_in) < len(results):
        figures.append((str(len(results) - len(handed_in)), "handed nothing in"))
    if points:
        figures.insert(2, (f"{statistics.median(points):g} of {out_of}", "median points"))
    return _render(
        "index.html",
        lesson,
        results=results,
        figures=figures,
        out_of=out_of,
        unprotected=sorted((level, told) for level, told in levels if told),
        histogram=_histogram(points, out_of) if points else None,
        exercises=[_exercise_row(exercise, marked) for exercise in lesson.exercises],
        mistakes=_mistakes(lesson, marked),
        groups=[_alike(group, results) for group in groups],
        shown_groups=_SHOWN_GROUPS,
        legend=list(_COLOURS),
        other_colour=_OTHER,
        words=_words(marked),
        looks_for={question.id: question.looks_for for question in lesson.questions},
    )


def _fit(value: object) -> object:
    """What a template writes: texts of others made fit for a page, our own markup as it is."""
    return for_page(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_fit,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = {verdict: _COLOURS.get(verdict, _OTHER) for verdict in Ruling}
    environment.globals["signs"] = {verdict: _SIGNS.get(verdict, "?" if verdict.open else "✗") for verdict in Ruling}
    return environment


def _render(template: str, lesson: Lesson, **values: Any) -> str:
    return _templates().get_template(template).render(lesson=lesson, lesson_title=_title(lesson), **values) + "\n"


def _title(lesson: Lesson) -> str:
    first = next((cell.source for cell in lesson.notebook.cells if cell.cell_type == "markdown"), "")
    found = re.search(r"^#\s+(.+)$", first, re.MULTILINE)
    return found.group(1) if found else lesson.name


@dataclass(frozen=True)
class _Bar:
    """One bar of the picture, in the units of its 1000 by 210 frame; the ground is at 170."""

    count: int
    label: str
    x: float
    width: float
    height: float

    @property
    def y(self) -> float:
        return 170 - self.height

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)

    @property
    def above(self) -> float:
        return self.y - 7


@dataclass(frozen=True)
class _Histogram:
    """How many students have how many points."""

    bars: list[_Bar]

    @property
    def font(self) -> int:
        return 14 if len(self.bars) < 16 else 12


def _histogram(points: list[float], out_of: int) -> _Histogram:
    bins = min(out_of + 1, _MOST_BINS)
    counts = Counter(min(bins - 1, int(point * bins // (out_of + 1))) for point in points)
    step, gap, top = 1000 / bins, 6, max(counts.values())
    bars = []
    for index in range(bins):
        low = -(-index * (out_of + 1) // bins)
        high = -(-(index + 1) * (out_of + 1) // bins) - 1
        label = f"{low}" if low == high else f"{low}–{high}"
        x, height = round(index * step + gap / 2, 1), round(150 * counts[index] / top, 1)
        bars.append(_Bar(counts[index], label, x, round(step - gap, 1), height))
    return _Histogram(bars)


@dataclass(frozen=True)
class _ExerciseRow:
    """What the class made of one exercise; ``verdicts`` are each with its count and its share of all, in per cent."""

    id: str
    title: str
    tried: int
    rate: str
    verdicts: list[tuple[Ruling, int, float]]


def _exercise_row(exercise: Exercise, marked: list[Result]) -> _ExerciseRow:
    counts = Counter(result.marks[exercise.id].verdict for result in marked)
    tried = sum(count for verdict, count in counts.items() if verdict.tried)
    rate = f"{100 * counts[Ruling.PASS] / tried:.0f} %" if tried else "–"
    verdicts = [(one, counts[one], round(100 * counts[one] / len(marked), 2)) for one in Ruling if counts[one]]
    return _ExerciseRow(exercise.id, exercise.title, tried, rate, verdicts)


@dataclass(frozen=True)
class _MistakeRow:
    """A known mistake, what its author is told, and who made it."""

    id: str
    name: str
    says: str
    students: list[str]


def _mistakes(lesson: Lesson, marked: list[Result]) -> list[_MistakeRow]:
    found: dict[tuple[str, str], list[str]] = {}
    for result in marked:
        for id, mark in result.marks.items():
            if mark.mistake:
                found.setdefault((id, mark.mistake), []).append(result.student.name)
    says = {(exercise.id, mistake.name): mistake.says for exercise in lesson.exercises for mistake in exercise.mistakes}
    rows = [_MistakeRow(id, name, says.get((id, name), ""), who) for (id, name), who in found.items()]
    return sorted(rows, key=lambda row: -len(row.students))


@dataclass(frozen=True)
class _Alike:
    """A group of answers that are alike, and how much."""

    exercise: str
    told: str
    results: list[Result]
    reference: bool


def _alike(group: Group, results: list[Result]) -> _Alike:
    by_key = {result.student.key: result for result in results}
    told = "the same" if group.share == 1.0 else f"{100 * group.share:.0f} % alike"
    return _Alike(group.exercise, told, [by_key[key] for key in group.students], group.reference)


def _words(marked: list[Result]) -> dict[str, list[tuple[Result, str]]]:
    """By question, who answered it in words, and how."""
    questions: dict[str, list[tuple[Result, str]]] = {}
    for result in marked:
        for question, words in result.marked.prose.items():
            if words:
                shown = words[:_SHOWN_WORDS] + (" … (more on their own page)" if len(words) > _SHOWN_WORDS else "")
                questions.setdefault(question, []).append((result, shown))
    return questions
