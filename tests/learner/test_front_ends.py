"""One exercise and one question in words, in kernels that are spoken to as JupyterLab, VS Code and Colab speak to them.

What each of them does to a kernel, as their own sources have it: JupyterLab names the notebook's file in the kernel's
environment. VS Code runs lines of its own first, gives each cell an address as metadata and names the file among the
notebook's names. Colab names no file at all, compiles a cell under a name that is no file's, has a package
`google.colab`, and is asked for the notebook by a message which the page answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_utils.learner import record
from course_utils.learner.standing import standing
from tests.learner.kernels import CellFailed, Kernel, surroundings

ROOT = Path(__file__).parents[2]
WRONG = """\
def residual_stream(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        depths = [layer.output for layer in parts.layers]
        stream = torch.cat(depths).save()
    return stream
"""
RIGHT = WRONG.replace("[layer", "[parts.layers[0].input] + [layer")
STOPPED = WRONG.replace("depths = [", "depths = [nothing] + [")

# What VS Code runs before the first cell, without showing it.
VS_CODE_BEGINS = (
    "%config Completer.use_jedi = False",
    "import matplotlib\n%matplotlib inline\n_VSCode_defaultMatplotlib_Params = dict(matplotlib.rcParams)\n",
    'import os as _VSCODE_os\nimport sys as _VSCODE_sys\n%cd "{folder}"\n'
    "if _VSCODE_os.getcwd() not in _VSCODE_sys.path:\n    _VSCODE_sys.path.insert(0, _VSCODE_os.getcwd())\n\n"
    "del _VSCODE_sys\ndel _VSCODE_os",
    "if '__vsc_ipynb_file__' not in globals():\n    __vsc_ipynb_file__ = {file!r}",
)
# Stands for Colab's package: a request goes out on the kernel's public channel, the answer comes as typed input.
COLAB_MESSAGE = """
import time

import zmq
from ipykernel import kernelapp


def blocking_request(request_type, request="", timeout_sec=5, parent=None):
    app = kernelapp.IPKernelApp.instance()
    metadata = {"colab_msg_id": "1", "colab_request_type": request_type}
    app.session.send(app.iopub_socket, app.session.msg("colab_request", content={"request": request}, metadata=metadata,
                                                       parent=app.kernel.get_parent("shell")))
    deadline = time.time() + timeout_sec
    while time.time() < deadline:
        reply = app.session.recv(app.kernel.stdin_socket, zmq.NOBLOCK)[1]
        value = reply and reply["content"].get("value")
        if value and value.get("type") == "colab_reply" and value.get("colab_msg_id") == "1":
            return value.get("data")
        time.sleep(0.025)
"""
COLAB_BEGINS = """
import google.colab
from IPython.core.compilerop import CachingCompiler
get_ipython().compile.__class__ = CachingCompiler  # cells are called <ipython-input-3-...>
"""


class JupyterLab(Kernel):
    def __init__(self, folder: Path, notebook: Path, environment: dict[str, str]) -> None:
        super().__init__(environment | {"JPY_SESSION_NAME": str(notebook)}, folder)


class VsCode(Kernel):
    def __init__(self, folder: Path, notebook: Path, environment: dict[str, str]) -> None:
        super().__init__(environment, Path("/"))
        for line in VS_CODE_BEGINS:
            self.client.execute_interactive(
                line.replace("{folder}", str(folder)).replace("{file!r}", repr(str(notebook))),
                silent=True,
                store_history=False,
            )
        self.client.session.metadata = {"cellId": f"vscode-notebook-cell:{notebook}#W0sZmlsZQ%3D%3D"}


class Colab(Kernel):
    def __init__(self, folder: Path, notebook: Path, environment: dict[str, str]) -> None:
        package = folder / "site" / "google" / "colab"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("from google.colab import _message\n")
        (package / "_message.py").write_text(COLAB_MESSAGE)
        self.page = notebook  # what the page shows; the kernel's machine has no such file
        super().__init__(environment | {"PYTHONPATH": str(folder / "site")}, folder)
        self.run(COLAB_BEGINS)

    def heard(self, message: dict[str, Any]) -> None:
        if message["msg_type"] == "colab_request":
            assert message["metadata"]["colab_request_type"] == "get_ipynb"
            told = {"ipynb": json.loads(self.page.read_text(encoding="utf-8"))}
            value = {"type": "colab_reply", "colab_msg_id": message["metadata"]["colab_msg_id"], "data": told}
            self.client.stdin_channel.send(self.client.session.msg("input_reply", {"value": value}))


@pytest.mark.slow
@pytest.mark.parametrize("front_end", [JupyterLab, VsCode, Colab])
def test_an_exercise_and_a_question_in_words(front_end: type[Any], tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "page"
    folder.mkdir()
    elsewhere.mkdir()
    path = (elsewhere if front_end is Colab else folder) / "02_residual_stream.ipynb"
    lesson = nbformat.read(ROOT / "notebooks" / "02_residual_stream.ipynb", as_version=4)
    nbformat.write(lesson, path)
    code = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    setup, imports = code[:2]
    assert setup.startswith("# @title")
    (guess,) = (source for source in code if source.startswith('predict("2.1"'))
    check = 'residual_stream = check("2.1", residual_stream)'
    assert check in code

    environment = surroundings(tmp_path / "home", COURSE_MODEL="tiny-llama")
    with front_end(folder, path, environment) as kernel:
        kernel.run(setup)
        kernel.run(imports)
        assert "kept: 700" in kernel.run(guess.replace("...", "700"))
        kernel.run(WRONG)
        assert kernel.run(check).startswith("✗ 2.1")
        kernel.run(STOPPED)
        assert "NameError on line 4" in kernel.run(check)  # counted in the cell, whatever the cell is called
        kernel.run(RIGHT)
        assert kernel.run(check).startswith("✓ 2.1")
        assert "Write an answer of your own" in kernel.run('solution("2.aq")')
        (words,) = (cell for cell in lesson.cells if "<!-- answer 2.aq" in cell.source)
        words.source = words.source.replace("*Your answer here.*", "The weights would no longer sum to one.")
        nbformat.write(lesson, path)
        assert "Write an answer of your own" not in kernel.run('solution("2.aq")')
        kept = kernel.run("from course_utils.learner import record; print(record.file())").strip()
    told = standing(record.read(Path(kept))).lessons[1]
    assert (told.right, told.guesses) == (1, 1)
    assert Path(kept).is_relative_to(tmp_path / "home")


@pytest.mark.slow
def test_a_cell_that_fails_fails_the_test(tmp_path: Path) -> None:
    with Kernel(surroundings(tmp_path / "home")) as kernel, pytest.raises(CellFailed, match="ZeroDivisionError"):
        kernel.run("1 / 0")
