"""The parts of marking that need no kernel: intake, merging, the exam, the stripped copy, reading a record, exports,
the report.
"""

from __future__ import annotations

import ast
import copy
import csv
import html
import importlib
import inspect
import io
import itertools
import json
import os
import re
import site
import socket
import string
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec
import pytest

from course_utils.errors import CourseError
from course_utils.exercises import Verdict
from course_utils.exercises.judging import attempt
from course_utils.exercises.running import Outcome, outcome_from_json, outcome_to_json
from course_utils.grading import (
    commands,
    exam_notebook,
    examiner,
    executors,
    exports,
    intake,
    levels,
    mark_notebook,
    messages,
    report,
    roster,
    sandbox,
    similar,
    stripped_package,
    verdicts,
    worker,
)
from course_utils.grading.class_flags import add_class_flags
from course_utils.grading.exam_notebook import ExamCell
from course_utils.grading.explain import explain
from course_utils.grading.flags import Flag
from course_utils.grading.inside import fork_server, used
from course_utils.grading.inside.reports import Attempt, KernelEnd, Limit, read_report, tell_attempt, tell_end
from course_utils.grading.inside.settings import Files, Filter, FilterUse, Protections, Settings
from course_utils.grading.kernel_channel import KernelChannel, KernelDied, TooMuchOutput
from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.mark_folder import Plan, mark_folder
from course_utils.grading.merge import merge
from course_utils.grading.read_notebook import parse
from course_utils.grading.reading_limit import ReadingLimit
from course_utils.grading.removing import remove
from course_utils.grading.results import (
    FORMAT,
    Alarm,
    Answer,
    CellError,
    CellKind,
    CellRecord,
    Damaged,
    Failure,
    Mark,
    Marked,
    OtherFormat,
    RecordLine,
    Result,
    Ruling,
    Run,
    SentOutcome,
    Status,
    Stop,
    Trouble,
)
from course_utils.grading.store import Store, make_result
from course_utils.grading.unshown_functions import unshown_functions
from tests.grading import cohort, examples
from tests.grading.cohort import LESSON, PUPILS, RIGHT, Pupil


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return load_lesson(str(LESSON))


def handed_in(**answers: str) -> bytes:
    return cohort.notebook_of(Pupil("x", answers={id.replace("_", "."): source for id, source in answers.items()}))


# --- merging and the exam
# -----------------------------------------------------------------------------------------------------


def test_prose_is_collected(lesson: Lesson) -> None:
    wordy = next(pupil for pupil in PUPILS if pupil.name == "Eve Wordy")
    merged = merge(lesson, parse(cohort.notebook_of(wordy)))
    assert merged.prose == {"m.4": "Since each entry is multiplied with itself."}


def test_exam_leaves_out_what_no_answer_needs(lesson: Lesson) -> None:
    merged = merge(lesson, parse(handed_in(m_1=RIGHT["m.1"])))
    lean = exam_notebook.build(lesson, merged, ["m.1"], 1, "n", 1.0)
    whole = exam_notebook.build(lesson, merged, ["m.1"], 1, "n", 1.0, whole=True)
    sources = [cell.source for cell in lean.cells]
    assert any("import torch" in source for source in sources), "the answer names torch"
    assert not any("load_model(" in source for source in sources), "m.1 needs no model"
    assert len(whole.cells) > len(lean.cells)


def test_exam_of_an_answer_that_may_use_any_name_is_whole(lesson: Lesson) -> None:
    merged = merge(lesson, parse(handed_in(m_1="def standardise(values):\n    return eval('numbers')")))
    assert any("load_model(" in cell.source for cell in exam_notebook.build(lesson, merged, ["m.1"], 1, "n", 1.0).cells)


def test_no_reference_comes_before_its_question(lesson: Lesson) -> None:
    merged = merge(lesson, parse(handed_in(**{id.replace(".", "_"): source for id, source in RIGHT.items()})))
    cells = exam_notebook.build(lesson, merged, lesson.ids, 1, "n", 1.0).cells
    roles = [ExamCell.of(cell) for cell in cells]
    for exercise in lesson.exercises:
        asked = roles.index(ExamCell(CellKind.PROBE, exercise.id))
        body = ast.unparse(ast.parse(RIGHT["m.2"])) if exercise.id == "m.2" else "pow(2).mean().sqrt()"
        assert not any(
            body in cell.source
            for role, cell in zip(roles[:asked], cells[:asked], strict=True)
            if role.kind is CellKind.SUPPLY and role.exercise == exercise.id
        )
        assert [role.kind for role in roles[asked : asked + 3]] == ["probe", "again", "supply"]


# --- the stripped copy
# --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_copy_holds_no_reference_and_no_mistake(tmp_path: Path, lesson: Lesson) -> None:
    stripped_package.copy_stripped_package(lesson, tmp_path)
    text = (tmp_path / "lesson" / "similarity_exercises.py").read_text(encoding="utf-8")
    for secret in (
        "pow(2)",
        "output.logits",
        "values.std",
        "sample deviation",
        "Subtract first",
        "_covariance",
        "Mean 0, deviation 1.",
    ):
        assert secret not in text, secret
    assert "ReferenceWithheld('m.1')" in text and "_draw_prompts" in text
    names = {path.name for path in (tmp_path / "package" / "course_utils" / "grading").rglob("*.py")}
    assert "verdicts.py" not in names and "probe.py" in names


def test_a_folder_that_was_shut_is_removed(tmp_path: Path) -> None:
    """Where root marks nothing is shut to it, so what is opened is looked at too."""
    other, folder = tmp_path / "other", tmp_path / "exam"
    other.mkdir(mode=0o500)
    (folder / "shut" / "in").mkdir(parents=True)
    (folder / "shut" / "in" / "file").touch()
    (folder / "link").symlink_to(other)
    for place in (folder / "shut" / "in", folder / "shut"):
        place.chmod(0)
    remove(folder)
    assert not folder.exists() and other.stat().st_mode & 0o777 == 0o500


