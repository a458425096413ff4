"""`course doctor`: each broken set-up that a test can make is named, with the command that mends it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from course_utils import cli
from course_utils.learner import set_up
from course_utils.learner.set_up import Finding

Break = pytest.MonkeyPatch


def fault(finding: Finding, *words: str, mend: str) -> None:
    assert finding.state == "fault", finding
    for word in words:
        assert word in finding.said
    assert mend in finding.mend


def distribution(folder: Path, name: str, version: str) -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: Break) -> Path:
    """A folder of packages that comes first on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def no_model(monkeypatch: Break) -> None:
    monkeypatch.setattr(set_up, "model_is_here", lambda: False)


def test_this_set_up_has_what_the_tests_need() -> None:
    for check in (set_up.python, set_up.packages, set_up.memory, set_up.home, set_up.cache):
        assert check().state == "well", check()


def test_an_old_python(monkeypatch: Break) -> None:
    monkeypatch.setattr(set_up.platform, "python_version", lambda: "3.10.4")
    fault(set_up.python(), "3.10.4 is too old", mend="python3 -m venv")


def test_a_half_installed_torch(site: Path) -> None:
    (site / "torch-2.6.0.dist-info").mkdir()
    fault(set_up.packages(), "torch is half installed", mend='install --force-reinstall "torch')


def test_two_versions_on_the_path(site: Path) -> None:
    distribution(site, "filelock", "3.99.0")
    fault(set_up.packages(), "filelock is there twice, 3.99.0 and", mend="--force-reinstall")


def test_a_version_outside_the_range(monkeypatch: Break) -> None:
    found = set_up.versions
    monkeypatch.setattr(set_up, "versions", lambda name: ["5.99"] if name == "transformers" else found(name))
    fault(set_up.packages(), "transformers 5.99 is outside", "<5.40", mend='install "transformers')


def test_a_missing_package(monkeypatch: Break) -> None:
    found = set_up.versions
    monkeypatch.setattr(set_up, "versions", lambda name: [] if name == "gguf" else found(name))
    fault(set_up.packages(), "gguf is missing", mend='install "gguf')


def test_the_courses_own_package_is_missing(monkeypatch: Break) -> None:
    def missing(name: str) -> Any:
        raise set_up.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(set_up.metadata, "requires", missing)
    fault(set_up.packages(), "own package is not installed", mend="install -e .")


def test_a_torch_that_is_not_there_and_one_that_does_not_load(site: Path, monkeypatch: Break) -> None:
    (site / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(site))
    fault(set_up.processor(), "torch cannot be loaded: OSError: libtorch_cpu.so", mend="--force-reinstall torch")
    monkeypatch.setattr(set_up.importlib.util, "find_spec", lambda name: None)
    fault(set_up.processor(), "torch cannot be found", mend='install "torch')


def test_little_memory(monkeypatch: Break) -> None:
    monkeypatch.setattr(set_up, "MEMORY", 10**6)
    fault(set_up.memory(), "GB; lessons", mend="close other programs")


@pytest.mark.skipif(os.name != "posix", reason="a stand-in for Python that is a shell script")
def test_home_unset_and_unknown(monkeypatch: Break) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(set_up.Path, "home", nobody)
    fault(set_up.home(), "HOME is not set", mend="export HOME=")


def test_a_home_that_is_no_folder(monkeypatch: Break, tmp_path: Path) -> None:
    monkeypatch.setattr(set_up.Path, "home", lambda: tmp_path / "gone")
    fault(set_up.home(), "is no folder", mend="export HOME=")


