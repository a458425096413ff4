"""What a cell shows that was stopped or failed inside a trace: the learner's lines and what to do, in a real kernel."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course_utils.learner import tracebacks
from course_utils.notebooks.normalise import ANSI
from tests.learner.kernels import CellFailed, Kernel, surroundings

BEGIN = """
import time
import torch
from course_utils import load_model
from course_utils.learner import predict
from course_utils.tokens import greedy
model = load_model()
"""

HELPER = """def compute(x):
    return x + missing


def look(model):
    with model.trace("The old man"):
        seen = missing
"""


class WithErrors(Kernel):
    """It keeps what is shown of exceptions, also where it is a magic that shows them."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.errors: list[str] = []
        super().__init__(environment, folder)

    def heard(self, message: dict[str, Any]) -> None:
        if message["msg_type"] == "error":
            self.errors.append(ANSI.sub("", "\n".join(message["content"]["traceback"])))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithErrors]:
    """In a folder that holds a module of the learner's own."""
    home = tmp_path_factory.mktemp("home")
    (home / "helper.py").write_text(HELPER, encoding="utf-8")
    with WithErrors(surroundings(home, COURSE_MODEL="tiny-llama"), home) as kernel:
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
def test_tb_shows_the_whole_traceback_of_a_failure_and_of_what_it_came_out_of(kernel: WithErrors) -> None:
    failing = "    with model.trace('The old man'):\n        model.lm_head.output @ torch.ones(3)"
    for source in (
        "with model.trace('The old man'):\n    model.lm_head.output @ torch.ones(3)",
        f"try:\n{failing}\nexcept Exception as error:\n    raise ValueError('mine') from error",
        f"try:\n    1 / 0\nexcept Exception:\n{failing}",
    ):
        shown(kernel, source)
        kernel.errors.clear()
        kernel.run("%tb")
        (whole,) = kernel.errors
        assert "in InterleavingTracer.__exit__" in whole and whole.count("nnsight") > 1
        assert kernel.run("import sys; print(getattr(sys, 'last_exc', sys.last_value) is sys.last_value)") == "True\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raised", "between"),
    [
        ("raise ValueError('mine') from error", "The above exception was the direct cause of the following exception"),
        ("raise ValueError('mine')", "During handling of the above exception, another exception occurred"),
        ("{}[5]", "During handling of the above exception, another exception occurred"),
    ],
)
def test_what_comes_out_of_a_failure_in_a_trace_is_shown_without_the_way_through_nnsight_too(
    raised: str, between: str, kernel: Kernel
) -> None:
    text = shown(
        kernel,
        "try:\n    with model.trace('The old man'):\n        model.lm_head.output @ torch.ones(3)\n"
        f"except Exception as error:\n    {raised}",
    )
    assert "RuntimeError: " in text and between in text and f"----> 5     {raised}" in text
    assert "----> 3         model.lm_head.output @ torch.ones(3)" in text
    assert "(%tb shows the whole traceback.)" in text
    assert "nnsight" not in text and "site-packages" not in text and "course_utils" not in text


@pytest.mark.slow
def test_a_failure_in_a_trace_that_is_kept_silent_is_not_told_of(kernel: Kernel) -> None:
    """As plain IPython has it: `from None` hides what came before."""
    text = shown(
        kernel,
        "try:\n    with model.trace('The old man'):\n        model.lm_head.output @ torch.ones(3)\n"
        "except Exception as error:\n    raise ValueError('mine') from None",
    )
    assert "ValueError: mine" in text and "RuntimeError" not in text and "%tb" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("import helper\nhelper.compute(1)", "----> 2     return x + missing"),
        ("from textwrap import indent\nindent('a', '', lambda line: gone)", None),
        ("import helper\nwith model.trace('The old man'):\n    helper.compute(1)", "----> 2     return x + missing"),
        ("import helper\nhelper.look(model)", "----> 7         seen = missing"),
    ],
)
def test_of_a_mistake_in_a_module_the_place_is_shown_and_no_restart_is_supposed(
    source: str, place: str | None, kernel: Kernel
) -> None:
    """With the control: a function in a cell that a library calls lacks a name of the notebook."""
    text = shown(kernel, source)
    assert ("after a restart nothing is defined" in text) == (place is None)
    assert place is None or ("helper.py" in text and place in text)
    assert "nnsight" not in text and "site-packages" not in text and "textwrap.py" not in text


@pytest.mark.slow
def test_of_a_mistake_in_a_library_the_place_is_shown(kernel: Kernel) -> None:
    text = shown(
        kernel,
        "import textwrap\nkept = textwrap.TextWrapper\ndel textwrap.TextWrapper\n"
        "try:\n    textwrap.wrap('a')\nfinally:\n    textwrap.TextWrapper = kept",
    )
    assert "textwrap.py" in text and "restart" not in text and "%tb" not in text


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
