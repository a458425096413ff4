"""Hostile answers earn nothing, see nothing, leave nothing and stop no one: some of each kind here, all two hundred of
them by ``python -m tests.grading.hostile`` (see CONTRIBUTING.md).
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from course_utils.grading.inside import linux
from course_utils.grading.readable import for_page, for_terminal
from course_utils.grading.sandbox import probe_bubblewrap
from course_utils.grading.syscall_filter import compile_filter
from tests.grading.hostile import attacks
from tests.grading.hostile.__main__ import can_box, is_everyones
from tests.grading.hostile.run import ROOT

# One of each sort that cost little, and what was a way out before.
SOME = (
    *("the registry", "json", "the publisher", "always equal", "the memory of other processes", "in the keyring"),
    *("the limits of others", "behind a link for what is reported", "goes behind with all others"),
    *("an exception for the page", "an exception for the terminal", "reads backwards", "cannot be removed"),
)
# Not kept without a sandbox: it finds the program that runs these, as any other of the same user's.
NOT_KEPT = {"the memory of other processes"}


def test_there_are_as_many_as_promised() -> None:
    every = attacks()
    assert len({one.body for one in every}) == len(every) >= 120
    assert min(Counter(one.kind for one in every).values()) >= 20


def test_what_the_tests_import_is_there_without_the_modules_of_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else these tests could not even be collected on Windows."""
    monkeypatch.setattr(sys, "platform", "win32")
    for name in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    assert not runpy.run_path(linux.__file__)["AVAILABLE"]
    assert "can_box" in runpy.run_path(str(ROOT / "tests" / "grading" / "hostile" / "__main__.py"))


ENDLESS = """
import sys
from tests.grading.hostile import __main__ as hostile
hostile.can_box = lambda: True
hostile._UNSHARE = ("sh", "-c", 'echo "$PLACE"; exec sleep 100')
sys.exit(hostile.main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage on Windows")
def test_ended_from_outside_it_leaves_no_folder() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        place = Path(running.stdout.readline().strip())
        assert place.name.startswith("hostile-") and place.is_dir()
        running.terminate()
        assert running.wait(60) == 128 + signal.SIGTERM and not place.exists()


def test_a_page_shows_what_a_terminal_would_obey() -> None:
    assert for_page("\x1b[2J a\tb\nc \u202e \x07") == "\ufffd[2J a\tb\nc \ufffd \ufffd"
    for shown in (for_page, for_terminal):  # a line end of Windows is one; a return alone hides what is before it
        assert shown("a\r\nb\rc\r") == "a\nb\ufffdc\ufffd"
    assert for_page("می\u200cخواهم") == "می\u200cخواهم"


def hand_in(some: Sequence[str], *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.grading.hostile", *(f"--only={one}" for one in some), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(ROOT))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"attacks": {sum(any(one in each.what for one in some) for each in attacks())},' in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(bool(probe_bubblewrap()), reason=probe_bubblewrap() or "-")
@pytest.mark.parametrize(
    "user", [False, True] if can_box() and is_everyones() else [False], ids=lambda user: "user" if user else "me"
)
def test_some_of_each_kind(user: bool) -> None:
    """Where this is root, as another user too: there the kernels' namespaces could not be entered before."""
    hand_in(SOME, *["--user"] * user)


@pytest.mark.slow
@pytest.mark.skipif(compile_filter() is None, reason="no libseccomp: apt install libseccomp2")
def test_some_of_each_kind_without_a_sandbox() -> None:
    """Where this is root, as a user without rights, if there can be one."""
    hand_in([one for one in SOME if one not in NOT_KEPT], "--level=rlimits", *["--user"] * is_everyones())
