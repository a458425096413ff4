"""The `course` command: what it answers, what it refuses, and that it refuses without a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import cli
from course_utils.exercises import LESSONS
from course_utils.notebooks import files

ROOT = Path(__file__).parents[1]
TEXT = '# %% [markdown]\n# # Lesson\n\n# %%\nprint("hello")\n'


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one lesson, not executed yet, and the working folder in it."""
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "notebooks").mkdir()
    cells = [new_markdown_cell("# Lesson"), new_code_cell('print("hello")')]
    files.write(new_notebook(cells=cells), tmp_path / "notebooks" / "07_small.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_version_says_what_it_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    said = capsys.readouterr().out
    for package in ("course-utils", "torch", "transformers", "nnsight"):
        assert f"{package} {metadata.version(package)}" in said


def test_the_installed_command_is_this_one() -> None:
    command = [str(Path(sys.executable).with_name("course")), "version"]
    assert "course-utils" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["notebooks"], ["notebooks", "nonsense"]])
def test_what_is_not_understood_gets_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: course" in capsys.readouterr().err


@pytest.mark.parametrize("group", cli.GROUPS, ids=lambda group: group.name)
def test_every_group_declares_its_arguments(group: cli.Group, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([group.name, "--help"])
    assert stopped.value.code == 0
    assert group.summary in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["gr"], "grade"),
        (["grade", "submissions", "--se"], "--set --seed"),
        (["notebooks", "comp"], "compare"),
        (["completion", "po"], "powershell"),
    ],
    ids=" ".join,
)
def test_a_shell_completes_the_words(typed: list[str], offered: str, tmp_path: Path) -> None:
    """In bash itself, as when the tab key is pressed."""
    bash = shutil.which("bash")
    assert bash is not None  # make has it, too
    command = [sys.executable, "-m", "course_utils.cli", "completion", "bash"]
    script = tmp_path / "completion.sh"
    script.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    words = " ".join(["course", *typed])
    asked = f"""source {script}
        COMP_WORDS=({words}); COMP_CWORD={len(typed)}; COMP_LINE="{words}"
        $(complete -p course | sed 's/.*-F \\([^ ]*\\).*/\\1/') course {typed[-1]}
        echo "${{COMPREPLY[*]}}" """
    told = subprocess.run([bash, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == offered, told.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["notebooks", "check", "nonsense"], "no notebook 'nonsense'; there are: 07_small"),
        (["notebooks", "text", "8"], "no notebook '8'"),
        (["notebooks", "from-text", "missing.py", "7"], "missing.py: cannot be read"),
    ],
)
@pytest.mark.usefixtures("checkout")
def test_a_name_that_means_nothing_is_refused_in_one_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said


@pytest.mark.parametrize("name", ["7", "07", "07_small", "small", "07_small.ipynb", "notebooks/07_small.ipynb"])
def test_a_lesson_has_many_names(name: str, checkout: Path) -> None:
    assert [path.resolve() for path in files.find([name])] == [checkout / "notebooks" / "07_small.ipynb"]


