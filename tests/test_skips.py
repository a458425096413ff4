"""With CI=true a test that would be skipped for a missing tool fails; elsewhere it is said how to get the tool."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="bubblewrap is not installed (apt install bubblewrap)")
def test_sandbox(): ...

def test_network():
    pytest.skip("no index can be reached: no route")

@pytest.mark.xfail(strict=True)
def test_known(): assert False
"""
MODULE = 'import pytest\npytest.importorskip("a_package_that_nobody_has")\n'


def run(folder: Path, ci: str, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_some.py").write_text(source)
    environment = os.environ | {
        "CI": ci,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.skips",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir=.",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_in_ci_a_missing_tool_fails_and_a_permitted_reason_does_not(tmp_path: Path) -> None:
    done = run(tmp_path, "true", TESTS)
    assert done.returncode == 1, done.stdout
    assert "no test may be skipped for this: bubblewrap is not installed" in done.stdout
    assert "1 skipped, 1 xfailed, 1 error" in done.stdout


@pytest.mark.slow
def test_in_ci_a_module_that_lacks_a_package_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "true", MODULE)
    assert done.returncode == 2, done.stdout
    assert "no test may be skipped for this: could not import 'a_package_that_nobody_has'" in done.stdout


@pytest.mark.slow
def test_elsewhere_it_is_said_what_was_skipped_and_how_to_get_it(tmp_path: Path) -> None:
    done = run(tmp_path, "", TESTS)
    assert done.returncode == 0, done.stdout
    told = done.stdout.partition("what was not tested here")[2]
    assert "1 test skipped: bubblewrap is not installed" in told and "apt-get install bubblewrap" in told
    assert "no index can be reached: no route" in told and "where pip can install" in told


@pytest.mark.parametrize("skip", skips.PERMITTED, ids=lambda skip: skip.words)
def test_every_permitted_reason_is_one_that_a_test_or_the_package_gives(skip: skips.Skip) -> None:
    """A reason that nobody gives any more would permit a later one by chance."""
    folders = (ROOT / "tests", ROOT / "course_utils")
    texts = [path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")
             if path.name not in ("skips.py", "test_skips.py")]  # fmt: skip
    assert any(skip.words in text for text in texts)
    assert skip.why and skip.remedy and set(skip.where) <= set(skips.ANYWHERE)


def reasons_given() -> dict[str, str]:
    """Each reason to skip that stands in a test's source, up to what is filled in when it runs, and where."""
    found = {}
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.mark.skipif", "pytest.skip"):
                given = next((one.value for one in node.keywords if one.arg == "reason"), None) or node.args[0]
                words = given.values[0] if isinstance(given, ast.JoinedStr) else given
                if isinstance(words, ast.Constant):  # else what the sandbox says of itself: probe_bubblewrap
                    found[str(words.value)] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


@pytest.mark.parametrize("reason, place", reasons_given().items())
def test_every_reason_is_permitted_somewhere_or_says_what_ends_it(reason: str, place: str) -> None:
    """Or CI on another system would fail for it, and a run on this one would not say what to do."""
    known = [skip.words for skip in skips.PERMITTED] + list(skips.REMEDIES)
    assert any(words in reason for words in known), f"{place}: {reason!r} is not in tests/skips.py"
    assert all(skips.remedy(reason, system) for system in skips.ANYWHERE if skips.permitted(reason, system))


def test_what_can_be_installed_here_is_named_for_this_system() -> None:
    assert "apt-get install chromium" in skips.remedy("no Chromium is installed", skips.LINUX)
    assert skips.remedy("no Chromium is installed", skips.MACOS) == "install Chromium or Chrome"
    assert "libseccomp2" in skips.remedy("no libseccomp: apt install libseccomp2", skips.LINUX)


def test_on_linux_little_is_permitted() -> None:
    on_linux = [skip.words for skip in skips.PERMITTED if skips.LINUX in skip.where]
    of_the_machine = ["this processor has no", "no Landlock: Linux 5.13 or later", "Landlock keeps nobody from"]
    assert on_linux == ["no index can be reached", *of_the_machine]
    assert not skips.permitted("bubblewrap is not installed (apt install bubblewrap)", skips.LINUX)
    assert skips.permitted("no getrusage on Windows", skips.WINDOWS)


def test_no_test_is_skipped_without_a_reason() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        assert not re.search(r"mark\.skip\b(?!if)", path.read_text(encoding="utf-8")), path
