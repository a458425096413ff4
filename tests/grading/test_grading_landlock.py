"""Landlock, without a sandbox around it: what a process may still open when it has given the rest away.

What it is worth inside one is in the hostile answers, which are marked without bubblewrap too.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from course_utils.grading import sandbox
from course_utils.grading.inside import landlock, linux
from tests.grading.hostile.__main__ import SOMEBODY
from tests.grading.test_grading_syscalls import in_a_child

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="no Landlock: Linux 5.13 or later")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("read", "listed", "own", "other")}
    for place in found.values():
        place.mkdir()
        (place / "file").write_text("text", encoding="utf-8")
    return found


def shut(places: dict[str, Path]) -> None:
    linux.no_new_privileges()
    landlock.shut_files([str(places["read"]), "/nowhere"], [str(places["listed"])], [str(places["own"])])


def refused(what: Callable[[], object]) -> bool:
    try:
        what()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.EXDEV)
    return False


@needs_landlock
def test_what_is_left_of_the_files(places: dict[str, Path]) -> None:
    def left() -> bool:
        held = (places["other"] / "file").open(encoding="utf-8")
        shut(places)
        files = {name: place / "file" for name, place in places.items()}
        readable = {name: not refused(file.read_text) for name, file in files.items()}
        writable = {name: not refused(partial(file.write_text, "mine")) for name, file in files.items()}
        listed = {name: not refused(partial(os.listdir, place)) for name, place in places.items()}
        assert readable == {"read": True, "listed": False, "own": True, "other": False}
        assert writable == {"read": False, "listed": False, "own": True, "other": False}
        assert listed == {"read": True, "listed": True, "own": True, "other": False}
        assert refused(files["read"].unlink) and refused(lambda: os.truncate(files["read"], 0))
        assert refused(lambda: os.link(files["read"], places["own"] / "link")), "it would be written there"
        assert held.read() == "text", "what is open stays open"
        os.close(os.open("/dev/urandom", os.O_RDONLY))
        Path("/dev/null").write_text("gone", encoding="utf-8")
        return "Name:" in Path("/proc/self/status").read_text(encoding="utf-8")

    assert in_a_child(left)


@needs_landlock
def test_what_it_starts_has_no_more(places: dict[str, Path]) -> None:
    def left() -> bool:
        linux.no_new_privileges()
        libraries = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"]
        landlock.shut_files(libraries, [], [])
        read = subprocess.run(["/bin/cat", str(places["other"] / "file")], capture_output=True)
        return read.returncode == 1 and b"denied" in read.stderr

    assert in_a_child(left)


@pytest.mark.skipif(landlock.version() < 4, reason="Landlock keeps nobody from TCP before Linux 6.7")
def test_no_tcp(places: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def left() -> bool:
            shut(places)
            return refused(lambda: socket.create_connection(listener.getsockname(), timeout=5))

        assert in_a_child(left)


@pytest.mark.skipif(landlock.version() < 6, reason="Landlock keeps nobody from signals before Linux 6.12")
def test_no_signal_to_another(places: dict[str, Path]) -> None:
    def left() -> bool:
        shut(places)
        return refused(lambda: os.kill(os.getppid(), 0))

    assert in_a_child(left)


@needs_landlock
def test_without_the_promise_to_gain_no_rights_it_is_refused(places: dict[str, Path]) -> None:
    def left() -> bool:
        if os.getuid() == 0:  # root may
            os.setuid(SOMEBODY)
        return refused(lambda: landlock.shut_files([], [], []))

    assert in_a_child(left)


def test_there_is_none_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "AVAILABLE", False)
    assert landlock.version() == 0


@pytest.mark.parametrize("inside", [True, False])
def test_the_solutions_among_the_libraries_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    import course_utils

    packages = tmp_path / "venv" / "lib" / "site-packages"
    for name in ("torch", "course_utils"):
        (packages / name).mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    monkeypatch.setattr(sandbox, "_python_folders", lambda: [str(tmp_path / "venv")])
    monkeypatch.setattr(sandbox, "_model_folders", list)
    if inside:
        monkeypatch.setattr(course_utils, "__file__", str(packages / "course_utils" / "__init__.py"))
    files = sandbox._files(tmp_path / "copy")
    own = {one for one in files.readable if one.startswith(str(tmp_path))} - {str(tmp_path / "copy")}
    if inside:
        assert own == {str(tmp_path / "venv" / "pyvenv.cfg"), str(packages / "torch")}
        assert files.listed == [str(tmp_path / "venv"), str(packages.parent), str(packages)]
    else:
        assert own == {str(tmp_path / "venv")}
