"""A class of more than fifty gets the verdicts that stand beside it, in a sandbox, at both levels, again and after
being killed.

The verdicts were written by hand in cohort.py, from what each answer is; the right answers there are written
independently of the references (``std(correction=0)``, plain indexing).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course_utils.grading.flags import Flag
from course_utils.grading.inside import landlock
from course_utils.grading.lesson import load_lesson
from course_utils.grading.mark_folder import Plan, mark_folder
from course_utils.grading.results import Result, decode_result
from course_utils.grading.sandbox import Limits, probe_bubblewrap
from tests.grading import cohort, examples
from tests.grading.cohort import LESSON, PUPILS, Pupil

LIMITS = Limits(case=8, cell=25, wall=150, memory=512 << 20, processes=48)
NEEDS_NAMESPACES = {"Xen Home", "Yul Network", "Zed Overwrite"}  # what rlimits alone do not stop
QUICK = {"Ada Right", "Ben Untouched", "Ned Sample", "Quin Syntax", "Xia Empty", "Eli Other"}

SPOILS = """\
import pathlib, course_utils.exercises.protocol as protocol
from course_utils.grading.inside import probe
for module in (protocol, probe):
    place = pathlib.Path(module.__file__)
    assert "exam-" in str(place), "not the sandbox's copy"
    place.write_text("raise SystemExit")
"""

bubblewrap = pytest.mark.skipif(bool(probe_bubblewrap()), reason=probe_bubblewrap() or "-")


def check_against_table(results: list[Result], pupils: list[Pupil]) -> None:
    by_name = {result.student.name: result for result in results}
    wrong = [f"{pupil.name}: {told}" for pupil in pupils for told in differences(pupil, by_name[pupil.name])]
    assert not wrong, "\n".join(wrong)


def differences(pupil: Pupil, result: Result) -> list[str]:
    found = []
    verdicts = {id: mark.verdict.value for id, mark in result.marks.items()}
    messages = [result.reason, *(mark.message + mark.trace for mark in result.marks.values())]
    if result.status != pupil.status:
        found.append(f"status {result.status} ({result.reason}), expected {pupil.status}")
    if verdicts != (pupil.verdicts or {}):
        found.append(f"verdicts {verdicts}, expected {pupil.verdicts}; {messages}")
    if pupil.points is not None and result.points != pupil.points:
        found.append(f"{result.points} points, expected {pupil.points}")
    if pupil.says and not any(pupil.says in message for message in messages):
        found.append(f"nobody says {pupil.says!r}: {messages}")
    raised = [flag for _, flag in result.all_flags if flag.flag == pupil.flag]
    if pupil.flag and not any(pupil.tries in str(flag) for flag in raised):
        found.append(f"no flag {pupil.flag}: {result.flags_told}")
    return found


def mark(tmp_path: Path, pupils: list[Pupil], level: str, workers: int = 2, **more: Any) -> list[Result]:
    folder = cohort.write(tmp_path / "in", pupils)
    return mark_folder(load_lesson(str(LESSON)), Plan(folder, tmp_path / "out", level, LIMITS, workers=workers, **more))


def processes_of(token: str) -> list[str]:
    """The processes in whose environment the token is."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int(place.name) != os.getpid() and token.encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for temporary files of this test alone, short enough for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="gt-", dir="/tmp") as folder:
        yield Path(folder)


def test_table_has_what_it_promises() -> None:
    assert len(PUPILS) >= 40
    assert sum(pupil.hostile or pupil.raw is not None for pupil in PUPILS) >= 30
    assert len({pupil.name for pupil in PUPILS}) == len(PUPILS)


@pytest.mark.slow
def test_a_rerun_asks_for_nothing_whose_reference_was_shown(tmp_path: Path) -> None:
    """An answer hides which name it needs, so the lesson's cell for it is left out and all must be run again."""
    hidden = "import builtins\n" + cohort.RIGHT["m.3"].replace("return", "builtins.eval('numbers')\n    return")
    pupil = Pupil("Pru Rerun", cohort.ALL_PASS, {**cohort.RIGHT, "m.3": hidden}, points=10)
    level = "rlimits" if probe_bubblewrap() else "bubblewrap"
    (result,) = mark(tmp_path, [pupil], level)
    check_against_table([result], [pupil])
    first, second = result.marked.runs
    assert (first.asked, second.asked) == (("m.1", "m.2", "m.3"), ("m.3",))
    assert second.whole and not first.whole
    shown = [cell.exercise for cell in first.cells if cell.kind == "supply"]
    assert shown == ["m.1", "m.2"], "the reference of what is asked for again was shown"


@pytest.mark.slow
@bubblewrap
def test_nothing_passes_through_tmp_where_the_model_lies_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="model-", dir="/tmp") as model:
        (Path(model) / "weights").write_text("w", encoding="utf-8")
        monkeypatch.setenv("COURSE_CACHE", model)
        # The environment, which every notebook reads, may lie there too.
        places = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__)]
        below = {place.relative_to("/tmp").parts[0] for place in places if place.is_relative_to("/tmp")}
        body = f"""\
import os, pathlib
assert not os.path.exists("/tmp/left"), "another's"
pathlib.Path("/tmp/left").write_text("mine")
assert pathlib.Path({model!r}, "weights").read_text() == "w"
assert set(os.listdir("/tmp")) - {below!r} == {{"left", "{Path(model).name}"}}, os.listdir("/tmp")
try:
    pathlib.Path({model!r}, "mine").write_text("mine")
except OSError:
    pass
else:
    raise AssertionError("the model can be written")
"""
        pupils = [Pupil(name, cohort.ALL_PASS, cohort._hand_in(body)) for name in ("Ann", "Bob")]
        results = mark(tmp_path, pupils, "bubblewrap", workers=1)
        check_against_table(results, pupils)
        assert all(result.marked.protections.nested for result in results), (
            "each has a sandbox of its own: nothing was tested"
        )


