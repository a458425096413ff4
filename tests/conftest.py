"""What all tests share: no hub, no window, one real model, and tiny ones made once."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable
from typing import Any

# Before anything imports huggingface_hub, which reads it once: no test may ever wait for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Nor may one write into the progress of whoever runs it.
os.environ["COURSE_PROGRESS"] = "off"

import matplotlib
import pytest

from tests.skips import pytest_make_collect_report, pytest_runtest_makereport, pytest_terminal_summary  # noqa: F401

# In `make test-fast` three families stand for all: learned positions and fused projections; rotary positions, grouped
# heads; windows, norms behind attention and MLP.
FAST_FAMILIES = {"tiny-gpt2", "tiny-llama", "tiny-gemma3"}
# Some of their tests take minutes each: begun last, one would run on when all others are done.
FIRST = {
    *("test_other_models.py", "test_walk.py", "test_notebooks.py", "test_grading_cohort.py"),
    *("test_grading_executors.py", "test_grading_lessons.py", "test_grading_hostile.py"),
}


@pytest.hookimpl(tryfirst=True)  # before those that are slow are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call a test slow if it tries one more tiny family, and begin with those that take longest."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        given = callspec.params.values() if callspec is not None else ()
        if any(isinstance(value, str) and value.startswith("tiny-") and value not in FAST_FAMILIES for value in given):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what is imported by now, torch, transformers and all tests: it lives to the end,
    and each full collection takes a quarter of a second to go through it.
    """
    gc.collect()
    gc.freeze()


matplotlib.use("Agg")  # not through MPLBACKEND, which the kernels that tests start would inherit


@pytest.fixture(scope="session")
def real_model() -> Any:
    """The model of the lessons, as `load_model()` gives it. Do not change it; `restore_weights` if you must."""
    from course_utils import load_model

    return load_model()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """`tiny("tiny-gpt2", seed=0)`: a tiny random model, made once for each name and seed and shared. Do not change
    it.
    """
    from course_utils import load_model

    @functools.cache
    def make(name: str, seed: int = 0) -> Any:
        return load_model(name, seed=seed)

    return make
