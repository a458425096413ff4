"""The project's own papers agree with each other: packages, versions, addresses, and what an import costs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import course_utils

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# What conda-forge calls otherwise.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def ranges(requirements: list[str]) -> dict[str, str]:
    parsed = map(Requirement, requirements)
    return {canonicalize_name(one.name): str(one.specifier) for one in parsed if one.name != "course-utils"}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_conda_environment_has_the_packages_and_ranges_of_pyproject() -> None:
    wanted = ranges(PROJECT["dependencies"] + EXTRAS["lab"])
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (through_pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert through_pip.pop() == "-e ."
    named = {
        CONDA_NAMES.get(name, name): specifier
        for name, specifier in ranges([entry for entry in entries if isinstance(entry, str)] + through_pip).items()
    }
    assert named.pop("python") == PROJECT["requires-python"]
    named.pop("pip")
    assert named == wanted


def test_constraints_pin_everything_that_is_installed_here() -> None:
    pinned, todo, seen = pins(), [("course-utils", frozenset({"test"}))], set()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        name, extras = one
        for requirement in map(Requirement, metadata.distribution(name).requires or []):
            environments = [{"extra": extra} for extra in (*extras, "")]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    needed = {name for name, _ in seen} - {"course-utils"}
    only_elsewhere = {"appnope", "colorama", "pywinpty"}  # packages for macOS and Windows
    cuda = {name for name in needed if name.startswith(("nvidia-", "cuda-")) or name == "triton"}  # torch's other build
    assert needed - pinned.keys() <= only_elsewhere | cuda
    assert {name for name in pinned if not re.fullmatch(r"[a-z0-9-]+", name)} == set()


def test_what_a_dependency_will_take_away_fails_a_test() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert {f"error::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")} <= {
        *settings["filterwarnings"]
    }


def test_pins_lie_in_the_ranges_and_are_what_is_installed() -> None:
    pinned = pins()
    for requirement in map(Requirement, PROJECT["dependencies"] + [one for name in EXTRAS for one in EXTRAS[name]]):
        name = canonicalize_name(requirement.name)
        if name == "course-utils":
            continue
        assert requirement.specifier.contains(pinned[name]), requirement
        installed = metadata.version(name).split("+")[0]
        assert installed == pinned[name], f"{name} {installed} is installed, {pinned[name]} is pinned: run `make test`"


def test_one_version_everywhere() -> None:
    assert course_utils.__version__ == PROJECT["version"] == metadata.version("course-utils")


def test_only_the_package_is_packaged() -> None:
    from_wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert from_wheel["targets"]["wheel"]["packages"] == ["course_utils"]


def test_the_repository_has_one_address() -> None:
    address = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    found = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("course_utils/**/*.py"), *ROOT.glob("notebooks/*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(
            r"(?:colab\.research\.google\.com/github/|git\+https://github\.com/)([\w.-]+/[\w.-]+?)(?=[/@])", text
        ):
            found.append((path.name, link))
    assert [one for one in found if one[1] != address] == []
    assert any(name == "README.md" for name, _ in found)


def test_importing_the_package_leaves_the_heavy_libraries_out() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", "import course_utils, course_utils.cli, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "course_utils" in seen
    assert {"torch", "transformers", "nnsight", "matplotlib", "nbformat", "numpy"} & set(seen) == set()


@pytest.mark.parametrize(
    "target",
    ["lessons", "lab", "test", "test-fast", "bench", "html", "site", "versions", "processors", "coverage", "clean"],
)
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="uses a stand-in for Python that is a shell script")
class TestMakeSetsItselfUp:
    """The Makefile's own logic, with a stand-in for Python that installs nothing but says what it was asked."""

    def folder(self, tmp_path: Path, install: str = "exit 0") -> Path:
        (tmp_path / ".ci").mkdir(exist_ok=True)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", ".ci/install"):
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        # Called as PYTHON it is asked for its version, then to make the environment; there it is asked to install.
        (tmp_path / "stand-in").write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {tmp_path}/asked\n'
            'case "$*" in\n'
            '  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;\n'
            '    printf "#!/bin/sh\\n" > .venv/bin/course; chmod +x .venv/bin/course;;\n'
            f'  "-m pip"*) {install};;\n'
            "esac\n"
        )
        (tmp_path / "stand-in").chmod(0o755)
        return tmp_path

    def make(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", f"PYTHON={folder}/stand-in", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    def asked(self, folder: Path) -> list[str]:
        lines = (folder / "asked").read_text().splitlines()
        (folder / "asked").write_text("")
        return [line for line in lines if line.startswith(("-m venv", "-m pip"))]

    def test_installs_once(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        assert self.make(folder, "html").returncode == 0
        first = self.asked(folder)
        assert first[0] == "-m venv .venv" and "-c constraints.txt -e .[lab,grade]" in first[1]
        assert self.make(folder, "html").returncode == 0
        assert self.asked(folder) == []

    def test_installs_again_when_the_packages_change(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        self.make(folder, "html")
        self.asked(folder)
        later = (folder / ".venv/.installed-lab").stat().st_mtime + 5
        os.utime(folder / "constraints.txt", (later, later))
        assert self.make(folder, "html").returncode == 0
        assert len(self.asked(folder)) == 2

    def test_the_larger_installation_serves_the_smaller(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        assert self.make(folder, ".venv/.installed-test").returncode == 0
        self.asked(folder)
        assert self.make(folder, "html").returncode == 0
        assert self.asked(folder) == []

    def test_an_installation_that_was_cut_off_is_made_anew(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path, install="exit 1")
        failed = self.make(folder, "html")
        assert failed.returncode != 0
        assert "did not finish" in failed.stdout and "network" in failed.stdout
        assert not (folder / ".venv/.installed-lab").exists()
        self.asked(folder)
        self.folder(tmp_path)
        assert self.make(folder, "html").returncode == 0
        assert self.asked(folder)[0] == "-m venv --clear .venv"

    def test_of_two_at_once_one_installs_and_the_other_waits(self, tmp_path: Path) -> None:
        # The first goes on when the second has said that it waits.
        folder = self.folder(tmp_path, install=f"while [ ! -e {tmp_path}/go-on ]; do sleep 0.1; done")
        command = ["make", f"PYTHON={folder}/stand-in", "html"]
        first = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        while not (folder / ".venv/.installing").exists():
            assert first.poll() is None
            time.sleep(0.05)
        second = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None and first.stdout is not None
        while "waiting for it" not in (line := second.stdout.readline()):
            assert line, "the second make has ended"
        owner = (folder / ".venv.lock").read_text().strip()
        assert f"(process {owner})" in line
        (folder / "go-on").touch()
        assert first.wait(60) == second.wait(60) == 0
        first.stdout.close(), second.stdout.close()
        assert [line.split()[1] for line in self.asked(folder)] == ["venv", "pip"], "one of them has installed"
        assert not list(folder.glob(".venv.lock*"))

    def test_a_lock_whose_owner_is_gone_is_taken_over(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        gone = subprocess.Popen(["true"])
        gone.wait()
        (folder / ".venv.lock").write_text(f"{gone.pid}\n")
        assert self.make(folder, "html").returncode == 0
        assert len(self.asked(folder)) == 2 and not list(folder.glob(".venv.lock*"))

    @pytest.fixture
    def nobodys(self) -> Iterator[tuple[Path, list[str]]]:
        """The folder where anybody gets to it, and what to put before a command so that root does not run it."""
        unprivileged: list[str] = []
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                pytest.skip("root may do all, and there is no setpriv")
            unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        with tempfile.TemporaryDirectory() as made:
            folder = self.folder(Path(made))
            (folder / "asked").touch()
            for path in (folder, folder / "asked"):
                path.chmod(0o777)
            yield folder, unprivileged

    def test_a_folder_that_may_not_be_written_is_named(self, nobodys: tuple[Path, list[str]]) -> None:
        folder, unprivileged = nobodys
        folder.chmod(0o555)
        script = [*unprivileged, "bash", ".ci/install", "lab", f"{folder}/stand-in", ".venv/bin"]
        refused = subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=60)
        folder.chmod(0o777)
        assert refused.returncode != 0 and f"You may not write into {folder}" in refused.stdout
        assert not list(folder.glob(".venv*"))

    def test_the_lock_of_another_user_who_installs_is_left_to_them(self, nobodys: tuple[Path, list[str]]) -> None:
        folder, unprivileged = nobodys
        (folder / ".venv.lock").write_text("1\n")  # the system's first process is root's, and may not be signalled
        script = [*unprivileged, "bash", ".ci/install", "lab", f"{folder}/stand-in", ".venv/bin"]
        waiting = subprocess.Popen(script, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert waiting.stdout is not None
        assert "Another make installs into .venv (process 1): waiting" in waiting.stdout.readline()
        waiting.terminate()
        waiting.wait(60)
        waiting.stdout.close()
        assert (folder / ".venv.lock").exists() and self.asked(folder) == []

    @pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
    def test_an_installation_that_was_killed_leaves_no_lock_in_the_way(
        self, ended: signal.Signals, tmp_path: Path
    ) -> None:
        folder = self.folder(tmp_path, install=f"touch {tmp_path}/begun; sleep 1")
        script = ["bash", ".ci/install", "lab", f"{folder}/stand-in", ".venv/bin"]
        running = subprocess.Popen(script, cwd=folder, stdout=subprocess.DEVNULL)
        while not (folder / "begun").exists():
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(ended)
        assert running.wait(60) != 0
        self.asked(folder)
        self.folder(tmp_path)
        assert self.make(folder, "html").returncode == 0
        assert self.asked(folder)[0] == "-m venv --clear .venv" and not list(folder.glob(".venv.lock*"))

    def test_refuses_an_old_python(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        (folder / "stand-in").write_text('#!/bin/sh\ncase "$1" in -c) exit 1;; esac\n')
        refused = self.make(folder, "html")
        assert refused.returncode != 0 and "older than Python 3.11" in refused.stdout
        assert not (folder / ".venv").exists()


def test_continuous_integration_runs_make_test_on_three_systems_and_both_ends_of_python() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.startswith("#!") and "set -euo pipefail" in script
    assert 'make "${1:-test}"' in script and "bubblewrap" in script
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"][0] == PROJECT["requires-python"].removeprefix(">=")
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["test"]["steps"])