def test_a_folder_deeper_than_a_path_may_be_long_is_removed(tmp_path: Path) -> None:
    """`shutil.rmtree` meets Python's limit on recursion in it, and leaves it."""
    folder, here = tmp_path / "exam", os.open(tmp_path, os.O_RDONLY)
    folder.mkdir()
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 20, dir_fd=inner)
        outer, inner = inner, os.open("d" * 20, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    os.close(here)
    remove(folder)
    assert not folder.exists()
    remove(folder)  # what is not there is no trouble
    kept = tmp_path / "kept"
    (kept / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(kept)
    remove(tmp_path / "link")
    assert (kept / "in").is_dir()


@pytest.mark.parametrize(
    "request_", [1, "other", {}, {"connection": {}}, {"connection": [], "folder": "1"},
                 {"connection": {}, "folder": "/home"}, {"connection": {}, "folder": "../1"},
                 {"connection": {}, "folder": ""}, {"connection": {}, "folder": 1}],
)  # fmt: skip
def test_a_kernel_is_asked_for_in_one_way(request_: Any) -> None:
    """At the level rlimits one that runs could ask, too: for a folder in which the next may write."""
    with pytest.raises(ValueError, match="by its connection and the number of its folder"):
        fork_server._read_request(request_)
    assert fork_server._read_request({"connection": {"ip": "x"}, "folder": "12"}) == ({"ip": "x"}, "12")


@pytest.mark.parametrize("place", ["/usr/local/lib/python3.11/site-packages", "venv/lib"])
def test_no_solutions_where_the_course_is_installed_among_the_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """In a container Python itself lies below /usr, which is not among its own folders."""
    import course_utils

    monkeypatch.setattr(sandbox, "_python_folders", lambda: [str(tmp_path / "venv")])
    installed = tmp_path / place / "course_utils"  # an absolute place stays one
    monkeypatch.setattr(course_utils, "__file__", str(installed / "__init__.py"))
    shut = sandbox.command("bubblewrap", tmp_path, [])
    over = ["--ro-bind", str(tmp_path / "copy" / "package" / "course_utils"), str(installed)]
    assert any(shut[at : at + 3] == over for at in range(len(shut)))


def test_packages_that_the_user_installed_are_seen_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `pip install --user` lie in the home, of which the sandbox sees nothing else."""
    own = tmp_path / "site-packages"
    own.mkdir()
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(own))
    words = sandbox.command("bubblewrap", tmp_path, [tmp_path / "copy" / "package"])
    place = words.index(str(own))
    assert words[place - 1 : place + 2] == ["--ro-bind", str(own), str(own)]
    assert words[words.index("PYTHONPATH") + 1].split(os.pathsep)[-1] == str(own)


@pytest.fixture(scope="module")
def copy_for_lesson_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a sandbox for lesson 1 has it. Read it only."""
    place = tmp_path_factory.mktemp("copy")
    stripped_package.copy_stripped_package(load_lesson("1"), place)
    return place


@pytest.mark.slow
def test_copy_of_each_lesson_of_the_course_is_whole(tmp_path: Path, copy_for_lesson_1: Path) -> None:
    """The stripped modules still parse and still draw; each reference in them refuses."""
    from course_utils.exercises import LESSONS, exercises

    package = copy_for_lesson_1 / "package"
    inside = subprocess.run(
        [sys.executable, "-c", DRAWN_INSIDE],
        env=os.environ | {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = json.loads(inside)
    assert found.pop("package") == str(package / "course_utils" / "__init__.py")
    known = [exercise for number in LESSONS for exercise in exercises(number)]
    assert list(found) == [exercise.id for exercise in known]
    for exercise in known:
        assert found[exercise.id]["told"] == [[], [], None], exercise.id
        assert found[exercise.id]["cases"] == repr(exercise.cases(3)), (
            f"{exercise.id} draws other inputs in the sandbox"
        )


def test_what_is_called_is_seen_whatever_its_source_says() -> None:
    """A function of the copy tells that a cell called it, also through a decorator, and not what it calls itself."""
    source = """
import functools, torch

def outer(x):
    "Its docstring stays first."
    return inner(x)

@torch.no_grad()
def inner(x):
    return x

class Both:
    def __init__(self):
        inner(1)
"""
    space: dict[str, Any] = {"__name__": "course_utils.steering"}
    exec(stripped_package.tell_calls(source, "course_utils.steering"), space)
    assert space["outer"].__doc__ == "Its docstring stays first."
    for cell, seen in (
        ("globals()['ou' + 'ter'](1)", ["outer"]),
        ("inner(1)", ["inner"]),
        ("Both()", ["Both"]),
        ("1 + 1", []),
    ):
        used.forget()
        exec(cell, {**space, "__name__": "__main__"})
        assert used.called() == [f"{name} of course_utils.steering" for name in seen]
    steering = load_lesson("5")
    answer = "def concept_direction(*a):\n    return getattr(m, 'concept_' + 'directions')(*a)"
    names = ["concept_directions of course_utils.steering", "no_such of course_utils.steering", "system of os"]
    assert unshown_functions(steering, "5.1", [answer], seen=names) == names[:1]


DRAWN_INSIDE = """
import json
import course_utils
from course_utils.exercises import LESSONS, exercises

found = {"package": course_utils.__file__}
for exercise in [exercise for number in LESSONS for exercise in exercises(number)]:
    told = exercise.mistakes, exercise.hints, exercise.diagnose
    found[exercise.id] = {"told": told, "cases": repr(exercise.cases(3))}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_copy_has_no_function_that_only_a_mistake_uses(copy_for_lesson_1: Path) -> None:
    """Also none of those that several exercises share in a module of their own."""
    from course_utils.exercises import LESSONS, exercises

    package = Path(exam_notebook.__file__).parents[1]
    checked = 0
    for mistake in [one for number in LESSONS for exercise in exercises(number) for one in exercise.mistakes]:
        source = Path(str(inspect.getsourcefile(mistake.answer)))
        if inspect.isroutine(mistake.answer) and source.is_relative_to(package / "exercises"):
            copied = copy_for_lesson_1 / "package" / "course_utils" / source.relative_to(package)
            assert f"def {mistake.answer.__name__}(" not in copied.read_text(encoding="utf-8"), mistake.answer
            checked += 1
    assert checked > 50
    assert "logits_of" not in "".join(
        path.read_text(encoding="utf-8") for path in copy_for_lesson_1.rglob("tokens/*.py")
    )


# --- what a kernel sends is not believed
# ---------------------------------------------------------------------------------------


def message(lesson: Lesson, **changes: Any) -> str:
    outcomes = [outcome_to_json(one) for one in attempt(lesson.exercise("m.1"), lesson.exercise("m.1").reference, 5)]
    return json.dumps({"exercise": "m.1", "nonce": "n", "outcomes": outcomes} | changes)


def test_message_is_opened(lesson: Lesson) -> None:
    opened = examiner.open_message([message(lesson)], "m.1", "n")
    assert opened is not None and [one.kind for one in opened] == ["value", "value"]
    assert examiner.open_message([message(lesson, outcomes=None)], "m.1", "n") is None


@pytest.mark.parametrize(
    "sent",
    [
        lambda good: [],
        lambda good: [good(), good()],
        lambda good: [good(nonce="other")],
        lambda good: [good(exercise="m.2")],
        lambda good: [good(outcomes=[])],
        lambda good: [good(outcomes=[{}])],
        lambda good: [good(outcomes="right")],
        lambda good: [json.loads(good())],
        lambda good: ["[" * 100_000],
        lambda good: ['{"exercise": NaN}'],
        lambda good: [good().replace('"kind": "value"', '"kind": "right"')],
        lambda good: [re.sub(r'"shape": \[5\]', '"shape": [5000000000]', good())],
        lambda good: [re.sub(r'"dtype": "float32"', '"dtype": "object"', good())],
        lambda good: [good(verdict="right")],
        lambda good: [good().replace('"missing": ""', '"missing": "<b>x"')],
        lambda good: [good().replace('"missing": ""', f'"missing": "{"x" * 300}"')],
        lambda good: [good().replace('"missing": ""', '"missing": 1')],
    ],
)
def test_anything_else_is_refused(lesson: Lesson, sent: Callable[[Any], list[Any]]) -> None:
    with pytest.raises((ValueError, RecursionError)):
        examiner.open_message(sent(lambda **changes: message(lesson, **changes)), "m.1", "n")


def test_outcomes_travel_unchanged() -> None:
    for outcome in (
        Outcome("value", [1, 2.5, float("nan"), None, "x", {"a": True}]),
        Outcome("error", error="e", trace="t", out_of_time=True, final=True),
        Outcome("error", error="e", raised="NameError", missing="µ"),
    ):
        assert repr(outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome))))) == repr(outcome)


class Lies(NameError):
    name: Any = property(lambda self: 1 / 0)


def reads_too_early(values: Any) -> Any:
    def inner() -> Any:
        return centre

    found = inner()
    centre = values.mean()
    return found - centre


@pytest.mark.parametrize(
    ("answer", "names", "packages"),
    [
        (lambda values: eval("centre")(values), {"centre"}, set()),
        (lambda values: importlib.import_module("no_such.package"), set(), {"no_such"}),
        (lambda values: (_ for _ in ()).throw(NameError("name 'centre' is not defined")), set(), set()),
        (lambda values: (_ for _ in ()).throw(NameError(name="<b>")), set(), set()),
        (lambda values: (_ for _ in ()).throw(Lies("x")), set(), set()),
        (reads_too_early, set(), set()),  # a NameError of Python's own with a name, and nothing is lacking
    ],
)
def test_what_an_answer_lacks_is_what_its_exception_carries(
    lesson: Lesson, answer: Callable[..., Any], names: set[str], packages: set[str]
) -> None:
    """And not what its text, which anyone can write, says."""
    outcomes = tuple(map(SentOutcome.of, attempt(lesson.exercise("m.1"), answer, 5)))
    cells = [cell("probe", answer=Answer(outcomes=outcomes))]
    assert outcomes[0].kind == "error"
    assert examiner.missing_names(cells, "m.1") == names and examiner.missing_packages(cells, "m.1") == packages
    assert not examiner.missing_names(cells, "m.2")


@pytest.mark.parametrize(
    ("name", "text", "missing"),
    [
        ("NameError", "name 'centre' is not defined. Did you mean: 'center'?", "centre"),
        ("ModuleNotFoundError", "No module named 'no_such'", "no_such"),
        ("ModuleNotFoundError", "No module named 'torch.no_such'", "torch"),
        ("ValueError", "name 'centre' is not defined", ""),
        ("NameError", "name '<b>' is not defined", ""),
        ("NameError", "name '1' is not defined", ""),
    ],
)
def test_what_a_cell_lacks_is_read_out_of_its_text(name: str, text: str, missing: str) -> None:
    error = examiner._error([{"output_type": "error", "ename": name, "evalue": text, "traceback": []}], None)
    assert error is not None and error.missing == missing
    lacks = examiner.missing_names if name == "NameError" else examiner.missing_packages
    assert lacks([cell("answer", error=error)], "m.1") == ({missing} - {""} if name != "ValueError" else set())


# --- every verdict rule
# ---------------------------------------------------------------------------------------------------------


def cell(kind: str, exercise: str = "m.1", **more: Any) -> CellRecord:
    return CellRecord(CellKind(kind), exercise, **more)


def judged(status: str = "right", points: int = 3, **outcome: Any) -> Answer:
    one = SentOutcome.of(replace(Outcome("value", 1), **outcome))
    return Answer(Verdict("m.1", status, points, 3, "said"), (one,))


def again(agrees: bool, points: int = 0) -> CellRecord:
    return cell("again", answer=Answer(Verdict("m.1", "wrong", points, 3, "said"), agrees=agrees))


def read(lesson: Lesson, *cells: CellRecord, asked: tuple[str, ...] = ("m.1",), **run: Any) -> verdicts.Reading:
    return verdicts.read(lesson, Run(asked, cells, **run))


EMPTY = '{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[]}'
RAISED: dict[str, Any] = {"passed": False, "reply": "error", "error": CellError("E", "t", "tr")}
WITHHELD: dict[str, Any] = {"passed": False, "reply": "error", "error": CellError("ReferenceWithheld", "t")}
NOTHING = cell("probe", answer=Answer(undefined=True))
RULES: list[tuple[str, list[CellRecord]]] = [
    ("pass", [cell("probe", answer=judged())]),
    ("part", [cell("probe", answer=judged("wrong", 1))]),
    ("fail", [cell("probe", answer=judged("wrong", 0))]),
    ("error", [cell("probe", answer=judged("wrong", 0, kind="error"))]),
    ("not tried", [cell("probe", answer=judged("not tried", 0))]),
    ("time-out", [cell("probe", answer=judged("wrong", 0, kind="error", out_of_time=True))]),
    ("fail", [cell("probe", answer=judged("wrong", 2, kind="error", raised="ReferenceWithheld"))]),
    ("missing", [cell("answer"), NOTHING]),
    ("error", [cell("answer", **RAISED), NOTHING]),
    ("error", [cell("answer", reply="error"), NOTHING]),  # nbval saw nothing: its traceback was hidden
    ("fail", [cell("probe", answer=Answer(refused="values were sent 2 times"))]),
    ("examiner error", [cell("probe", answer=Answer(failure="RuntimeError"))]),
    ("flaky", [cell("probe", answer=judged("wrong", 2)), again(False, 1)]),
    ("part", [cell("probe", answer=judged("wrong", 2)), again(True, 2)]),
    ("pass", [cell("probe", answer=judged()), again(False)]),
    ("error", [cell("probe", answer=Answer(refused="it ended early"), error=CellError("E", "t", "tr"))]),
    ("fail", [cell("answer", **WITHHELD), NOTHING]),
]


@pytest.mark.parametrize(("verdict", "cells"), RULES)
def test_verdict_rules(lesson: Lesson, verdict: str, cells: list[CellRecord]) -> None:
    mark = read(lesson, *cells).marks["m.1"]
    assert mark.verdict == verdict
    assert (mark.points > 0) == (verdict in ("pass", "part", "flaky"))
    if verdict == "flaky":
        assert mark.points == 1, "the lower of both"


@pytest.mark.parametrize("alarm", Alarm)
def test_an_alarm_is_no_mark_but_a_culprit(lesson: Lesson, alarm: Alarm) -> None:
    """Even where values came: after an alarm nothing that was sent counts."""
    for kind in ("answer", "extra", "probe"):
        cells = [cell(kind, alarm=alarm, answer=judged())]
        reading = read(lesson, *cells, asked=("m.1", "m.2"), stopped=Stop.ALARM)
        assert not reading.marks and reading.culprit == ("m.1", alarm)
    confirmed = [cell("probe", answer=judged("wrong", 2)), cell("again", alarm=alarm)]
    assert not read(lesson, *confirmed).marks


def test_whose_alarm_it_is(lesson: Lesson) -> None:
    """That of the exercise whose cell it is, if it is still open; else of the next."""
    for kind, exercise, culprit in (("answer", "m.2", "m.2"), ("lesson", "", "m.1"), ("supply", "m.0", "m.1")):
        ended = cell(kind, exercise, alarm=Alarm.CRASHED)
        assert read(lesson, ended, asked=("m.1", "m.2")).culprit == (culprit, "crashed")


def test_an_exception_after_the_definition_is_flagged(lesson: Lesson) -> None:
    late = cell("answer", passed=False, reply="error", error=CellError("KeyError", "t", "tr"))
    mark = read(lesson, late, cell("probe", answer=judged())).marks["m.1"]
    assert mark.verdict == "pass" and any("KeyError" in str(flag) for flag in mark.flags)


def test_a_record_that_ends_early_marks_nothing(lesson: Lesson) -> None:
    assert read(lesson).trouble
    assert read(lesson, trouble=Trouble(Failure.NO_KERNEL, "x")).trouble
    assert read(lesson, asked=("m.1", "m.2"), trouble=Trouble(Failure.WALL, "x")).culprit == ("m.1", "time-out")
    forged = read(lesson, cell("answer", forged=1))
    assert not forged.marks and forged.flags


def test_every_flag_is_a_sentence_and_has_a_severity() -> None:
    """No two are stored under one name, and nothing in braces is left open by what is told with it."""
    assert len({flag.value for flag in Flag}) == len(Flag)
    for flag in Flag:
        names = {name for _, name, _, _ in string.Formatter().parse(flag.sentence) if name}
        raised = flag.raised(**dict.fromkeys(names, "x{y}"))
        assert "{" not in str(raised).replace("{y}", "") and raised.must_look == (flag.severity.value == "look")


def test_what_a_kernel_tried_is_for_a_person_to_look_at_but_a_program_that_it_started(lesson: Lesson) -> None:
    """Each kind by its code, whatever the words that are shown."""
    for kind in Attempt:
        (flag,) = read(lesson, cell("probe", answer=judged()), tried=(kind,)).flags
        assert flag.must_look == (kind is not Attempt.PROGRAM) and str(flag)


def test_what_the_watch_tells_arrives_and_nothing_else() -> None:
    ends = [KernelEnd(limit, 3 << 20, 2 << 20) for limit in Limit]
    told = b"".join(map(tell_attempt, Attempt)) + b"".join(map(tell_end, ends))
    assert read_report(told.decode().splitlines()) == (ends[0], tuple(Attempt))
    assert messages.answer_ended(ends[1]).endswith("ran it (memory: 3 MiB, at most 2 are allowed).")
    assert messages.answer_ended(ends[0]).endswith(f"ran it (processes: {3 << 20}, at most {2 << 20} are allowed).")
    forged = ["ended: output 3 2", "ended: memory", f"ended: memory {'9' * 30} 1", "ended: memory ³ 1", "tried: a", "x"]
    assert read_report([*forged, "tried: b"]) == (None, (Attempt.OTHER,))


@pytest.mark.parametrize("filter", [None, Filter("d2F0Y2hlZA==", "cGxhaW4=", {59: Attempt.PROGRAM}, (56, 57), (62,))])
def test_settings_arrive_as_they_were_written(filter: Filter | None) -> None:
    shut = Protections(nested=True, filter=FilterUse.WATCHED, landlock=True)
    files = Files(["/usr"], ["/"]) if filter else None
    settings = Settings(["/a"], ["m"], None, "s", "ss", True, filter, files, ["/tmp/x"], 1, 2, 3, 4, 5, shut)
    assert Settings.from_json(settings.to_json()) == settings
    assert Protections.from_json(shut.to_json()) == shut
    if filter:
        assert [filter.program(use) for use in (FilterUse.WATCHED, FilterUse.PLAIN)] == [b"watched", b"plain"]


@pytest.mark.parametrize(
    "message", [worker._Setup("a/\udc80", "rlimits", sandbox.Limits(case=1)), worker._Job("{}", None, True)]
)
def test_a_worker_is_told_what_it_was_asked(message: Any) -> None:
    """Also a path that is no UTF-8; numbers as what they are."""
    line = worker._line(message)
    assert line.isascii() and line.count(b"\n") == 1
    assert msgspec.convert(json.loads(line), type(message)) == message


def a_marking(lesson: Lesson, source: str) -> mark_notebook._Marking:
    """Of a notebook with this cell before the first check, before anything was run."""
    book = json.loads(handed_in(m_1=RIGHT["m.1"]))
    book["cells"].insert(4, {"cell_type": "code", "id": "own", "metadata": {}, "source": source, "outputs": []})
    merged = merge(lesson, parse(json.dumps(book).encode()))
    place = sandbox.Sandbox(lesson, "rlimits")
    return mark_notebook._Marking(lesson, merged, place, 1, ReadingLimit(30), ask_all=False)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CellError("NameError", "t", missing="centre"), "It needs centre, which the notebook defines elsewhere. Your"),
        (CellError("ModuleNotFoundError", "t", missing="einops"), "It needs einops, which is not installed where this"),
        (CellError("NameError", "name 'centre' is not defined", missing="nothing"), ""),
        (CellError("ModuleNotFoundError", "t", missing="course_utils"), ""),
    ],
)
def test_an_answer_that_lacks_what_may_be_its_learners_is_left_to_a_person(
    lesson: Lesson, error: CellError, says: str
) -> None:
    marking = a_marking(lesson, "def centre(values):\n    return values")
    marking.runs.append(Run(("m.1",), (cell("answer", error=error),)))
    mark = marking._in_doubt("m.1", Mark(Ruling.ERROR, 0, 3, "Told before."))
    assert (mark.verdict is Ruling.UNCLEAR) == bool(says) and mark.message.startswith(says)
    assert mark.message.endswith("Your teacher decides. Told before." if says else "Told before.")


def test_who_ends_the_process_is_told_the_limit_or_asked_once_more(lesson: Lesson) -> None:
    for end, says in (
        (KernelEnd(Limit.MEMORY, 3 << 20, 2 << 20), "Ended the process that ran it (memory: 3 MiB, at most 2 are"),
        (None, "Ended the process that ran it."),
    ):
        marking = a_marking(lesson, "x = 1")
        marking.left = ["m.1"]
        marking.runs.append(Run(("m.1",), kernel_end=end))
        crash = verdicts.Reading(culprit=("m.1", Ruling.CRASHED))
        if end is None:
            marking._take(crash)
            assert marking.left == ["m.1"], "once may be bad luck"
        marking._take(crash)
        assert marking.marks["m.1"].message.startswith(says) and marking.marks["m.1"].verdict is Ruling.CRASHED
    marking = a_marking(lesson, "x = 1")
    marking.left = ["m.1"]
    marking.runs.append(Run(("m.1",)))
    marking._take(crash)
    marking._take(verdicts.Reading(marks={"m.1": Mark(Ruling.PASS, 3, 3)}))
    assert (marking.marks["m.1"].verdict, marking.marks["m.1"].points) == (Ruling.FLAKY, 0)


class FakeItem:
    """As much of nbval's item as the plugin looks at."""

    def __init__(
        self, kind: str, *, timed_out: bool = False, alive: bool = True, outputs: list[Any] | None = None
    ) -> None:
        self.cell = ExamCell(CellKind(kind), "m.1").with_source("")
        kernel = type("Kernel", (), {"is_alive": lambda _: alive})()
        self.parent = type("Parent", (), {"timed_out": timed_out, "kernel": kernel})()
        self.session = type("Session", (), {"shouldstop": ""})()
        self.test_outputs = outputs or []


@pytest.mark.parametrize(
    ("item", "error", "reply", "expected"),
    [
        (FakeItem("probe"), None, "ok", "right"),
        (FakeItem("probe"), None, "error", "refused"),  # nbval passes it
        (FakeItem("probe"), ValueError("nbval failed it"), "ok", "refused"),
        (FakeItem("probe", timed_out=True), None, "ok", "time-out"),  # nbval passes it
        (FakeItem("probe", alive=False), None, "ok", "crashed"),  # nbval passes it
        (FakeItem("probe"), KernelDied("no heartbeat"), "ok", "crashed"),
        (FakeItem("probe"), TooMuchOutput("64 MB"), "ok", "output limit"),
        (FakeItem("answer"), None, "ok", "forged"),
    ],
)
def test_plugin_fails_closed(
    tmp_path: Path, lesson: Lesson, item: FakeItem, error: Any, reply: str, expected: str
) -> None:
    """Each thing that nbval does not look at stops a right answer's values from being believed."""
    plugin = examiner.Plugin(lesson, examiner.Question(5, "n"), sandbox.Limits(), tmp_path / "record")
    plugin.channel = type("Channel", (), {"reply": reply})()
    item.test_outputs = [{"output_type": "display_data", "data": {examiner.MIME: message(lesson)}}]
    plugin._note(item, error)
    (noted,) = record_of(tmp_path / "record")
    if expected == "forged":
        assert noted.forged == 1 and noted.answer is None
    elif expected in ("time-out", "crashed", "output limit"):
        assert noted.alarm == expected and noted.answer is None
        assert plugin.stopped is Stop.ALARM and item.session.shouldstop
    elif expected == "refused":
        assert noted.answer is not None and noted.answer.refused and noted.answer.verdict is None
    else:
        assert noted.answer is not None and noted.answer.verdict is not None
        assert noted.answer.verdict.status == expected


class FakeClient:
    """As much of Jupyter's client as the channel asks: these messages, in turn, and no end of the last one."""

    def __init__(self, *, iopub: list[dict[str, Any]], shell: list[dict[str, Any]], again: int = 0) -> None:
        self.waiting = {"iopub": iopub, "shell": shell}
        self.again = again
        self.line, self.other = socket.socketpair()
        self.iopub_channel = self.shell_channel = type("Channel", (), {"socket": self.line})()

    def get_iopub_msg(self, *, timeout: float) -> dict[str, Any]:
        return self._next("iopub")

    def get_shell_msg(self, *, timeout: float) -> dict[str, Any]:
        return self._next("shell")

    def _next(self, stream: str) -> dict[str, Any]:
        waiting = self.waiting[stream]
        if not waiting:
            raise Empty
        if len(waiting) == 1 and self.again:
            self.again -= 1
            return waiting[0]
        return waiting.pop(0)

    def is_alive(self) -> bool:
        return False

    @property
    def kc(self) -> FakeClient:
        return self

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()
        self.other.close()


def sent_by_kernel(**parts: Any) -> dict[str, Any]:
    """A message as Jupyter's session opens it."""
    names = ("msg_id", "username", "session", "msg_type", "version")
    header = {**dict.fromkeys(names, "0123456789abcdef" * 2), "date": None}
    usual = {"header": header, "parent_header": header, "metadata": {}, "content": {}, "buffers": []}
    return {"msg_id": "1", "msg_type": "display_data", **usual, **parts}


_MUCH = 17 << 20  # more than a cell may say


@pytest.mark.parametrize("stream", ["iopub", "shell"])
@pytest.mark.parametrize(
    ("parts", "again"),
    [
        ({"content": {"data": {"text/plain": "x" * _MUCH}}}, 0),
        ({"content": {"x" * _MUCH: ""}}, 0),
        ({"content": {"data": [""] * (_MUCH // 8)}}, 0),
        ({"metadata": {"a": {"x" * _MUCH: 0}}}, 0),
        ({"metadata": {"a": ["x" * _MUCH]}}, 0),
        ({"header": {"x" * _MUCH: 0}}, 0),
        ({"header": {"date": "x" * _MUCH}}, 0),
        ({"parent_header": {"x" * _MUCH: 0}}, 0),
        ({"parent_header": {"msg_id": "x" * _MUCH}}, 0),
        ({"buffers": [memoryview(bytes(_MUCH))]}, 0),
        ({"buffers": [memoryview(bytes(4 * (_MUCH // 4))).cast("I")]}, 0),  # fewer things than bytes
        ({"buffers": [memoryview(b"")] * 70_000}, 0),
        ({}, 70_000),
    ],
)
def test_whatever_part_of_a_message_is_large_counts_as_output(stream: str, parts: dict[str, Any], again: int) -> None:
    messages: dict[str, list[dict[str, Any]]] = {"iopub": [], "shell": [], stream: [sent_by_kernel(**parts)]}
    with FakeClient(iopub=messages["iopub"], shell=messages["shell"], again=again) as client:
        channel = KernelChannel(client, sandbox.Limits().output)
        with pytest.raises(TooMuchOutput):  # where it is allowed, what comes after it is waited for: KernelDied
            for _ in range(again + 2):
                channel.get_message(stream, timeout=5)
        channel.next_cell()
        assert channel.said == 0


def test_what_an_honest_cell_says_is_no_flood() -> None:
    """Plots of some megabytes, ten thousand steps of a progress bar, and the reply; each cell begins anew."""
    plot = sent_by_kernel(content={"data": {"image/png": "x" * (3 << 20)}, "metadata": {}})
    step = sent_by_kernel(msg_type="stream", content={"name": "stderr", "text": "\r 50%|#####     | 5000/10000"})
    reply = sent_by_kernel(msg_type="execute_reply", content={"status": "ok"})
    with FakeClient(iopub=[], shell=[]) as client:
        channel = KernelChannel(client, sandbox.Limits().output)
        for shown in ([plot] * 5, [step] * 10_000, [plot] * 2 + [step] * 5000):
            channel.next_cell()
            client.waiting = {"iopub": list(shown), "shell": [reply]}
            assert channel.get_message("shell", timeout=5) is reply and channel.reply == "ok"
            assert [channel.get_message("iopub", timeout=5) for _ in shown] == shown
        with pytest.raises(KernelDied):
            channel.get_message("iopub", timeout=5)


def test_a_message_that_no_memory_is_left_for_is_too_much_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(*, timeout: float) -> dict[str, Any]:
        raise MemoryError

    with FakeClient(iopub=[], shell=[]) as client:
        monkeypatch.setattr(client, "get_iopub_msg", receive)
        with pytest.raises(TooMuchOutput):
            KernelChannel(client, 1).get_message("shell", timeout=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_run_cannot_take_the_memory_of_the_machine(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    def takes(*_: Any, **__: Any) -> int:
        assert bytes(examiner.MORE_MEMORY // 4)
        return int(not bytes(2 * examiner.MORE_MEMORY))  # asked for and never touched: no memory is taken

    monkeypatch.setattr(pytest, "main", takes)
    cells = exam_notebook.build(lesson, merge(lesson, parse(handed_in())), [], 1, "n", 1.0)
    folders: dict[str, Any] = {name: tmp_path / name for name in ("spec_folder", "sockets", "scratch")}
    folders["sockets"].mkdir()
    run = examiner.run(lesson, cells, examiner.Question(1, "n"), sandbox.Limits(), wall=60.0, **folders)
    assert run.trouble is not None and run.trouble.what == "examiner" and not run.cells
    assert run.trouble.told.rstrip().endswith("MemoryError") and "2 * examiner.MORE_MEMORY" in run.trouble.told


def record_of(path: Path) -> list[CellRecord]:
    lines = [msgspec.json.decode(line, type=RecordLine) for line in path.read_bytes().splitlines()]
    return [line.cell for line in lines if line.cell]


def test_plugin_compares_and_asks_again(tmp_path: Path, lesson: Lesson) -> None:
    """Values that are not the reference's are wrong; the same ones again confirm it, others do not."""
    exercise = lesson.exercise("m.1")

    def sent(answer: Callable[..., Any], nonce: str) -> list[Any]:
        outcomes = [outcome_to_json(one) for one in attempt(exercise, answer, 5)]
        data = json.dumps({"exercise": "m.1", "nonce": nonce, "outcomes": outcomes})
        return [{"output_type": "display_data", "data": {examiner.MIME: data}}]

    def as_given(values: Any) -> Any:
        return values * 1.0

    for second, agrees in ((as_given, True), (exercise.reference, False)):
        record = tmp_path / f"record-{agrees}"
        plugin = examiner.Plugin(lesson, examiner.Question(5, "n"), sandbox.Limits(), record)
        plugin.channel = type("Channel", (), {"reply": "ok"})()
        plugin._note(FakeItem("probe", outputs=sent(as_given, "n")), None)
        plugin._note(FakeItem("again", outputs=sent(second, "n-again")), None)
        one, other = (noted.answer for noted in record_of(record))
        assert one is not None and one.verdict is not None and one.verdict.status == "wrong"
        assert other is not None and other.agrees == agrees


@pytest.mark.parametrize(("sleeps", "trouble"), [(60, "wall"), (0, "examiner")])
def test_a_run_that_never_ends_is_ended(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch, sleeps: float, trouble: str
) -> None:
    """A pytest that hangs is killed when the time is over, one that ends without a record is told from it."""

    def never_pytest(*_: Any) -> None:
        os.setsid()
        time.sleep(sleeps)
        os._exit(1)

    monkeypatch.setattr(examiner, "_become_pytest", never_pytest)
    cells = exam_notebook.build(lesson, merge(lesson, parse(handed_in())), [], 1, "n", 1.0)
    folders: dict[str, Any] = {name: tmp_path / name for name in ("spec_folder", "sockets", "scratch")}
    run = examiner.run(lesson, cells, examiner.Question(1, "n"), sandbox.Limits(), wall=1.0, **folders)
    assert run.trouble is not None and run.trouble.what == trouble and not run.cells


def test_what_the_watch_says_is_written_where_no_kernel_can_lay_a_link(tmp_path: Path) -> None:
    """The command in the kernel's place runs outside, with the rights of the one who marks."""
    sockets, scratch, others = tmp_path / "sockets" / "7", tmp_path / "scratch" / "7", tmp_path / "others"
    for folder in (sockets, scratch):
        folder.mkdir(parents=True)
    for name in ("end.txt", "report.txt"):
        (sockets / name).symlink_to(others)
    (sockets / "connection.json").write_text("{}", encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "server"))
        server.listen()
        launcher = Path(sandbox.__file__).parent / "inside" / "launch_kernel.py"
        arguments = [tmp_path / "server", scratch.parent, sockets / "connection.json"]
        with subprocess.Popen([sys.executable, "-S", "-E", launcher, *arguments]) as process:
            line, _ = server.accept()
            with line:
                assert json.loads(line.recv(4096)) == {"connection": {}, "folder": "7"}
                line.sendall(tell_attempt(Attempt.NETWORK))
                line.sendall(tell_end(KernelEnd(Limit.MEMORY, 3, 2)))
        assert process.returncode == 1
    assert examiner.kernel_report(scratch) == (KernelEnd(Limit.MEMORY, 3, 2), (Attempt.NETWORK,))
    assert not others.exists()


# --- what comes out
# ---------------------------------------------------------------------------------------------------------------


def results_of(lesson: Lesson, tmp_path: Path) -> list[Result]:
    """Three results, without a kernel: one marked, one in part, one unreadable."""
    found = []
    for name, verdict, points in (
        ("=HYPERLINK(1)", Ruling.PASS, 3),
        ("<script>alert(1)</script>", Ruling.FLAKY, 1),
        ("Cleo", None, 0),
    ):
        student = roster.Student(roster.key(name), name, "7", "c@example.org")
        if not verdict:
            submission = intake.Submission(student, ("c.ipynb",), status=Status.UNREADABLE, reason="empty")
            found.append(make_result(submission, lesson, "p", None))
            continue
        submission = intake.Submission(student, ("a.ipynb",), parse(handed_in()))
        marks = {
            id: Mark(
                verdict,
                points,
                3,
                "<b>bold</b>",
                source=RIGHT[id] + "\n\n\n" + RIGHT["m.2"],
                mistake="not centred" if id == "m.1" else None,
            )
            for id in lesson.ids
        }
        marked = Marked(marks, prose={"m.4": "<i>words</i>"}, seed=1, level="rlimits", seconds=1.0)
        found.append(make_result(submission, lesson, "p", marked))
    return found


def test_tables(tmp_path: Path, lesson: Lesson) -> None:
    results = results_of(lesson, tmp_path)
    exports.write(lesson, results, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "grades.csv").read_text(encoding="utf-8"))))
    assert [row["status"] for row in rows] == ["marked", "in part", "unreadable"]
    assert rows[0]["student"] == "'=HYPERLINK(1)", "a formula in a teacher's spreadsheet"
    assert rows[0]["m.1 points"] == "3" and rows[0]["m.1 verdict"] == "pass"
    assert rows[2]["points"] == "" and rows[2]["reason"] == "empty", "what cannot be read is not a zero"
    assert [row["for a person"] for row in rows] == ["", "yes", "yes"]
    canvas = list(csv.reader(io.StringIO((tmp_path / "canvas.csv").read_text(encoding="utf-8"))))
    assert (
        canvas[0][:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        and canvas[1][0].strip() == "Points Possible"
    )
    gradescope = json.loads(
        (tmp_path / "gradescope" / results[0].student.key / "results.json").read_text(encoding="utf-8")
    )
    assert gradescope["score"] == 9 and [test["max_score"] for test in gradescope["tests"]] == [3, 3, 3]


def test_report_is_escaped_and_shows_no_flag_to_students(tmp_path: Path, lesson: Lesson) -> None:
    results, groups = add_class_flags(lesson, results_of(lesson, tmp_path))
    report.write(lesson, results, tmp_path, groups)
    pages = list((tmp_path / "report").rglob("*.html"))
    assert len(pages) == 4
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and "<b>bold" not in text and "<i>words" not in text
    index = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "The mean is still in it." in index and "rlimits" in index
    assert Flag.SAME_AS_OTHERS in {flag.flag for result in results for _, flag in result.all_flags}
    assert not any(
        "same code as" in page.read_text(encoding="utf-8") for page in pages if page.parent.name == "students"
    )


@pytest.mark.parametrize(
    "source",
    ["x = 1\n" + "\n" * 20_000, "# " + "=" * 50_000, "# " + "? " * 25_000 + "x", "# " + "NBVAL_" * 9_000 + "a",
     "X = b'" + r"\x00" * 12_000 + "'", "X = 0x" + "f" * 5_000],
)  # fmt: skip
def test_no_source_takes_the_square_of_its_length_or_ends_the_marker(lesson: Lesson, source: str) -> None:
    """Each of these took minutes, but the last, at which the worker broke."""
    notebook = parse(handed_in(m_1=f"{source}\n{RIGHT['m.1']}"))
    limit = ReadingLimit(30)
    merged = limit.read(merge, lesson, notebook)
    exam = limit.read(exam_notebook.build, lesson, merged, lesson.ids, 1, "n", 1.0)
    assert any("def standardise" in cell.source for cell in exam.cells)


def test_the_terminal_says_whom_to_look_at_and_why(
    tmp_path: Path, lesson: Lesson, capsys: pytest.CaptureFixture[str]
) -> None:
    results = results_of(lesson, tmp_path)
    commands._summary(results, tmp_path)
    told = capsys.readouterr().out
    assert "<script>alert(1)</script>: in part. m.1: <b>bold</b> m.2: <b>bold</b>" in told
    assert f"For you to look at: {sum(one.needs_a_person for one in results)};" in told
    assert [one.points for one in results if one.has_points] == [9, 3]
    assert ">9 of 10<" in report.class_page(lesson, results, []), "points that are not all decided are in the median"


def test_the_story_of_an_answer_says_what_its_level_does_not_keep(tmp_path: Path, lesson: Lesson) -> None:
    result = results_of(lesson, tmp_path)[0]
    for level, landlock in itertools.product(levels.LEVELS, (False, True)):
        told = levels.not_protected(level, landlock=landlock)
        marked = replace(result.marked, level=level, protections=Protections(landlock=landlock))
        Store(tmp_path).save(replace(result, marked=marked))
        story = explain(tmp_path, result.student.name, "m.1")
        assert f"sandbox: {level}" in story and ("at this level:" in story) == bool(told) and told in story
        assert bool(told) == (level != "bubblewrap")
        assert told in html.unescape(report.class_page(lesson, [replace(result, marked=marked)], []))
    assert "solutions among them" in levels.not_protected("rlimits", landlock=False)
    assert "not what is in them" in levels.not_protected("rlimits", landlock=True)


def test_the_story_has_words_for_each_cell_and_each_stop(tmp_path: Path, lesson: Lesson) -> None:
    result = results_of(lesson, tmp_path)[0]
    cells = tuple(cell(kind, alarm=Alarm.TIME_OUT) for kind in CellKind)
    ended = KernelEnd(Limit.MEMORY, 3 << 20, 2 << 20)
    runs = tuple(Run(("m.1",), cells, Trouble(Failure.WALL, "x"), stop, ended) for stop in Stop)
    Store(tmp_path).save(replace(result, marked=replace(result.marked, runs=runs)))
    story = explain(tmp_path, result.student.name, "m.1")
    assert story.count("stopped here: ") == len(Stop) and story.count(": time-out") == len(CellKind) * len(Stop)
    assert "it needs a cell of the lesson" in story and "memory: 3 MiB, at most 2" in story and "wall: x" in story


@pytest.mark.parametrize(("more", "says"), [(1, "Bo, names"), (2, "Bo, Cy, names"), (3, "Bo, Cy and 1 more, names")])
def test_who_wrote_the_same_is_named_or_counted(lesson: Lesson, tmp_path: Path, more: int, says: str) -> None:
    result = results_of(lesson, tmp_path)[0]
    names = ["Al", "Bo", "Cy", "Di"][: more + 1]
    results = [replace(result, student=roster.Student(name, name)) for name in names]
    flagged, _ = add_class_flags(lesson, [*results, *results_of(lesson, tmp_path)[2:]])
    (told,) = (str(flag) for flag in flagged[0].marks["m.1"].flags if "same code" in str(flag))
    assert told == f"same code as {says} aside"


def test_three_megabytes_of_words_make_no_large_page(tmp_path: Path, lesson: Lesson) -> None:
    result = results_of(lesson, tmp_path)[0]
    long = replace(result, marked=replace(result.marked, prose={"m.4": "word " * 600_000}))
    assert len(report.class_page(lesson, [long] * 3, [])) < 60_000
    assert len(report.student_page(lesson, long)) < 60_000


def test_alike_under_other_names() -> None:
    one = (
        "def f(a, b: int = 2):\n    '''Says a lot.'''\n    total = 0  # from nothing\n"
        "    for x in a:\n        total += x ** b\n    return total / len(a)"
    )
    other = "def f(p, q = 2):\n    s = 0\n    for i in p:\n        s += i ** q\n    return s / len(p)"
    assert similar.tokens(one) == similar.tokens(other)
    assert similar.tokens(one) != similar.tokens(other.replace("**", "*"))


def test_store_writes_whole_or_not_at_all(tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    store, (result, *_) = Store(tmp_path), results_of(lesson, tmp_path)
    store.save(result)
    key = result.student.key
    assert store.load(key) == result

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(replace(result, reason="another"))
    assert store.load(key) == result
    assert store.load("nobody") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "{half", "damaged"),
        (
            lambda text: text.replace(f'"format": {FORMAT}', '"format": 1'),
            f"format 1, and this version reads format {FORMAT}",
        ),
        (lambda text: text.replace('"verdict": "pass"', '"verdict": "splendid"'), "damaged"),
        (lambda text: text.replace('"points": 3', '"points": "3"'), "damaged"),
    ],
)
def test_a_stored_result_of_another_version_is_marked_again_and_told(
    tmp_path: Path, lesson: Lesson, change: Callable[[str], str], says: str
) -> None:
    """The folder holds one result that cannot be used and one notebook that needs no marking: the sentence names the
    student.
    """
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "Xia.ipynb").write_bytes(b"")
    plan = Plan(folder, tmp_path / "out", "rlimits", sandbox.Limits())
    (result,) = mark_folder(lesson, plan)
    path = tmp_path / "out" / "results" / f"{result.student.key}.json"
    stored = results_of(lesson, tmp_path)[0]
    Store(plan.out).save(replace(stored, student=result.student))
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(Damaged if says == "damaged" else OtherFormat, match=says):
        Store(plan.out).load(result.student.key)
    said: list[str] = []
    assert mark_folder(lesson, plan, say=said.append) == [result]
    (sentence,) = said
    assert sentence.startswith("Xia is marked again") and says in sentence
    assert Store(plan.out).load(result.student.key) == result


def test_result_depends_on_notebook_lesson_and_limits(lesson: Lesson, tmp_path: Path) -> None:
    from course_utils.grading.store import fingerprint

    one = intake.Submission(roster.Student("a", "a"), (), digest="1")
    changed = copy.copy(lesson)
    changed.__dict__["digest"] = "another"
    prints = [
        fingerprint(one, lesson, "rlimits", sandbox.Limits()),
        fingerprint(replace(one, digest="2"), lesson, "rlimits", sandbox.Limits()),
        fingerprint(one, changed, "rlimits", sandbox.Limits()),
        fingerprint(one, lesson, "rlimits", sandbox.Limits(case=1)),
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "holds 0"),
        (lambda folder: (folder / "a.ipynb").write_bytes(b"{}"), "no module beside"),
        (
            lambda folder: ((folder / "a.ipynb").write_bytes(b"{}"), (folder / "own_a.py").write_text("")),
            "cannot be read",
        ),
        (
            lambda folder: ((folder / "a.ipynb").write_text(EMPTY), (folder / "own_b.py").write_text("")),
            "no exercise in it",
        ),
    ],
)
def test_a_lesson_that_is_none_says_why(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    make(tmp_path)
    with pytest.raises(CourseError, match=says):
        load_lesson(str(tmp_path))


# --- what is watched where nothing shuts in


def without_kernels(monkeypatch: pytest.MonkeyPatch, songs: list[bool], verdict: Ruling = Ruling.PASS) -> None:
    """Mark without kernels: everything gets this verdict. ``songs``: whether each self-test finds all in order."""

    def do(_: executors.Task) -> Marked:
        return Marked({id: Mark(verdict, 0, 3) for id in ("m.1", "m.2", "m.3")})

    def self_test(*_: Any) -> None:
        if not songs.pop(0):
            raise CourseError("m.1 of the solved lesson came out as 'fail'")

    monkeypatch.setattr(executors, "do", do)
    monkeypatch.setattr("course_utils.grading.mark_folder.self_test", self_test)


def folder_of(tmp_path: Path, *names: str) -> Plan:
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / f"{name}.ipynb").write_bytes(handed_in(m_1=RIGHT["m.1"]))
    return Plan(tmp_path / "in", tmp_path / "out", "rlimits", sandbox.Limits(), workers=1)


def test_the_self_test_comes_again_at_the_end_and_in_a_run_of_errors(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = folder_of(tmp_path, "ann", "bob", "cyd", "dan")
    songs = [True, True]
    without_kernels(monkeypatch, songs)
    assert {one.status for one in mark_folder(lesson, plan)} == {"marked"} and not songs
    songs[:] = [True, True, False]  # at the start, after three errors in a row, at the end
    without_kernels(monkeypatch, songs, Ruling.ERROR)
    with pytest.raises(CourseError, match=r"not marked as it was at the beginning.*mark again: \w+\.$"):
        mark_folder(lesson, replace(plan, again=True))
    statuses = [one.status.value for one in Store(plan.out).load_all()]
    assert sorted(statuses) == ["examiner error", "marked", "marked", "marked"] and not songs


def test_a_changed_package_ends_the_marking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = load_lesson(str(LESSON))
    without_kernels(monkeypatch, [True, True])
    plan = folder_of(tmp_path, "ann", "bob")
    lesson.__dict__["digest"] = "as it was"
    with pytest.raises(CourseError, match="files of the course were changed"):
        mark_folder(lesson, plan)
    lesson = load_lesson(str(LESSON))
    without_kernels(monkeypatch, [True])
    lesson.__dict__["digest"] = "as it was"
    assert mark_folder(lesson, replace(plan, level="bubblewrap")), "where nothing can be changed nothing is looked at"


def test_who_ends_the_marking_comes_last_and_then_not_at_all(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed program leaves behind is which notebooks it had begun."""
    plan = folder_of(tmp_path, "ann", "bob", "cyd")
    running = tmp_path / "out" / "running"
    running.mkdir(parents=True)
    left = running / "ann"
    with pytest.raises(KeyboardInterrupt):
        with executors._noted(str(left)):
            raise KeyboardInterrupt
    assert executors.begun(left) == 1 and executors.begun(running / "bob") == 0
    order: list[str] = []

    def do(task: executors.Task) -> Marked:
        order.append(Path(task.running).name)
        return Marked({})

    monkeypatch.setattr(executors, "do", do)
    monkeypatch.setattr("course_utils.grading.mark_folder.self_test", lambda *_: None)
    said: list[str] = []
    mark_folder(lesson, plan, say=said.append)
    assert order[-1] == "ann" and "ended while these were being marked: ann" in said[0] and not list(running.iterdir())
    left.write_text("2")
    order.clear()
    ann = mark_folder(lesson, replace(plan, again=frozenset({"bob"})))[0]
    assert "ann" not in order and "set aside" in ann.reason and left.exists()
    mark_folder(lesson, replace(plan, again=frozenset({"Ann"})))
    assert order[-1] == "ann" and not left.exists()
    with pytest.raises(CourseError, match="nobody is called eve"):
        mark_folder(lesson, replace(plan, again=frozenset({"ann", "eve"})))


def test_the_example_submissions_are_of_the_lesson_as_it_is(tmp_path: Path) -> None:
    """Else `python -m tests.grading.examples` makes them anew."""
    examples.write(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {path: (examples.FOLDER / path).read_bytes() for path in made}
