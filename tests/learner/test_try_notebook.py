"""`course check`: the state of each exercise of a learner's notebook, from a run in a kernel of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import cli
from course_utils.errors import CourseError
from course_utils.learner import try_notebook
from course_utils.learner.try_notebook import states

IMPORT = "from course_utils.exercises import check"
RIGHT = """\
import torch
def causal_mask(n_new, n_held=0):
    if n_new < 1 or n_held < 0:
        raise ValueError("too few tokens")
    return torch.ones(n_new, n_new + n_held).tril(n_held).bool()"""
WRONG = RIGHT.replace("tril(n_held)", "tril(0)")
STUB = "def cache_bytes(shape, n_tokens, batch=1, bytes_per_number=4):\n    raise NotImplementedError"
CHECK_MASK = 'causal_mask = check("3.2", causal_mask)'
CHECK_BYTES = 'cache_bytes = check("3.4", cache_bytes)'


def write(path: Path, *sources: str) -> Path:
    cells = [new_markdown_cell("# Mine"), *(new_code_cell(source) for source in sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.slow
def test_each_exercise_has_its_state(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.ipynb", IMPORT, WRONG, CHECK_MASK, STUB, CHECK_BYTES)
    before = path.read_bytes()
    mask, size = states(path)
    assert (mask.exercise, mask.status) == ("3.2", "wrong") and mask.message
    assert (size.exercise, size.status, size.points) == ("3.4", "not tried", 0)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["mine.ipynb"]


@pytest.mark.slow
def test_a_right_one_is_right_and_the_exit_code_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "mine.ipynb", IMPORT, RIGHT, CHECK_MASK)
    assert cli.main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["status"] == "right"


@pytest.mark.slow
def test_a_cell_that_fails_is_named_and_the_rest_still_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = f"nothing_of_that_name\n{CHECK_BYTES}"
    path = write(tmp_path / "mine.ipynb", IMPORT, STUB, failing, RIGHT, CHECK_MASK)
    assert cli.main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "! 3.4   not reached  cell 4 failed with NameError" in said
    assert "✓ 3.2" in said and "1 of 2 right" in said


@pytest.mark.parametrize(("text", "told"), [("{", "cannot be read as a notebook"), (None, "no such notebook")])
def test_what_is_no_notebook_is_one_sentence(
    text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.ipynb"
    if text is not None:
        path.write_text(text)
    assert cli.main(["check", str(path)]) == 1
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_a_notebook_without_exercises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="has no check cell"):
        states(write(tmp_path / "mine.ipynb", "1 + 1"))


@pytest.mark.slow
def test_a_kernel_that_dies_is_said(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="the kernel died"):
        states(write(tmp_path / "mine.ipynb", "import os; os._exit(1)", IMPORT, RIGHT, CHECK_MASK))


@pytest.mark.slow
def test_the_learners_own_progress_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "own.json"))
    states(write(tmp_path / "mine.ipynb", IMPORT, RIGHT, CHECK_MASK))
    assert not (tmp_path / "own.json").exists()


def test_watching_tells_each_saving_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.ipynb", "1")
    waits = iter([lambda: None, lambda: os.utime(path, (1, 1)), lambda: path.unlink(), lambda: write(path, "2")])
    monkeypatch.setattr(try_notebook.time, "sleep", lambda seconds: next(waits)())
    seen = try_notebook.changes(path)
    assert [next(seen) for _ in range(3)] == [None] * 3, "at the start, when saved, and when it was there again"
    with pytest.raises(RuntimeError):  # the waits are at their end
        next(seen)
