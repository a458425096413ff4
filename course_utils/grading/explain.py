"""What happened to one answer, cell by cell, from the stored record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError

_KINDS = {
    "lesson": "a cell of the lesson",
    "extra": "a cell of the learner's own",
    "answer": "the answer",
    "probe": "the question on hidden inputs",
    "again": "the same question again",
    "supply": "the reference put back for what follows",
}


def explain(out: Path, student: str, exercise: str) -> str:
    """The story of one exercise of one student, for the teacher: hidden inputs' labels and seed included.

    Raises:
        CourseError: there is no such student or exercise; it lists those that come near.
    """
    result = _find(out, student)
    name = result["student"]["name"]
    if exercise not in result["marks"]:
        if not result["marks"]:
            return f"{name}: {result['status']}. {result['reason']}"
        raise CourseError(
            f"there is no exercise {exercise!r} in {result['lesson']}; it has {', '.join(result['marks'])}"
        )
    mark = result["marks"][exercise]
    lines = [
        f"{name} · {exercise} {result['exercises'][exercise]['title']}: {mark['verdict']}, {mark['points']} of {mark['out_of']} points"
    ]
    lines += [mark["message"], ""]
    lines += [f"flag: {flag}" for flag in (*mark["flags"], *result["flags"], *result["notes"])]
    lines.append(f"file: {', '.join(result['files'])}")
    lines.append(f"hidden inputs: seed {result['seed']}; sandbox: {result['level']}")
    for number, run in enumerate(result["runs"], 1):
        lines += ["", f"run {number} of {len(result['runs'])}, asked for {', '.join(run['asked'])}:"]
        for cell in run["cells"]:
            lines += _cell(cell, exercise)
        if run["kernel_end"]:
            lines.append(f"  the kernel was ended: {run['kernel_end']}")
    lines += ["", "the answer:", *(f"  {line}" for line in mark["source"].splitlines() or ["(none)"])]
    return "\n".join(lines)


def _find(out: Path, student: str) -> dict[str, Any]:
    folder = out / "results"
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise CourseError(f"{folder}: nothing has been marked there; run the same command without --explain first")
    wanted = student.casefold()
    exact = [one for one in results if wanted in {str(value).casefold() for value in one["student"].values() if value}]
    near = exact or [one for one in results if wanted in one["student"]["name"].casefold()]
    if len(near) != 1:
        names = ", ".join(one["student"]["name"] for one in (near or results)[:20])
        raise CourseError(f"{len(near)} students are meant by {student!r}; there are {names}")
    return near[0]


def _cell(cell: dict[str, Any], exercise: str) -> list[str]:
    if "trouble" in cell:
        return [f"  the run broke: {cell['trouble']}: {cell['told']}"]
    if "kind" not in cell:
        return [f"  stopped here: {cell['stopped']}"] if cell.get("stopped") else []
    whose = f" of {cell['exercise']}" if cell["exercise"] else ""
    state = cell["alarm"] or (
        "ok" if cell["passed"] and cell["reply"] == "ok" else f"raised {cell['error'].get('name', '?')}"
    )
    lines = [f"  {cell['seconds']:7.2f} s  {_KINDS[cell['kind']]}{whose}: {state}"]
    if cell["kind"] == "lesson":
        lines[0] += f"  ({cell['source'].strip().splitlines()[0][:60] if cell['source'].strip() else ''})"
    if cell["exercise"] != exercise:
        return lines
    if cell["error"] and cell["kind"] != "supply":
        lines += [f"      {line}" for line in cell["error"]["trace"].splitlines()[-15:]]
    result = cell.get("result") or {}
    if "verdict" in result:
        verdict = result["verdict"]
        lines.append(f"      {verdict['status']}, {verdict['points']} points. {verdict['message']}")
        for index, (label, passed) in enumerate(verdict["passed"]):
            outcome = result.get("outcomes", [])[index : index + 1]
            value = (
                f": {json.dumps(outcome[0]['value'])[:80] if outcome[0]['kind'] == 'value' else outcome[0]['error']}"
                if outcome
                else ""
            )
            lines.append(f"      {'✓' if passed else '✗'} {label}{value}")
    if "agrees" in result:
        lines.append(f"      {'the same again' if result['agrees'] else 'not the same again'}")
    for word in ("refused", "examiner"):
        if word in result:
            lines.append(f"      {word}: {result[word]}")
    return lines
