"""What a cell shows that was stopped or failed inside a trace: the learner's lines and what to do, in a real kernel."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_utils.learner import tracebacks
from tests.learner.kernels import CellFailed, Kernel, surroundings

BEGIN = """
import time
import torch
from course_utils import load_model
from course_utils.learner import predict
from course_utils.tokens import greedy
model = load_model()
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    home = tmp_path_factory.mktemp("home")
    with Kernel(surroundings(home, COURSE_MODEL="tiny-llama"), home) as kernel:
        kernel.run(BEGIN)
        yield kernel


def shown(kernel: Kernel, source: str) -> str:
    with pytest.raises(CellFailed) as failed:
        kernel.run(source)
    return str(failed.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "own_line", "told"),
    [
        pytest.param(
            "with model.trace('The old man'):\n    kept = layer.output.save()",
            "----> 2     kept = layer.output.save()",
            "There is no 'layer' yet, or no more: after a restart nothing is defined. Run the cells above",
            id="restarted, a name in a trace",
        ),
        pytest.param("print(parts)", "----> 1 print(parts)", "There is no 'parts' yet", id="restarted"),
        pytest.param(
            "with model.trace('The old man'):\n    late = model.lm_head.output.save()\n"
            "    early = model.model.layers[1].output.save()",
            "----> 3     early = model.model.layers[1].output.save()",
            "read the earlier one first",
            id="out of order",
        ),
        pytest.param(
            "def own(model):\n    with model.trace('The old man'):\n        return model.output\n\nown(model)",
            "----> 5 own(model)",
            "A trace's body cannot return",
            id="return in a trace",
        ),
        pytest.param(
            "model.lm_head.output", "----> 1 model.lm_head.output", "read them inside `with model.trace", id="no trace"
        ),
        pytest.param(
            "with model.trace('The old man'):\n    model.lm_head.output @ torch.ones(3)",
            "----> 2     model.lm_head.output @ torch.ones(3)",
            "RuntimeError: ",
            id="an error of torch in a trace",
        ),
    ],
)
def test_a_failure_is_shown_without_the_way_through_nnsight(
    source: str, own_line: str, told: str, kernel: Kernel
) -> None:
    text = shown(kernel, source)
    assert own_line in text and told in text and "%tb shows the whole traceback" in text
    assert "nnsight" not in text and "site-packages" not in text and len(text) < 1500
    assert kernel.run("print(len(greedy(model, 'The old man', 2)))") == "2\n", "and the model is as it was"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="an interrupt is an event there, which a sleep does not hear")
def test_a_cell_that_is_interrupted_says_so_and_the_next_one_runs(kernel: Kernel) -> None:
    stop = threading.Timer(1.5, kernel.manager.interrupt_kernel)
    stop.start()
    text = shown(kernel, "with model.trace('The old man'):\n    model.lm_head.output.save()\n    time.sleep(60)")
    stop.cancel()
    assert "KeyboardInterrupt" in text and "time.sleep(60)" in text
    assert "The cell was stopped. The model is as it was: run the cell again, or go on." in text
    assert "nnsight" not in text
    assert kernel.run("print(len(greedy(model, 'The old man', 2)))") == "2\n"


@pytest.mark.slow
def test_all_other_failures_are_shown_as_ever(kernel: Kernel, tmp_path: Path) -> None:
    """With the control: the same cell in a kernel that has not the course."""
    source = "def half(x):\n    return 1 / x\n\nhalf(0)"
    with Kernel(surroundings(tmp_path / "home")) as plain:
        expected = shown(plain, source)
    number = r"In\[\d+\]"
    assert "Cell In[1], line 4" in expected and "ZeroDivisionError: division by zero" in expected
    assert re.sub(number, "In", shown(kernel, source)) == re.sub(number, "In", expected)


def test_nothing_happens_where_no_notebook_is_or_somebody_shows_tracebacks_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shell:
        custom_exceptions = (ValueError,)

    class IPython:
        @staticmethod
        def get_ipython() -> Shell | None:
            return shell

    shell: Shell | None = Shell()
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    tracebacks.install()  # it would fail: there is no set_custom_exc
    shell = None
    tracebacks.install()
    monkeypatch.delitem(sys.modules, "IPython")
    tracebacks.install()