@pytest.mark.slow
def test_run_brings_a_lesson_into_order_and_check_says_so(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["notebooks", "check"]) == 1
    said = capsys.readouterr().err
    assert "cell 1: was never executed" in said and "is not normalised" in said

    assert cli.main(["notebooks", "run", "7"]) == 0
    assert cli.main(["notebooks", "check"]) == 0
    notebook = files.read(checkout / "notebooks" / "07_small.ipynb")
    assert notebook.cells[1].source.startswith("# @title Setup:")
    assert notebook.cells[2].outputs[0].text == "hello\n"

    before = (checkout / "notebooks" / "07_small.ipynb").read_bytes()
    capsys.readouterr()
    assert cli.main(["notebooks", "run"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert (checkout / "notebooks" / "07_small.ipynb").read_bytes() == before


@pytest.mark.slow
def test_run_writes_nothing_when_a_cell_fails(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkout / "notebooks" / "07_small.ipynb"
    notebook = files.read(path)
    notebook.cells.append(new_code_cell("nothing_of_that_name"))
    files.write(notebook, path)
    before = path.read_bytes()
    assert cli.main(["notebooks", "run"]) == 1
    assert "NameError" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.slow
def test_run_names_a_cell_that_writes_to_stderr(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkout / "notebooks" / "07_small.ipynb"
    notebook = files.read(path)
    notebook.cells[1].source = "import warnings\nwarnings.warn('old')"
    files.write(notebook, path)
    assert cli.main(["notebooks", "run"]) == 1
    assert "cell 2: wrote to stderr" in capsys.readouterr().err


def test_text_goes_there_and_back(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["notebooks", "text", "7"]) == 0
    (checkout / "small.py").write_text(capsys.readouterr().out.replace("hello", "good day"))
    assert cli.main(["notebooks", "from-text", "small.py", "7"]) == 0
    assert files.read(checkout / "notebooks" / "07_small.ipynb").cells[-1].source == 'print("good day")'


def test_from_text_makes_a_new_notebook_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.py").write_text(TEXT)
    made = tmp_path / "new.ipynb"
    assert cli.main(["notebooks", "from-text", str(tmp_path / "new.py"), str(made)]) == 0
    assert "1 to be executed" in capsys.readouterr().out
    assert [cell.cell_type for cell in nbformat.read(made, as_version=4).cells] == ["markdown", "code"]


@pytest.mark.parametrize(
    "saved",
    [
        TEXT.replace("hello", "Größe ✓").encode(),
        b"\xef\xbb\xbf" + TEXT.replace("hello", "Größe ✓").encode(),
        TEXT.replace("hello", "Größe ✓").replace("\n", "\r\n").encode(),
        TEXT.replace("hello", "Größe ✓").replace("\n", "\r\n").encode("utf-16"),
    ],
    ids=["UTF-8", "with its mark", "Windows' line breaks", "PowerShell's UTF-16"],
)
def test_a_text_comes_back_from_any_editor(saved: bytes, checkout: Path) -> None:
    (checkout / "small.py").write_bytes(saved)
    assert cli.main(["notebooks", "from-text", "small.py", "7"]) == 0
    cells = files.read(checkout / "notebooks" / "07_small.ipynb").cells
    assert cells[0].source.startswith("# Lesson") and cells[-1].source == 'print("Größe ✓")'
    assert not any("\r" in cell.source or "\ufeff" in cell.source for cell in cells)


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        (TEXT.replace("hello", "Größe").encode("cp1252"), "is not UTF-8. Save the file as UTF-8"),
        (b"", "has no cell"),
        (b"print(1)\n", "has no cell"),
        (TEXT.encode("utf-16-le"), "has no cell"),
    ],
    ids=["Windows-1252", "empty", "no cells", "UTF-16 without its mark"],
)
def test_a_text_that_would_bend_or_empty_a_notebook_is_refused(
    saved: bytes, told: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "notebooks" / "07_small.ipynb"
    before = path.read_bytes()
    (checkout / "small.py").write_bytes(saved)
    assert cli.main(["notebooks", "from-text", "small.py", "7"]) == 1
    assert told in capsys.readouterr().err and path.read_bytes() == before


def test_a_copy_beside_a_lesson_is_not_taken_for_it(checkout: Path) -> None:
    folder = checkout / "notebooks"
    for name in ("07_small-Copy1.ipynb", "07_small (1).ipynb", "07_small.before.ipynb"):
        (folder / name).write_bytes((folder / "07_small.ipynb").read_bytes())
    assert [path.name for path in files.lessons(checkout)] == ["07_small.ipynb"]
    assert [path.resolve() for path in files.find(["small"])] == [folder / "07_small.ipynb"]


@pytest.mark.slow
def test_a_plugin_that_shuffles_tests_does_not_shuffle_cells(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an installed one would be: found by its entry point, for each pytest of the environment."""
    path = checkout / "notebooks" / "07_small.ipynb"
    notebook = files.read(path)
    notebook.cells += [new_code_cell(f"x = {i}" if i == 0 else "x += 1; print(x)") for i in range(6)]
    files.write(notebook, path)
    assert cli.main(["notebooks", "run"]) == 0
    site = checkout / "site"
    (site / "backwards-1.0.dist-info").mkdir(parents=True)
    (site / "backwards-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
    (site / "backwards-1.0.dist-info" / "entry_points.txt").write_text("[pytest11]\nbackwards = backwards\n")
    (site / "backwards.py").write_text("def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    assert cli.main(["notebooks", "compare"]) == 0


def test_help_names_each_command_under_who_uses_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    places = [said.index(f"{who}:") for who in (cli.LEARNERS, cli.TEACHERS, cli.AUTHORS)]
    assert places == sorted(places) and "examples:" in said
    by_who = {group.name: group.who for group in cli.GROUPS} | {name: who for name, (_, who) in cli.SINGLE.items()}
    for name, who in by_who.items():
        assert said.index(f"\n  {name} ") > said.index(f"{who}:")
        assert said.count(f"\n  {name} ") == 1


@pytest.mark.parametrize("option", ["--json", "--save x.json", "--erase"])
def test_progress_in_a_shell(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    done = {"1.1": {"status": "right", "points": 1, "last": "2026-11-27"}}
    (tmp_path / "progress.json").write_text(json.dumps({"exercises": done}))
    assert cli.main(["progress"]) == 0
    assert "1 of 8" in capsys.readouterr().out
    assert cli.main(["progress", *option.split()]) == 0
    said = capsys.readouterr().out
    if option == "--json":
        found = json.loads(said)
        assert found["lessons"][0]["right"] == 1 and found["next"] == "1.2" and found["done"] is False
    elif option == "--erase":
        assert not (tmp_path / "progress.json").exists()
    else:
        assert json.loads((tmp_path / "x.json").read_text())["exercises"]


def test_a_certificate_before_the_end_says_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    (tmp_path / "progress.json").write_text("{}")
    assert cli.main(["progress", "--certificate", str(tmp_path / "page.html")]) == 1
    assert f"lessons {', '.join(map(str, LESSONS))} are open" in capsys.readouterr().err


def test_start_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["start", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert "01_tokens_and_logits.ipynb: copied" in said and "Next: jupyter lab" in said


def test_badges_follow_the_address(checkout: Path) -> None:
    pyproject = checkout / "pyproject.toml"
    old = files.project_settings(checkout)["repository"]
    pyproject.write_text(
        pyproject.read_text(encoding="utf-8").replace(old, "https://github.com/new/home"), encoding="utf-8"
    )
    assert cli.main(["notebooks", "badges"]) == 0
    for path in (checkout / "README.md", checkout / "notebooks" / "07_small.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "github/new/home/blob" in text
        assert old.removeprefix("https://github.com/") not in text


def test_html_is_a_page_for_each_lesson(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["notebooks", "html", "-o", "pages"]) == 0
    page = (checkout / "pages" / "07_small.html").read_text(encoding="utf-8")
    assert "<html" in page and "Lesson" in page and "hello" in page


@pytest.mark.slow
def test_compare_says_in_plain_words_what_happened(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["notebooks", "run"]) == 0
    assert cli.main(["notebooks", "compare"]) == 0
    assert "all 2 code cells ran" in capsys.readouterr().out

    path = checkout / "notebooks" / "07_small.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace('"hello\\n"', '"goodbye\\n"'), encoding="utf-8")
    assert cli.main(["notebooks", "compare"]) == 1
    said = capsys.readouterr().err
    assert "1 of 2 code cells differ" in said and "goodbye" in said and "hello" in said


@pytest.mark.slow
def test_lessons_are_compared_side_by_side_and_told_in_order(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Together they have as many threads as the machine has cores."""
    path = checkout / "notebooks" / "07_small.ipynb"
    notebook = files.read(path)
    notebook.cells[-1]["source"] = "import os\nprint('threads', os.environ['OMP_NUM_THREADS'])"
    files.write(notebook, path)
    monkeypatch.setenv("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
    assert cli.main(["notebooks", "run"]) == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    (checkout / "notebooks" / "08_small.ipynb").write_bytes(path.read_bytes())
    capsys.readouterr()
    assert cli.main(["notebooks", "compare", "--workers", "2"]) == 0
    ran = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if "code cells ran" in line]
    assert ran == ["07_small.ipynb", "08_small.ipynb"]


def test_outside_a_checkout_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "lib" / "course_utils" / "notebooks" / "files.py"))
    assert cli.main(["notebooks", "check"]) == 1
    assert "no checkout of the course" in capsys.readouterr().err


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "nnsight", "numpy", "packaging", "platformdirs")))
from course_utils.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", [["progress"], ["fetch"], ["exercises", "mutate"]])
def test_where_packages_are_missing_a_command_says_what_to_do(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "COURSE_PROGRESS": str(tmp_path / "progress.json")}
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, *command], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1
    assert ran.stderr.startswith(f"course: this Python ({sys.executable}) cannot load torch")
    assert "`course doctor` says what is missing here" in ran.stderr


@pytest.mark.slow
def test_without_the_extra_for_marking_the_command_names_it(tmp_path: Path) -> None:
    without = WITHOUT.replace(
        '("torch", "transformers", "nnsight", "numpy", "packaging", "platformdirs")', '("msgspec",)'
    )
    assert without != WITHOUT
    ran = subprocess.run([sys.executable, "-c", without, "grade", "x"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1 and "cannot load msgspec" in ran.stderr
    assert 'pip install "course-utils[grade]"' in ran.stderr


def test_the_doctor_works_where_packages_are_missing(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT, "doctor"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1 and not ran.stderr
    assert "without packaging" in ran.stdout and "pip install" in ran.stdout and "to mend" in ran.stdout
