"""Each lesson on other models than its own: every cell runs, as committed and, on one of them, with every stub solved.

The lessons were written for SmolLM2-135M-Instruct. What stands here is that nothing in them fails on a model of another
family, another number of layers and heads, and another vocabulary; what they say of SmolLM2 is held by the other tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nbformat import NotebookNode
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


def failed_cells(notebook: NotebookNode, path: Path, model: str) -> list[str]:
    """What went wrong in the cells of an executed lesson that may not fail."""
    environment = {"COURSE_MODEL": model, "OMP_NUM_THREADS": "1"}
    done = execute.execute(notebook, path.parent, environment=environment, timeout=CELL_TIMEOUT, go_on=True)
    return [
        f"cell {index}: {output.ename}: {ANSI.sub('', output.evalue)}"
        for index, cell in enumerate(done.cells)
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
@pytest.mark.parametrize("model", ["tiny-gpt2", "tiny-llama", "tiny-gemma3", "twelve layers"])
@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_every_cell_of_a_lesson_runs(path: Path, model: str, twelve_layers: Path) -> None:
    notebook = up_to_home(files.read(path), path, model)
    assert failed_cells(notebook, path, str(twelve_layers) if model == "twelve layers" else model) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_every_cell_of_a_solved_lesson_runs(path: Path) -> None:
    """What is solved is also held against the check on each draw; a check's verdict is not asked for here."""
    assert failed_cells(solve.solve(files.read(path)), path, "tiny-gpt2") == []
