"""The file of a learner's progress: one writer at a time, never lost, and written by learners alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from course_utils.errors import CourseError
from course_utils.learner import record

ADD = """
import sys
from pathlib import Path
from course_utils.learner import record
path, count, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for i in range(count):
    record.change(path, lambda contents: contents["exercises"].update({f"{name}.{i}": {"tries": i}}))
    print(i, flush=True)
"""


def writer(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ADD, str(path), str(count), name], stdout=subprocess.PIPE, text=True)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    writers = [writer(path, 20, name) for name in ("a", "b")]
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    assert set(record.read(path)["exercises"]) == {f"{name}.{i}" for name in ("a", "b") for i in range(20)}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    for attempt in range(3):
        process = writer(path, 100_000, f"k{attempt}")
        assert process.stdout is not None
        for _ in range(5 + attempt):
            process.stdout.readline()
        process.kill()
        process.communicate()
        found = record.read(path)["exercises"]
        assert {f"k{attempt}.{i}" for i in range(5)} <= set(found)
    assert not list(tmp_path.glob("*.unreadable"))
    record.change(path, lambda contents: None)  # a lock that a killed process held does not hold up the next


def test_a_failed_edit_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    record.change(path, lambda contents: contents["exercises"].update({"1.1": {}}))
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        record.change(path, lambda contents: contents.update({"x": 1 / 0}))
    with pytest.raises(TypeError):
        record.change(path, lambda contents: contents.update({"x": object()}))
    assert path.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir()} <= {"progress.json", "progress.json.lock"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"exercises": []}', "null", "\x00\x01"])
def test_a_file_that_cannot_be_understood_is_set_aside(text: str, tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.write_text(text, encoding="utf-8")
    record.change(path, lambda contents: contents["exercises"].update({"1.1": {}}))
    assert "1.1" in record.read(path)["exercises"]
    assert (tmp_path / "progress.json.unreadable").read_text(encoding="utf-8") == text


def test_a_file_of_another_program_is_not_touched_by_looking_at_it(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    assert record.read(notes)["exercises"] == {}
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("notes.txt", "my notes")]


def test_a_record_that_another_editor_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.write_text('{"exercises": {"1.1": {"tries": 2}}}', encoding="utf-8-sig")
    record.change(path, lambda contents: None)
    assert record.read(path)["exercises"]["1.1"]["tries"] == 2 and not list(tmp_path.glob("*.unreadable"))


def test_half_a_surrogate_pair_in_a_message_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    record.change(path, lambda contents: contents["exercises"].update({"1.1": {"message": "'\ud800' came"}}))
    assert record.read(path)["exercises"]["1.1"]["message"] == "'\ud800' came"


@pytest.mark.skipif(os.name != "posix", reason="the home folder is not HOME's there")
def test_without_a_home_folder_a_lesson_goes_on_and_a_command_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pwd

    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)  # as for a container's user that has no name
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("COURSE_PROGRESS", "~/mine.json")
    record.note("exercises", "1.1", lambda entry: None)
    assert "COURSE_PROGRESS=~/mine.json: that home folder is not known" in capsys.readouterr().out
    monkeypatch.delenv("COURSE_PROGRESS")
    with pytest.raises(CourseError, match="Set HOME, or COURSE_PROGRESS"):
        record.place()


def test_entries_of_a_later_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({"version": 7, "badges": {"x": 1}}), encoding="utf-8")
    record.change(path, lambda contents: contents["exercises"].update({"1.1": {}}))
    assert record.read(path)["badges"] == {"x": 1} and record.read(path)["version"] == 7


def test_where_it_cannot_be_written_the_lesson_goes_on_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv("COURSE_PROGRESS", str(blocked / "progress.json"))
    for _ in range(3):
        record.note("exercises", "1.1", lambda entry: None)
    said = capsys.readouterr().out
    assert said.count("Your progress is not kept") == 1 and str(blocked) in said
    assert record.entry("exercises", "1.1") == {}


@pytest.mark.parametrize("said", ["off", "OFF", "no", "0"])
def test_it_can_be_switched_off(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", said)
    assert record.file() is None and record.place() is None


def test_pytest_and_scripts_write_nowhere_unless_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COURSE_PROGRESS")
    assert record.file() is None, "this is pytest"
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    assert record.file() is None, "this is no kernel"
    monkeypatch.setattr(record, "_in_a_kernel", lambda: True)
    assert record.file() == record.default_file() == record.place()
    monkeypatch.setenv("PYTEST_VERSION", "9")
    assert record.file() is None, "nbval's kernels have this from pytest"
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "mine.json"))
    assert record.file() == tmp_path / "mine.json"


def test_times_are_first_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    record.note("lessons", "1", lambda entry: entry.update(n=1))
    first = record.entry("lessons", "1")
    time.sleep(1.1)
    record.note("lessons", "1", lambda entry: entry.update(n=2))
    second: dict[str, Any] = record.entry("lessons", "1")
    assert second["first"] == first["first"] and second["last"] > first["last"] and second["n"] == 2


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    record.change(path, lambda contents: None)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
