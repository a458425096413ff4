"""What happened to one answer, cell by cell, from the stored record."""

from __future__ import annotations

import json
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.levels import not_protected
from course_utils.grading.messages import kernel_ended
from course_utils.grading.readable import for_terminal
from course_utils.grading.results import Answer, CellKind, CellRecord, Result, Stop
from course_utils.grading.roster import Student
from course_utils.grading.store import Store

_KINDS = {
    CellKind.LESSON: "a cell of the lesson",
    CellKind.EXTRA: "a cell of the learner's own",
    CellKind.ANSWER: "the answer",
    CellKind.PROBE: "the question on hidden inputs",
    CellKind.AGAIN: "the same question again",
    CellKind.SUPPLY: "the reference put back for what follows",
}
_STOPS = {
    Stop.ALARM: "an alarm; what comes after that cell counts for nothing",
    Stop.NO_KERNEL: "no kernel",
    Stop.LACKS_A_CELL: "it needs a cell of the lesson that was left out",
}
_EVERYTHING = " once more, with all of the learner's own code (it earns nothing, and what is right is open)"


def explain(out: Path, student: str, exercise: str) -> str:
    """The story of one exercise of one student, for the teacher: hidden inputs' labels and seed included.

    Raises:
        CourseError: there is no such student or exercise; it lists those that come near.
    """
    result = find_result(out, student)
    name, marked = result.student.name, result.marked
    if exercise not in result.marks:
        if not result.marks:
            return f"{name}: {result.status}. {result.reason}"
        raise CourseError(f"there is no exercise {exercise!r} in {result.lesson}; it has {', '.join(result.marks)}")
    mark = result.marks[exercise]
    title = result.exercises[exercise].title
    lines = [f"{name} · {exercise} {title}: {mark.verdict}, {mark.points} of {mark.out_of} points", mark.message, ""]
    if exercise in result.by_hand:
        given = result.by_hand[exercise]
        lines.insert(1, f"given by hand, {given.when}: {result.points_of(exercise)} points, because {given.because}")
    lines += [f"flag: {flag}" for id, flag in result.all_flags if id in ("", exercise)]
    lines.append(f"file: {', '.join(result.files)}")
    lines.append(f"hidden inputs: seed {marked.seed}; sandbox: {marked.level}")
    if marked.level and (told := not_protected(marked.level, landlock=marked.protections.landlock)):
        lines.append(f"at this level: {told}")
    for number, run in enumerate(marked.runs, 1):
        asked = f"asked for {', '.join(run.asked)}{_EVERYTHING if run.everything else ''}"
        lines += ["", f"run {number} of {len(marked.runs)}, {asked}:"]
        for cell in run.cells:
            lines += _cell(cell, exercise)
        if run.trouble:
            lines.append(f"  the run broke: {run.trouble.what}: {run.trouble.told}")
        if run.stopped:
            lines.append(f"  stopped here: {_STOPS[run.stopped]}")
        if run.kernel_end:
            lines.append(f"  {kernel_ended(run.kernel_end)}")
    lines += ["", "the answer:", *(f"  {line}" for line in mark.source.splitlines() or ["(none)"])]
    return for_terminal("\n".join(lines))


def find_result(out: Path, student: str) -> Result:
    """The stored result of the student who is called so, or whose id, email or key it is.

    Raises:
        CourseError: nobody or several are meant; it lists those that come near.
    """
    if not (out / "results").is_dir() or not (results := Store(out).load_all()):
        raise CourseError(
            f"{out / 'results'}: nothing has been marked there; run the same command without --explain and --set first"
        )
    wanted = student.casefold()
    exact = [one for one in results if wanted in _called(one.student)]
    near = exact or [one for one in results if wanted in one.student.name.casefold()]
    if len(near) != 1:
        names = ", ".join(one.student.name for one in (near or results)[:20])
        raise CourseError(f"{len(near)} students are meant by {student!r}; there are {names}")
    return near[0]


def _called(student: Student) -> set[str]:
    names = (student.key, student.name, student.id, student.email, *student.accounts.values())
    return {name.casefold() for name in names if name}


def _cell(cell: CellRecord, exercise: str) -> list[str]:
    whose = f" of {cell.exercise}" if cell.exercise else ""
    name = cell.error.name if cell.error else "?"
    state = cell.alarm or (f"raised {name}" if cell.failed else "ok")
    lines = [f"  {cell.seconds:7.2f} s  {_KINDS[cell.kind]}{whose}: {state}"]
    if cell.kind is CellKind.LESSON:
        lines[0] += f"  ({next(iter(cell.source.strip().splitlines()), '')[:60]})"
    if cell.exercise != exercise:
        return lines
    if cell.error and cell.kind is not CellKind.SUPPLY:
        lines += [f"      {line}" for line in cell.error.trace.splitlines()[-15:]]
    return lines + ([f"      {line}" for line in _answer(cell.answer)] if cell.answer else [])


def _answer(answer: Answer) -> list[str]:
    if answer.agrees is not None:
        return ["the same again" if answer.agrees else "not the same again"]
    if answer.verdict is None:
        return [answer.refused or answer.failure or "nothing of that name"]
    verdict = answer.verdict
    lines = [f"{verdict.status}, {verdict.points} points. {verdict.message}"]
    for index, (label, passed) in enumerate(verdict.passed):
        value = ""
        if index < len(answer.outcomes):
            outcome = answer.outcomes[index]
            value = f": {json.dumps(outcome.value)[:80] if outcome.kind == 'value' else outcome.error}"
        lines.append(f"{'✓' if passed else '✗'} {label}{value}")
    return lines
