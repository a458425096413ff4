"""Which tests may be skipped, and what is said of them: the one list, and the pytest hooks that keep to it.

A test that is skipped tells nobody that what it holds is untested. So at the end of a run each reason is named together
with the way to have the test run after all; and where CI=true, as in continuous integration, a test that is skipped
for a reason that is not in `PERMITTED`, or not on this system, fails.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

HERE = "linux" if sys.platform.startswith("linux") else sys.platform
LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"
ANYWHERE = (LINUX, MACOS, WINDOWS)


@dataclass(frozen=True)
class Skip:
    """A reason to skip: the words by which it is known, where it is permitted, why there, and what would end it."""

    words: str
    where: tuple[str, ...]
    why: str
    remedy: str


# Not here, so never permitted on Linux: bubblewrap and a browser, which `.ci/run` installs.
PERMITTED = (
    Skip("no index can be reached", ANYWHERE, "a network is not the project's to have", "run it where pip can install"),
    Skip("bubblewrap exists for Linux only", (MACOS, WINDOWS), "so it is", "run it on Linux (on Windows: in WSL)"),
    Skip("this system does not let a test make symbolic links", (WINDOWS,), "a right that Windows gives to few",
         "switch on Windows' developer mode"),
    Skip("no Chromium is installed", (MACOS, WINDOWS), "the system's packages have none", "install Chromium or Chrome"),
    Skip("needs SIGKILL", (WINDOWS,), "Windows has no such signal", "run it on Linux, on macOS or in WSL"),
    Skip("no timer signal", (WINDOWS,), "Windows has no such signal", "run it on Linux, on macOS or in WSL"),
    Skip("no getrusage on Windows", (WINDOWS,), "so it is", "run it on Linux, on macOS or in WSL"),
    Skip("a stand-in for Python that is a shell script", (WINDOWS,), "no shell runs it there",
         "run it on Linux, on macOS or in WSL"),
    Skip("keyrings and seccomp are Linux's", (MACOS, WINDOWS), "so it is", "run it on Linux (on Windows: in WSL)"),
    Skip("only Linux limits the address space", (MACOS, WINDOWS), "so it is", "run it on Linux (on Windows: in WSL)"),
    Skip("no libseccomp", (MACOS, WINDOWS), "it is Linux's", "run it on Linux (on Windows: in WSL)"),
    Skip("this processor has no", (LINUX,), "some system calls are those of one kind of processor",
         "run it on a processor for x86"),
    Skip("the home folder is not HOME's", (WINDOWS,), "Windows asks another variable",
         "run it on Linux, on macOS or in WSL"),
    Skip("an interrupt is an event there", (WINDOWS,), "Windows has no such signal",
         "run it on Linux, on macOS or in WSL"),
    Skip("root may do all, and there is no setpriv", (MACOS,), "setpriv is Linux's",
         "run it as another user than root"),
    Skip("no Landlock: Linux 5.13 or later", ANYWHERE, "older kernels, and some containers, have none",
         "run it on a Linux of 5.13 or later, outside a container that refuses it"),
    Skip("Landlock keeps nobody from", ANYWHERE, "older kernels have less of it", "run it on a newer Linux"),
    Skip("this PyTorch has no oneDNN", (MACOS, WINDOWS), "builds for other processors are without it",
         "install a PyTorch for x86"),
)  # fmt: skip

# What ends a skip that is not permitted in CI: on Linux, where all of these can be had.
REMEDIES = {
    "no Chromium is installed": "Debian: sudo apt-get install chromium; Ubuntu: install Google's Chrome",
    "no libseccomp": "Debian, Ubuntu: sudo apt-get install libseccomp2",
    "bubblewrap is not installed": "Debian, Ubuntu: sudo apt-get install bubblewrap",
    "does not allow what bubblewrap does": "allow user namespaces; in a container, "
    "run it with --security-opt seccomp=unconfined",
}  # fmt: skip


def permitted(reason: str, system: str = HERE) -> bool:
    """Whether a test may be skipped for this reason in continuous integration on this system (as sys.platform says)."""
    return any(skip.words in reason and system in skip.where for skip in PERMITTED)


def remedy(reason: str, system: str = HERE) -> str:
    """What makes a test run that was skipped for this reason on this system; "" if nobody wrote it down."""
    here = [(skip.words, skip.remedy) for skip in PERMITTED if system in skip.where]
    return next((way for words, way in [*here, *REMEDIES.items()] if words in reason), "")


def in_ci() -> bool:
    """Whether this is continuous integration, by the variable that all of its services set."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def _reason(report: Any) -> str:
    """Why a report says "skipped"."""
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words.removeprefix("Skipped: ")


def _hold_to_the_list(report: Any) -> None:
    """Turn a skip that is not permitted into a failure; an expected failure is also reported as skipped, and stays."""
    if in_ci() and report.skipped and not hasattr(report, "wasxfail") and not permitted(_reason(report)):
        way = remedy(_reason(report)) or "add what it needs to .ci/run, or the reason to tests/skips.py"
        report.outcome = "failed"
        report.longrepr = f"With CI=true no test may be skipped for this: {_reason(report)}\n{way}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """A test that is skipped, by a mark or while it runs."""
    report = yield
    _hold_to_the_list(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """A whole module that is skipped, as `pytest.importorskip` does."""
    report = yield
    _hold_to_the_list(report)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was skipped, and how to get it."""
    counted: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        counted[_reason(report)] += 1
    if not counted:
        return
    terminalreporter.section("what was not tested here")
    for reason, count in counted.items():
        tests = "1 test" if count == 1 else f"{count} tests"
        way = remedy(reason)
        terminalreporter.line(f"{tests} skipped: {reason}" + (f"\n    to run: {way}" if way else ""))
