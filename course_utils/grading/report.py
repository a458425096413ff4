"""The report: what the teacher needs to know of the class, and a page for each student. Plain HTML files that need no server."""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from course_utils.grading.exports import needs_a_person
from course_utils.grading.lesson import Lesson
from course_utils.grading.similar import Group
from course_utils.grading.store import write_atomically
from course_utils.grading.verdicts import VERDICTS

_COLOURS = {
    "pass": "#2f855a",
    "part": "#d69e2e",
    "fail": "#c53030",
    "error": "#97266d",
    "not tried": "#cbd5e0",
    "missing": "#a0aec0",
}
_OTHER = "#4a5568"
_SIGNS = {"pass": "✓", "part": "◐", "not tried": "○", "missing": "○"}
_SHOWN_GROUPS = 40

_STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def write(lesson: Lesson, results: list[dict[str, Any]], out: Path, groups: list[Group] | None = None) -> None:
    """Write ``report/index.html`` for the teacher and ``report/students/*.html``, one page to give to each student."""
    folder = out / "report"
    (folder / "students").mkdir(parents=True, exist_ok=True)
    current = {f"{result['student']['key']}.html" for result in results}
    for stale in (folder / "students").glob("*.html"):
        if stale.name not in current:
            stale.unlink()
    for result in results:
        write_atomically(folder / "students" / f"{result['student']['key']}.html", student_page(lesson, result))
    write_atomically(folder / "index.html", class_page(lesson, results, groups or []))


def class_page(lesson: Lesson, results: list[dict[str, Any]], groups: list[Group]) -> str:
    """The teacher's page."""
    marked = [result for result in results if result["marks"]]
    points = sorted(result["points"] for result in marked)
    out_of = sum(exercise.points for exercise in lesson.exercises)
    people = sum(needs_a_person(result) for result in results)
    figures = [(str(len(results)), "submissions"), (str(len(marked)), "marked"), (str(people), "for you to look at")]
    if points:
        figures.insert(2, (f"{_median(points):g} of {out_of}", "median points"))
    parts = [
        f"<h1>{_title(lesson)}</h1><p class=lead>What the class shows, and what to look at before the marks go out.</p>"
    ]
    parts.append(
        "<div class=figures>"
        + "".join(f"<div class=figure><b>{a}</b><span>{b}</span></div>" for a, b in figures)
        + "</div>"
    )
    if weak := sorted({result["level"] for result in marked if result["level"] == "rlimits"}):
        parts.append(f"<div class='card warn'>Marked at the level <b>{escape(weak[0])}</b>: hostile code was not kept from the files, the "
                     "environment and the network of the account that marked. See the README on sandbox levels.</div>")  # fmt: skip
    if points:
        parts.append(f"<h2>Points</h2><div class=card>{_histogram(points, out_of)}</div>")
    parts.append(f"<h2>Exercises</h2><div class=card>{_exercises(lesson, marked)}</div>")
    parts.append(f"<h2>Mistakes by name</h2><div class=card>{_mistakes(lesson, marked)}</div>")
    if groups:
        parts.append(f"<h2>Alike</h2>{_alike(groups, results)}")
    parts.append(f"<h2>Students</h2><div class=card style='overflow-x:auto'>{_students(lesson, results)}</div>")
    if words := _words(marked):
        parts.append(f"<h2>Answers in words</h2>{words}")
    return _page(f"{lesson.name}: the class", "".join(parts))


def student_page(lesson: Lesson, result: dict[str, Any]) -> str:
    """The page for a student: what the check says in the lesson, on inputs that are not shown. No flag is on it."""
    parts = [f"<h1>{_title(lesson)}</h1><p class=lead>{escape(result['student']['name'])}</p>"]
    if not result["marks"]:
        parts.append(
            f"<div class='card warn'><b>{escape(result['status'].capitalize())}.</b> {escape(result['reason'])}</div>"
        )
        return _page(result["student"]["name"], "".join(parts))
    passed = sum(mark["verdict"] == "pass" for mark in result["marks"].values())
    figures = (
        (f"{result['points']} of {result['out_of']}", "points"),
        (f"{passed} of {len(result['marks'])}", "exercises right"),
    )
    parts.append(
        "<div class=figures>"
        + "".join(f"<div class=figure><b>{a}</b><span>{b}</span></div>" for a, b in figures)
        + "</div>"
    )
    for id, mark in result["marks"].items():
        parts.append(_feedback(id, result["exercises"][id]["title"], mark))
    for question, words in result["prose"].items():
        said = f"<blockquote>{escape(words)}</blockquote>" if words else "<p class=soft>Not answered.</p>"
        parts.append(f"<div class=card><b>{escape(question)}</b> · in words, read by your teacher{said}</div>")
    return _page(result["student"]["name"], "".join(parts))


