"""What all tests share: no hub, no window, one real model, and tiny ones made once."""

from __future__ import annotations

import functools
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