@pytest.mark.usefixtures("no_model")
def test_a_cache_that_cannot_be_written(monkeypatch: Break, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    fault(set_up.cache(), "cannot be written", mend="export COURSE_CACHE=")


@pytest.mark.usefixtures("no_model")
def test_a_read_only_cache(monkeypatch: Break, tmp_path: Path) -> None:
    def read_only(**options: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(set_up.tempfile, "NamedTemporaryFile", read_only)
    fault(set_up.cache(), "Read-only file system", mend="export COURSE_CACHE=")
    monkeypatch.setattr(set_up, "model_is_here", lambda: True)
    assert set_up.cache().state == "well", "with the model in it nothing has to be written"


@pytest.mark.usefixtures("no_model")
def test_a_cache_without_locks(monkeypatch: Break, tmp_path: Path) -> None:
    def no_locks(self: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(filelock.FileLock, "_acquire", no_locks)
    fault(set_up.cache(), "knows no locks", mend="export COURSE_CACHE=")


@pytest.mark.usefixtures("no_model")
def test_a_full_disk(monkeypatch: Break, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(set_up.shutil, "disk_usage", lambda folder: usage(10**9, 10**9, 10**8))
    fault(set_up.cache(), "has 0.1 GB left; the model needs 1", mend="export COURSE_CACHE=")


@pytest.mark.slow
def test_a_model_that_is_not_there_or_damaged(monkeypatch: Break, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    fault(set_up.model(), "not here yet", mend="course fetch")
    assert set_up.index().state != "note", "now the index is asked"


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("said", "words", "mend"),
    [
        ("SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self", "does not trust", "global.cert"),
        ("There was a problem confirming the ssl certificate: HTTPSConnectionPool", "does not trust", "global.cert"),
        ("Temporary failure in name resolution", "cannot be reached", "pip config list"),
    ],
)
def test_an_index_that_cannot_be_had(said: str, words: str, mend: str, monkeypatch: Break) -> None:
    refused = subprocess.CompletedProcess[str]([], 1, "", said + "\nERROR: No matching distribution found")
    monkeypatch.setattr(set_up.subprocess, "run", lambda *command, **options: refused)
    fault(set_up.index(), words, mend=mend)


@pytest.mark.usefixtures("no_model")
def test_an_index_that_does_not_answer(monkeypatch: Break) -> None:
    def hangs(command: Any, **options: Any) -> Any:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(set_up.subprocess, "run", hangs)
    fault(set_up.index(), "does not answer", mend="pip config list")


@pytest.mark.skipif(os.name != "posix", reason="a stand-in for Python that is a shell script")
def test_a_renamed_environment(monkeypatch: Break, tmp_path: Path) -> None:
    (tmp_path / "course").write_text(f"#!{tmp_path}/old/bin/python\nprint()\n")
    monkeypatch.setattr(set_up.sys, "executable", str(tmp_path / "python"))
    fault(set_up.environment(), "was moved or renamed", "old/bin/python", mend="python3 -m venv --clear .venv")


def test_an_installation_that_was_cut_off_or_two_makes_at_once(monkeypatch: Break, tmp_path: Path) -> None:
    (tmp_path / ".installing").touch()
    monkeypatch.setattr(set_up.sys, "prefix", str(tmp_path))
    fault(set_up.environment(), "cut off, or another `make`", mend="make lessons")


def test_a_python_that_belongs_to_the_system(monkeypatch: Break, tmp_path: Path) -> None:
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(set_up.sys, "prefix", set_up.sys.base_prefix)
    monkeypatch.setattr(set_up.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(set_up.sysconfig, "get_path", lambda name: str(tmp_path))
    fault(set_up.environment(), "PEP 668", mend="python3 -m venv .venv && .venv/bin/python -m pip install")
    assert sysconfig is set_up.sysconfig


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"argv": ["/gone/bin/python", "-m", "ipykernel"], "display_name": "x"}), "which is gone"),
        (json.dumps({"argv": [shutil.which("sh") or sys.base_prefix], "display_name": "x"}), "not this Python"),
        ("{", "cannot be started"),
    ],
)
def test_a_kernel_that_is_another_environments(text: str, said: str, monkeypatch: Break, tmp_path: Path) -> None:
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(text)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    fault(set_up.kernel(), said, mend="-m ipykernel install --sys-prefix")


def test_no_kernel_at_all(monkeypatch: Break) -> None:
    monkeypatch.setattr(set_up.importlib.util, "find_spec", lambda name: None)
    fault(set_up.kernel(), "ipykernel is missing", mend="install")


def test_what_a_learner_does_not_need_is_no_fault(monkeypatch: Break) -> None:
    import webbrowser

    def none() -> Any:
        raise webbrowser.Error("no browser")

    monkeypatch.setattr(set_up.shutil, "which", lambda name: None)
    monkeypatch.setattr(webbrowser, "get", none)
    assert set_up.sandbox().state == set_up.browser().state == "note"


def broken() -> Finding:
    raise ZeroDivisionError("oh")


def well() -> Finding:
    return Finding("this", "well", "works")


def test_a_check_that_fails_itself_is_a_finding_and_the_others_go_on() -> None:
    first, second = set_up.examine([broken, well])
    fault(first, "ZeroDivisionError: oh", mend="open an issue")
    assert second.state == "well"


@pytest.mark.parametrize(("checks", "code", "told"), [((well,), 0, "All is well."), ((well, broken), 1, "1 to mend")])
def test_the_command_says_all_and_exits_with_it(
    checks: tuple[Callable[[], Finding], ...],
    code: int,
    told: str,
    monkeypatch: Break,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(set_up, "CHECKS", checks)
    assert cli.main(["doctor"]) == code
    shown = capsys.readouterr().out
    assert "✓ this" in shown and told in shown
    assert cli.main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)[0]["name"] == "this"


@pytest.mark.slow
def test_every_check_of_this_machine_answers() -> None:
    found = list(set_up.examine())
    assert len(found) == len(set_up.CHECKS)
    assert not [finding for finding in found if "could not be looked at" in finding.said]
    assert all(finding.mend for finding in found if finding.state == "fault")
