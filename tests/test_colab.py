"""The setup cell, as Colab meets it: one notebook, a Python with much preinstalled, no checkout and no course_utils.

The stand-in for Colab is a fresh virtual environment that sees everything installed here except this package, from a
folder that pip cannot change, like Colab's own. The package comes as a built wheel, and pip may ask no index.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

from course_utils import colab
from course_utils.notebooks import files, normalise, solve

ROOT = Path(__file__).parents[1]
VERSION = files.project_settings(ROOT)["version"]
CELL = colab.setup_cell(**files.project_settings(ROOT))
LESSONS = files.lessons(ROOT)


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@functools.cache
def packages_with_pip() -> Path:
    """Where an environment has its packages that has pip: to install it takes as long as all else that a test does."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    return packages_of(folder)


def packages_of(folder: Path) -> Path:
    command = [str(python_of(folder)), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def build_venv(folder: Path, *preinstalled: Path) -> Path:
    """A fresh environment in `folder`, with pip, that also sees the folders `preinstalled`, the first one first.

    Without the setuptools that Python 3.11 puts in: it would hide the preinstalled one.
    """
    venv.create(folder)
    own = packages_of(folder)
    for one in packages_with_pip().glob("pip*"):
        shutil.copytree(one, own / one.name)  # with its times, or what is compiled of it would not count
    (own / "preinstalled.pth").write_text("".join(f"{one}\n" for one in preinstalled), encoding="utf-8")
    return python_of(folder)


@pytest.fixture(scope="module")
def preinstalled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that shows everything installed here, except this package."""
    folder = tmp_path_factory.mktemp("preinstalled")
    import numpy

    for entry in Path(numpy.__file__).parents[1].iterdir():
        if not entry.name.lower().startswith(("course_utils", "_course_utils", "pip", "__pycache__")):
            try:
                (folder / entry.name).symlink_to(entry)
            except OSError as error:
                pytest.skip(f"this system does not let a test make symbolic links: {error}")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def colab_like(preinstalled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_venv(tmp_path_factory.mktemp("colab"), preinstalled)


def run(python: Path, source: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `source` in an empty `folder`, as a kernel would, where pip finds no index."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "COURSE_"))}
    clean |= {name: os.environ[name] for name in ("COURSE_CACHE",) if name in os.environ}
    clean |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment
    command = [str(python), "-c", source]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, encoding="utf-8")


def make_wheel(folder: Path, name: str, version: str) -> None:
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\n")
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")


def test_the_cell_is_short_and_compiles() -> None:
    lines = CELL.split("\n")
    assert len(lines) <= 27 and max(map(len, lines)) <= 120
    assert lines[0].startswith(colab.MARK)
    compile(CELL, "setup", "exec")


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_every_lesson_begins_with_this_cell(path: Path) -> None:
    code = [cell for cell in files.read(path).cells if cell.cell_type == "code"]
    assert code[0].source == CELL
    assert "nbval-ignore-output" in code[0].metadata.tags
    assert not any(cell.source.startswith(colab.MARK) for cell in code[1:])


@pytest.mark.slow
def test_where_the_package_is_there_already_the_cell_only_says_what_it_found(tmp_path: Path) -> None:
    twice = run(Path(sys.executable), f"{CELL}\n{CELL}", tmp_path)
    assert twice.returncode == 0, twice.stderr
    lines = twice.stdout.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    assert lines[0].startswith(f"course_utils {VERSION}, torch ")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_of_another_version_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    colab.report("0.0.1")
    assert "written for course_utils 0.0.1" in capsys.readouterr().out


def test_a_library_that_was_replaced_while_in_use_asks_for_a_restart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy

    monkeypatch.setattr(numpy, "__version__", "1.0.0")
    colab.report(VERSION)
    assert "numpy changed while in use: restart the runtime" in capsys.readouterr().out


@pytest.mark.slow
def test_it_installs_the_package_and_changes_nothing_else(colab_like: Path, wheel: Path, tmp_path: Path) -> None:
    freeze = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions()))"
    before = run(colab_like, freeze, tmp_path).stdout
    assert run(colab_like, "import torch, nnsight; import course_utils", tmp_path).returncode != 0
    first = run(colab_like, CELL, tmp_path, COURSE_UTILS_SOURCE=str(wheel))
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    told, found = first.stdout.splitlines()
    assert told.startswith("Installing") and found.startswith(f"course_utils {VERSION}, ")
    again = run(colab_like, CELL, tmp_path)
    assert again.stdout.splitlines() == [found]
    after = run(colab_like, freeze, tmp_path).stdout
    assert set(eval(after)) - set(eval(before)) == {("course-utils", VERSION)} and len(after) > len(before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_preinstalled_package_out_of_range_is_named_and_only_it_is_changed(
    preinstalled: Path, wheel: Path, tmp_path: Path
) -> None:
    """An old platformdirs lies before the right one; the new one that pip finds replaces it, and nothing else moves."""
    old, index, empty = (tmp_path / name for name in ("old", "index", "empty"))
    for folder in (old, index, empty):
        folder.mkdir()
    make_wheel(index, "platformdirs", "4.99.0")
    make_wheel(old, "platformdirs", "3.0.0")
    with zipfile.ZipFile(next(old.glob("*.whl"))) as archive:
        archive.extractall(old)
    python = build_venv(tmp_path / "colab", old, preinstalled)
    cell = CELL.split("from course_utils import colab")[0]  # the new platformdirs is an empty shell
    result = run(python, cell, empty, COURSE_UTILS_SOURCE=str(wheel), PIP_FIND_LINKS=str(index))
    assert result.returncode == 0, result.stderr
    assert "platformdirs 3.0.0 is replaced: this course needs platformdirs>=4.3" in result.stdout
    assert result.stdout.count("is replaced") == 1
    own = {path.name.split("-")[0] for path in (tmp_path / "colab").rglob("*.dist-info")}
    assert own == {"pip", "platformdirs", "course_utils"}


@pytest.mark.slow
def test_a_preinstalled_package_in_range_is_kept_though_a_newer_one_could_be_had(
    preinstalled: Path, wheel: Path, tmp_path: Path
) -> None:
    for name in ("torch", "numpy", "transformers"):
        make_wheel(tmp_path, name, "5.99.0")
    python = build_venv(tmp_path / "colab", preinstalled)
    result = run(
        python,
        CELL,
        tmp_path,
        COURSE_UTILS_SOURCE=str(wheel),
        PIP_FIND_LINKS=str(tmp_path),
        PIP_UPGRADE="1",
        PIP_UPGRADE_STRATEGY="eager",
    )
    assert result.returncode == 0, result.stderr
    assert "5.99.0" not in result.stdout and "is replaced" not in result.stdout
    own = {path.name.split("-")[0] for path in (tmp_path / "colab").rglob("*.dist-info")}
    assert own.isdisjoint({"torch", "numpy", "transformers"})


@pytest.mark.slow
def test_where_it_cannot_install_it_says_what_pip_said_and_a_second_try_works(
    preinstalled: Path, wheel: Path, tmp_path: Path
) -> None:
    python = build_venv(tmp_path / "colab", preinstalled)
    failed = run(python, CELL, tmp_path, COURSE_UTILS_SOURCE="no-such-requirement-of-the-course")
    assert failed.returncode != 0
    assert "pip could not install no-such-requirement-of-the-course" in failed.stderr
    assert "No matching distribution found" in failed.stderr
    assert run(python, CELL, tmp_path, COURSE_UTILS_SOURCE=str(wheel)).returncode == 0


EXECUTE = """
import sys, nbclient, nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
class Manager(AsyncKernelManager):
    kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
notebook = nbformat.read("lesson.ipynb", as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_manager_class=Manager).execute()
nbformat.write(notebook, "lesson.ipynb")
"""


@pytest.mark.slow
def test_a_lesson_alone_in_an_empty_folder_runs_from_top_to_bottom(
    preinstalled: Path, wheel: Path, tmp_path: Path
) -> None:
    python, folder = build_venv(tmp_path / "colab", preinstalled), tmp_path / "content"
    folder.mkdir()
    lesson = LESSONS[1]  # the shortest
    (folder / "lesson.ipynb").write_bytes(lesson.read_bytes())
    result = run(python, EXECUTE, folder, COURSE_UTILS_SOURCE=str(wheel))
    assert result.returncode == 0, result.stderr[-3000:]
    executed = files.read(folder / "lesson.ipynb")
    setup = next(cell for cell in executed.cells if cell.cell_type == "code")
    assert "Installing the course's package" in normalise.text_of(setup.outputs[0])
    # It prints there what is stored.
    assert list(map(str, solve.parted(files.read(lesson), normalise.normalise(executed)))) == []
    assert [path.name for path in folder.iterdir()] == ["lesson.ipynb"]
