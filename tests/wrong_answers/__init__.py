"""Wrong answers that learners give, one module for each lesson, written as a learner would write them.

Each is held against its exercise's check by tests/exercises/test_exercises.py: it must be called wrong, and its
mistake must be named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wrong:
    """An answer to ``exercise`` that is wrong. ``mistake`` is the name that the check must give it; for a mistake that
    is told by the form of the value or by what was raised, ``says`` is what the message must contain instead.
    """

    exercise: str
    answer: Callable[..., Any]
    mistake: str | None = None
    says: str = ""