def _title(lesson: Lesson) -> str:
    first = next((cell.source for cell in lesson.notebook.cells if cell.cell_type == "markdown"), "")
    found = re.search(r"^#\s+(.+)$", first, re.MULTILINE)
    return escape(found.group(1) if found else lesson.name)


def _feedback(id: str, title: str, mark: dict[str, Any]) -> str:
    parts = [f"<div class=card>{_tile(mark['verdict'], long=True)} &nbsp;<b>{escape(id)} · {escape(title)}</b>"]
    parts.append(f"<span class=soft style='float:right'>{mark['points']} of {mark['out_of']} points</span>")
    if mark["verdict"] not in ("not tried",):
        parts.append(f"<p class=message>{escape(mark['message'])}</p>")
    if mark["trace"]:
        parts.append(f"<pre>{escape(mark['trace'])}</pre>")
    if mark["printed"].strip():
        parts.append(
            f"<details><summary>What it printed</summary><pre>{escape(mark['printed'][:2000])}</pre></details>"
        )
    if mark["source"] and mark["verdict"] != "not tried":
        parts.append(f"<details><summary>Your answer</summary><pre>{escape(mark['source'][:20_000])}</pre></details>")
    return "".join(parts) + "</div>"


def _histogram(points: list[int], out_of: int) -> str:
    """How many students have how many points, as a picture."""
    bins = min(out_of + 1, 21)
    counts = Counter(min(bins - 1, point * bins // (out_of + 1)) for point in points)
    width, height, gap, top = 1000, 210, 6, max(counts.values())
    step = width / bins
    bars = []
    for index in range(bins):
        low = -(-index * (out_of + 1) // bins)
        high = -(-(index + 1) * (out_of + 1) // bins) - 1
        count = counts[index]
        tall = 150 * count / top
        x = index * step
        if count:
            place = f"x='{x + gap / 2:.1f}' y='{170 - tall:.1f}' width='{step - gap:.1f}' height='{tall:.1f}'"
            bars.append(f"<rect {place} rx='3' fill='#3182ce'/>")
            bars.append(
                f"<text x='{x + step / 2:.1f}' y='{163 - tall:.1f}' text-anchor='middle' font-size='15'>{count}</text>"
            )
        label = f"{low}" if low == high else f"{low}–{high}"
        bars.append(
            f"<text x='{x + step / 2:.1f}' y='192' text-anchor='middle' font-size='{14 if bins < 16 else 12}' fill='#5a6577'>{label}</text>"
        )
    axis = f"<line x1='0' x2='{width}' y1='170.5' y2='170.5' stroke='#cbd5e0'/>"
    return (f"<svg viewBox='0 0 {width} {height}' width='100%' role='img' aria-label='Students by points'>{axis}{''.join(bars)}</svg>"
            f"<div class=soft>Students by points, of {out_of}</div>")  # fmt: skip


def _exercises(lesson: Lesson, marked: list[dict[str, Any]]) -> str:
    rows = []
    for exercise in lesson.exercises:
        counts = Counter(result["marks"][exercise.id]["verdict"] for result in marked)
        tried = sum(counts.values()) - counts["not tried"] - counts["missing"]
        rate = f"{100 * counts['pass'] / tried:.0f} %" if tried else "–"
        order = sorted(counts, key=list(VERDICTS).index)
        bar = "".join(
            f"<i style='width:{100 * counts[one] / len(marked):.2f}%;background:{_colour(one)}' title='{counts[one]} {one}'></i>"
            for one in order
        )
        told = ", ".join(f"{counts[one]} {one}" for one in order)
        rows.append(f"<tr><td><b>{escape(exercise.id)}</b> {escape(exercise.title)}</td><td class=n>{tried}</td><td class=n>{rate}</td>"
                    f"<td style='width:45%'><div class=bar>{bar}</div><span class=soft>{told}</span></td></tr>")  # fmt: skip
    head = "<tr><th>Exercise</th><th class=n>tried</th><th class=n>right, of those</th><th>all</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _mistakes(lesson: Lesson, marked: list[dict[str, Any]]) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for result in marked:
        for id, mark in result["marks"].items():
            if mark["mistake"]:
                found.setdefault((id, mark["mistake"]), []).append(result["student"]["name"])
    if not found:
        return "<span class=soft>No answer is one of the known mistakes.</span>"
    says = {(exercise.id, mistake.name): mistake.says for exercise in lesson.exercises for mistake in exercise.mistakes}
    rows = []
    for (id, name), students in sorted(found.items(), key=lambda item: -len(item[1])):
        who = ", ".join(students[:8]) + (f" and {len(students) - 8} more" if len(students) > 8 else "")
        rows.append(f"<tr><td class=n><b>{len(students)}</b></td><td><b>{escape(id)}</b> {escape(name)}<br><span class=soft>"
                    f"{escape(says.get((id, name), ''))}</span></td><td class=soft>{escape(who)}</td></tr>")  # fmt: skip
    return f"<table><tr><th class=n>students</th><th>mistake, and what its author is told</th><th>who</th></tr>{''.join(rows)}</table>"


def _alike(groups: list[Group], results: list[dict[str, Any]]) -> str:
    by_key = {result["student"]["key"]: result for result in results}
    parts = ["<div class=card><p class=soft style='margin:0 0 8px'>Names, comments and formatting aside. Short answers that are "
             "right are often alike by themselves; a person decides what this means.</p>"]  # fmt: skip
    for group in groups[:_SHOWN_GROUPS]:
        students = [by_key[key] for key in group.students]
        who = ", ".join(escape(one["student"]["name"]) for one in students[:6])
        who += f" and {len(students) - 6} more" if len(students) > 6 else ""
        who += " · the same as the reference" if group.reference else ""
        share = "the same" if group.share == 1.0 else f"{100 * group.share:.0f} % alike"
        sides = "".join(
            f"<div>{_link(one)}<pre>{escape(one['marks'][group.exercise]['source'][:6000])}</pre></div>"
            for one in students[:2]
        )
        parts.append(
            f"<details><summary><b>{escape(group.exercise)}</b> · {share} · {who}</summary><div class=side>{sides}</div></details>"
        )
    if len(groups) > _SHOWN_GROUPS:
        parts.append(f"<p class=soft>{len(groups) - _SHOWN_GROUPS} more are flagged in grades.csv.</p>")
    return "".join(parts) + "</div>"


def _students(lesson: Lesson, results: list[dict[str, Any]]) -> str:
    head = "".join(f"<th class=c>{escape(id)}</th>" for id in lesson.ids)
    rows = []
    for result in results:
        marks = result["marks"]
        tiles = "".join(
            f"<td class=c>{_tile(marks[id]['verdict'], points=marks[id]['points'])}</td>"
            if marks
            else "<td class=c>–</td>"
            for id in lesson.ids
        )
        flags = [
            *result["notes"],
            *result["flags"],
            *(f"{id}: {flag}" for id, mark in marks.items() for flag in mark["flags"]),
        ]
        told = "".join(f"<span class=flag>{escape(flag)}</span>" for flag in flags)
        if result["status"] != "marked":
            told = f"<b>{escape(result['status'])}</b> <span class=soft>{escape(result['reason'][:300])}</span> {told}"
        eye = " <span title='for you to look at'>👁</span>" if needs_a_person(result) else ""
        total = f"{result['points']}" if marks else "–"
        rows.append(
            f"<tr><td style='white-space:nowrap'>{_link(result)}{eye}</td><td class=n>{total}</td>{tiles}<td>{told}</td></tr>"
        )
    legend = "".join(
        f"<i style='background:{_colour(word)}'></i>{word}"
        for word in ("pass", "part", "fail", "error", "not tried", "missing")
    )
    legend += f"<i style='background:{_OTHER}'></i>other"
    return (f"<table><tr><th>Student</th><th class=n>points</th>{head}<th>to look at</th></tr>{''.join(rows)}</table>"
            f"<div class=legend style='margin-left:-14px'>{legend}</div>")  # fmt: skip


def _words(marked: list[dict[str, Any]]) -> str:
    questions: dict[str, list[tuple[str, str]]] = {}
    for result in marked:
        for question, words in result["prose"].items():
            if words:
                questions.setdefault(question, []).append((result["student"]["name"], words))
    parts = []
    for question, answers in questions.items():
        said = "".join(
            f"<p><b>{escape(name)}</b></p><blockquote>{escape(words)}</blockquote>" for name, words in answers
        )
        title = f"<summary>{escape(question)} · {len(answers)} answers</summary>"
        parts.append(f"<div class=card><details style='margin:0'>{title}{said}</details></div>")
    return "".join(parts)


def _link(result: dict[str, Any]) -> str:
    return f"<a href='students/{escape(result['student']['key'])}.html'>{escape(result['student']['name'])}</a>"


def _tile(verdict: str, *, long: bool = False, points: int | None = None) -> str:
    shown = (
        f"{_SIGNS.get(verdict, '✗')} {verdict}"
        if long
        else (str(points) if verdict in ("pass", "part") else _SIGNS.get(verdict, "✗"))
    )
    pale = " pale" if verdict in ("not tried",) else ""
    title = f"{escape(verdict)}: {escape(VERDICTS[verdict])}"
    return f"<span class='tile{pale}' style='background:{_colour(verdict)}' title='{title}'>{shown}</span>"


def _colour(verdict: str) -> str:
    return _COLOURS.get(verdict, _OTHER)


def _median(values: list[int]) -> float:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def _page(title: str, body: str) -> str:
    # The policy lets nothing run and nothing be fetched, should anything of a submission ever slip through unescaped.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<meta http-equiv=Content-Security-Policy content=\"{policy}\"><title>{escape(title)}</title><style>{_STYLE}</style>"
            f"<main>{body}</main></html>\n")  # fmt: skip