@pytest.mark.slow
@bubblewrap
def test_whole_class(tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two workers, so that each marks some thirty of them one after the other."""
    monkeypatch.setenv("GRADING_SECRET", "a token of the teacher's")
    before = {path: path.stat().st_mtime_ns for path in LESSON.iterdir()}
    monkeypatch.setenv("TMPDIR", str(short_folder))
    check_against_table(mark(tmp_path, PUPILS, "bubblewrap"), PUPILS)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(short_folder.iterdir()), "something was left behind"
    assert not processes_of(str(short_folder))


@pytest.mark.slow
def test_hostile_answers_without_bubblewrap_stop_no_one(tmp_path: Path) -> None:
    """At the lower level they may read and reach more; the verdicts of all that needs no namespaces are the same, and
    nothing stays behind. Who writes where the next one is started from cannot, where there is Landlock; elsewhere he
    spoils his own marks.
    """
    pupils = [one for one in PUPILS if (one.hostile or one.name in QUICK) and one.name not in NEEDS_NAMESPACES]
    answers = cohort._hand_in(SPOILS)
    if landlock.version():
        abe = Pupil("Abe Spoils", {**cohort.ALL_PASS, "m.1": "error"}, answers, says="PermissionError")
    else:
        spoilt = dict.fromkeys(cohort.ALL_PASS, "examiner error")
        abe = Pupil("Abe Spoils", spoilt, answers, status="examiner error", flag=Flag.SANDBOX_CHANGED, points=0)
    pupils.append(abe)
    results = mark(tmp_path, pupils, "rlimits")
    check_against_table(results, pupils)
    assert {result.marked.level for result in results if result.marks} == {"rlimits"}


@pytest.mark.slow
def test_killed_in_the_middle_and_resumed(tmp_path: Path, short_folder: Path) -> None:
    """Kill the command while it marks: what it stored is whole, the next run keeps it, nothing it started lives on."""
    pupils = [pupil for pupil in PUPILS if not pupil.hostile][:7] + [one for one in PUPILS if one.raw is not None]
    folder, out = cohort.write(tmp_path / "in", pupils), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "course_utils.cli",
        "grade",
        str(folder),
        "--lesson",
        str(LESSON),
        "-o",
        str(out),
        "--workers",
        "2",
        "--case-seconds",
        f"{LIMITS.case}",
        "--cell-seconds",
        f"{LIMITS.cell}",
        "--wall-seconds",
        f"{LIMITS.wall}",
        "--memory",
        f"{LIMITS.memory / 2**30}",
    ]
    marked = {**os.environ, "TMPDIR": str(short_folder)}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=marked
    )
    enough = 3 + sum(pupil.raw is not None for pupil in pupils)  # what cannot be read is stored at once
    deadline = time.monotonic() + 240
    while (
        len(list((out / "results").glob("*.json"))) < enough and time.monotonic() < deadline and process.poll() is None
    ):
        time.sleep(0.02)
    stored = {path.name for path in (out / "results").glob("*.json")}
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert enough <= len(stored) < len(pupils), "it was not killed in the middle"
    for name in stored:
        decode_result((out / "results" / name).read_bytes())
    times = {name: (out / "results" / name).stat().st_mtime_ns for name in stored}
    deadline = time.monotonic() + 300  # a worker that is just starting sees that it is alone when it has started
    while (left := processes_of(str(short_folder))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not list(short_folder.glob("exam-*")), "the sandbox left its folder behind"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith(
        f"{len(pupils)} submissions"
    )
    assert {name: (out / "results" / name).stat().st_mtime_ns for name in stored} == times, (
        "a stored result was marked again"
    )
    results = [decode_result(path.read_bytes()) for path in (out / "results").glob("*.json")]
    check_against_table(results, pupils)


@pytest.mark.slow
def test_example_class_through_the_command(tmp_path: Path) -> None:
    """The command of the README, on the folder that ships with it; the lesson is found by itself."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "course_utils.cli",
        "grade",
        str(examples.FOLDER),
        "-o",
        str(out),
        "--json",
        "--case-seconds",
        "10",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = {result["student"]["accounts"]["participant"]: result for result in json.loads(done.stdout)}
    for name, (_, expected) in examples.PEOPLE.items():
        result = results[name.rpartition("_")[2]]
        verdicts = {id: mark["verdict"] for id, mark in result["marks"].items() if mark["verdict"] != "not tried"}
        assert (result["status"], verdicts) == ("marked", expected), name
    assert results[examples.UNREADABLE.rpartition("_")[2]]["status"] == "unreadable"
    for name in ("grades.csv", "moodle.csv", "canvas.csv", "report/index.html"):
        assert (out / name).is_file()
    told = subprocess.run(
        [*command[:-3], "--explain", "Carl Gauss", "1.2"], capture_output=True, text=True, check=True
    ).stdout
    assert "AttributeError" in told and "the question on hidden inputs" in told and "seed" in told
