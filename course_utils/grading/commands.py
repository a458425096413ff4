"""`course grade`: what is typed, and what is said in return."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm  # type: ignore[import-untyped]

from course_utils.errors import CourseError
from course_utils.grading.levels import LEVELS, not_protected

if TYPE_CHECKING:
    from course_utils.grading.lesson import Lesson
    from course_utils.grading.results import Result
    from course_utils.grading.sandbox import Limits


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course grade`."""
    parser.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a folder or a zip, as your school's system gives it"
    )
    parser.add_argument(
        "--lesson",
        metavar="LESSON",
        help="a number or name (4, logit_lens), or the folder of a lesson of your own; "
        "default: the lesson that most submissions are of",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", help="where marks and feedback go; default: SUBMISSIONS-marked"
    )
    parser.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="your students: columns such as name, id, email; in a column folder you say what someone's work is called",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 2,
        metavar="N",
        help="notebooks at once; default: one for each core",
    )
    parser.add_argument("--force", action="store_true", help="mark again what is marked already")
    parser.add_argument("--again", action="append", metavar="STUDENT", help="mark this student again, and no other")
    parser.add_argument(
        "--set",
        nargs=3,
        metavar=("STUDENT", "EXERCISE", "POINTS"),
        help="give points by hand; no marking ever changes them again",
    )
    parser.add_argument("--because", metavar="TEXT", help="with --set: why, for the student to read")
    parser.add_argument(
        "--explain", nargs=2, metavar=("STUDENT", "EXERCISE"), help="say what happened, cell by cell; marks nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the marks as JSON, and no progress")
    parser.add_argument(
        "--sandbox",
        choices=LEVELS,
        help="default: bubblewrap, or rlimits with a warning",
    )
    parser.add_argument("--executor", default="local", metavar="NAME", help="local, dask:ADDRESS or slurm[:PARTITION]")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the same hidden inputs for all; default: fresh ones for each"
    )
    for name, what in (("case", "an answer on one input"), ("cell", "one cell"), ("wall", "one notebook")):
        parser.add_argument(f"--{name}-seconds", type=float, metavar="S", help=f"limit for {what}")
    parser.add_argument(
        "--memory", type=float, metavar="GIB", help="limit for one notebook, above what the model takes; default 2"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from course_utils.grading.lesson import load_lesson
    from course_utils.grading.mark_folder import Plan, mark_folder
    from course_utils.grading.sandbox import choose_level

    submissions: Path = arguments.submissions
    out = arguments.out or _beside(submissions)
    if arguments.explain:
        return _explain(out, *arguments.explain)
    if arguments.set:
        return _set(out, *arguments.set, because=arguments.because)
    if arguments.workers < 1:
        raise CourseError("--workers must be 1 or more")
    level, why = choose_level(arguments.sandbox)
    from course_utils.grading.inside import landlock

    if told := not_protected(level, landlock=landlock.version() > 0):
        reason = f" Reason: {why}." if why else ""
        print(f"course: warning: {told}.{reason}", file=sys.stderr)
    if level == "rlimits":
        from course_utils.grading.inside import linux  # not above: it needs fcntl, which Windows has not

        if linux.AVAILABLE:
            linux.keep_out()  # what is marked has the same user, and the marks are in this process's memory
    lesson = load_lesson(arguments.lesson or _guess(submissions))
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        submissions,
        out,
        level,
        _limits(arguments),
        workers=arguments.workers,
        executor=arguments.executor,
        roster=arguments.roster,
        again=frozenset(arguments.again) if arguments.again and not arguments.force else arguments.force,
        seed=arguments.seed,
    )
    with _Progress(quiet=arguments.json) as progress:
        results = mark_folder(lesson, plan, progress.tell, progress.say)
    results = _write(lesson, results, out)
    if arguments.json:
        print(json.dumps([_short(result) for result in results], ensure_ascii=False, indent=1))
    else:
        _summary(results, out)
    return 0


def _beside(submissions: Path) -> Path:
    """Where marks go unless it is said: beside the folder (also where it is called "."), or beside the zip."""
    place = submissions.resolve()
    if not place.name:
        raise CourseError(f"{submissions}: there is no place beside it for the marks; say --out FOLDER")
    return place.with_name(f"{place.stem if place.is_file() else place.name}-marked")


def _write(lesson: Lesson, results: list[Result], out: Path) -> list[Result]:
    """Write tables and pages; the results as they are shown there, with the flags of the class."""
    from course_utils.grading import exports, report
    from course_utils.grading.class_flags import add_class_flags

    results, groups = add_class_flags(lesson, results)
    exports.write(lesson, results, out)
    report.write(lesson, results, out, groups)
    return results


