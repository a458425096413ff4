"""The lessons on other models than their own: every cell runs, as committed or, on one of them, with every stub solved.

The lessons were written for SmolLM2-135M-Instruct. What stands here is that nothing in them fails on a model of another
family, another number of layers and heads, and another vocabulary; what they say of SmolLM2 is held by the other tests.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from transformers import AutoModelForCausalLM

from course_utils.model.tiny import draw_weights, tiny_config, tiny_tokenizer
from course_utils.notebooks import execute, files, solve
from course_utils.notebooks.normalise import ANSI

COMMITTED = files.lessons(Path(__file__).parents[2])
CELL_TIMEOUT = 120  # seconds; so small a model that runs for longer hangs
# Lesson 7 goes on with SmolLM2 where no path can be had by hand; from there on it is the lesson that others hold.
HOME_AGAIN = {("07_circuits", "tiny-gemma3"): "at, parts = places(model), anatomy(model)"}


@pytest.fixture(scope="module")
def twelve_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 of twelve layers, in a folder, as a model that a learner has saved."""
    folder = tmp_path_factory.mktemp("models") / "gpt2-of-twelve-layers"
    config = tiny_config("tiny-gpt2")
    config.n_layer = 12
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    draw_weights(model, seed=0)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def execute_all(model: str, *, solved: bool = False, pictures: bool = True) -> NotebookNode:
    """All lessons one after the other, in one kernel.

    One kernel, since starting it and importing torch take as long as a lesson on a tiny model; `%reset` in between, so
    that no lesson leans on another's names. Without ``pictures`` they are made but not drawn, which is two fifths of
    the work on a tiny model.
    """
    together = new_notebook()
    for path in COMMITTED:
        notebook = solve.solve(files.read(path)) if solved else files.read(path)
        cells = up_to_home(notebook, path, model).cells
        for index, cell in enumerate(cells):
            cell["metadata"]["at"] = f"{path.stem}, cell {index}"
        together.cells += [new_code_cell("%reset -f"), *cells]
    environment = {"COURSE_MODEL": model, "OMP_NUM_THREADS": "1"} | ({} if pictures else {"MPLBACKEND": "agg"})
    return execute.execute(together, COMMITTED[0].parent, environment=environment, timeout=CELL_TIMEOUT, go_on=True)


def failed_cells(done: NotebookNode) -> list[str]:
    """What went wrong where nothing may."""
    return [
        f"{cell.metadata.get('at')}: {output.ename}: {ANSI.sub('', output.evalue)}"
        for cell in done.cells
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "error"
    ]


def up_to_home(notebook: NotebookNode, path: Path, model: str) -> NotebookNode:
    """The lesson, or its beginning, where it goes on with the lessons' own model (`HOME_AGAIN`)."""
    if mark := HOME_AGAIN.get((path.stem, model)):
        last = next(index for index, cell in enumerate(notebook.cells) if mark in cell.source)
        notebook.cells = notebook.cells[: last + 1]
    return notebook


@pytest.mark.slow
def test_every_cell_of_every_lesson_runs() -> None:
    """On a Gemma, whose parts are not those of a Llama, as the lessons' own model is one."""
    assert failed_cells(execute_all("tiny-gemma3")) == []


@pytest.mark.slow
def test_every_lesson_goes_on_the_same_when_every_stub_is_solved(twelve_layers: Path) -> None:
    """With the checks of what is solved, which may not fail on a model on which the reference cannot run."""
    committed = execute_all(str(twelve_layers), pictures=False)
    solved = execute_all(str(twelve_layers), solved=True, pictures=False)
    assert failed_cells(committed) == failed_cells(solved) == []
    assert list(map(str, solve.parted(committed, solved))) == []


@pytest.mark.slow
def test_a_cell_that_fails_would_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = new_notebook(cells=[new_code_cell("kept = 1"), new_code_cell("1 / 0"), new_code_cell("kept")])
    for name in ("01_first", "02_second"):
        nbformat.write(broken, tmp_path / f"{name}.ipynb")
        broken.cells = broken.cells[1:]
    monkeypatch.setattr("tests.notebooks.test_other_models.COMMITTED", sorted(tmp_path.iterdir()))
    assert failed_cells(execute_all("tiny-gpt2")) == [
        "01_first, cell 1: ZeroDivisionError: division by zero",
        "02_second, cell 0: ZeroDivisionError: division by zero",
        "02_second, cell 1: NameError: name 'kept' is not defined",
    ]