def _set(out: Path, student: str, exercise: str, points: str, *, because: str | None) -> int:
    """Keep the teacher's points, and write tables and pages again."""
    from datetime import UTC, datetime

    from course_utils.grading.explain import find_result
    from course_utils.grading.lesson import load_lesson
    from course_utils.grading.results import ByHand
    from course_utils.grading.store import Store

    if not (because or "").strip():
        raise CourseError('--set needs --because "...": the student reads it beside the points')
    result = find_result(out, student)
    possible = {id: one.points for id, one in result.exercises.items()} | result.in_words
    if exercise not in possible:
        raise CourseError(f"there is no exercise {exercise!r} in {result.lesson}; it has {', '.join(possible)}")
    most = possible[exercise]
    try:
        given = float(points.replace(",", "."))
    except ValueError:
        given = -1.0
    if not 0 <= given <= most:
        raise CourseError(f"{points} is not a number of points for exercise {exercise}, which has 0 to {most}")
    store = Store(out)
    lesson = load_lesson(store.lesson())
    before = result.points_of(exercise)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    store.set_by_hand(result.student.key, exercise, ByHand(given, str(because).strip(), now))
    results = store.load_all()
    for one in results:
        if one.student.key == result.student.key:
            store.save(one)
            print(f"{one.student.name}: {exercise} had {before}, has {one.points_of(exercise)} of {most} points")
    _write(lesson, results, out)
    return 0


def _limits(arguments: argparse.Namespace) -> Limits:
    from course_utils.grading.sandbox import Limits

    given = {name: getattr(arguments, f"{name}_seconds") for name in ("case", "cell", "wall")}
    limits = replace(Limits(), **{name: value for name, value in given.items() if value is not None})
    if arguments.memory is not None:
        limits = replace(limits, memory=int(arguments.memory * (1 << 30)))
    if min(limits.case, limits.cell, limits.wall, limits.memory) <= 0:
        raise CourseError("limits must be above 0")
    return limits


def _guess(submissions: Path) -> str:
    """The lesson that most of the notebooks are of."""
    from course_utils.grading.handed_in import read_folder
    from course_utils.grading.intake import is_of
    from course_utils.grading.lesson import load_lesson
    from course_utils.notebooks.files import lessons, project_root

    found = [file.notebook for file in read_folder(submissions) if file.notebook is not None]
    best, most = "", 0
    for path in lessons(project_root()):
        try:
            lesson = load_lesson(str(path))
        except CourseError:
            continue  # one that is being written
        count = sum(is_of(lesson, notebook) for notebook in found)
        if count > most:
            best, most = str(path), count
    if not best:
        raise CourseError(
            f"{submissions}: none of its notebooks is one of the course's lessons; "
            "for one of your own say --lesson FOLDER"
        )
    return best


def _explain(out: Path, student: str, exercise: str) -> int:
    from course_utils.grading.explain import explain

    print(explain(out, student, exercise))
    return 0


def _short(result: Result) -> dict[str, Any]:
    marks = {
        id: {
            "verdict": mark.verdict,
            "points": result.points_of(id),
            "mistake": mark.mistake,
            "flags": [str(flag) for flag in mark.flags],
        }
        for id, mark in result.marks.items()
    }
    return {
        "student": asdict(result.student),
        "status": result.status,
        "reason": result.reason,
        "points": result.points,
        "out_of": result.out_of,
        "flags": [str(flag) for flag in result.marked.flags],
        "by_hand": {id: asdict(given) for id, given in result.by_hand.items()},
        "notes": [str(flag) for flag in result.notes],
        "marks": marks,
    }


def _summary(results: list[Result], out: Path) -> None:
    from collections import Counter

    from course_utils.grading.readable import for_terminal
    from course_utils.grading.results import Status

    statuses = Counter(result.status.value for result in results)
    print(f"{len(results)} submissions: " + ", ".join(f"{count} {status}" for status, count in statuses.most_common()))
    for result in results:
        if result.status is not Status.MARKED:
            # Of an open mark the message says why it is open, and then what an answer that is not right came to.
            told = result.reason or " ".join(f"{id}: {result.marks[id].message}" for id in result.open_exercises)
            print(for_terminal(f"  {result.student.name}: {result.status}. {told[:300]}"))
    for result in results:
        for note in result.notes:
            if note.must_look:
                print(for_terminal(f"  {result.student.name}: {note}"))
    if people := sum(result.needs_a_person for result in results):
        print(f"For you to look at: {people}; the report shows whom, and why")
    print(f"Marks: {out / 'grades.csv'}")
    print(f"Report: {out / 'report' / 'index.html'}")


class _Progress:
    """How far it is, how long it still takes, and who was marked last, on a bar that stays silent where JSON is
    wanted.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._bar = tqdm(
            disable=quiet,
            unit="notebook",
            file=sys.stderr,
            dynamic_ncols=True,
            # Where nobody sees the line being rewritten, as in a log, a line a minute is enough.
            mininterval=0.1 if sys.stderr.isatty() else 60.0,
            bar_format="{l_bar}{bar:24}| {n_fmt}/{total_fmt}, {remaining} left  {desc}",
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def tell(self, what: str, done: int, count: int) -> None:
        """``done`` of ``count`` notebooks are marked; ``what`` is being done."""
        if self._bar.total != count:
            # What an earlier run has marked took no time now, and must not make the rest look short.
            self._bar.reset(total=count)
            self._bar.initial = done
        self._bar.set_description_str(what[:40], refresh=False)
        self._bar.update(done - self._bar.n)

    def say(self, sentence: str) -> None:
        """A sentence above the bar."""
        if not self._bar.disable:
            tqdm.write(f"course: {sentence}", file=sys.stderr)
