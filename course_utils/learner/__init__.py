"""What a learner has besides the exercises: guesses that are answered, questions that explain, and a record of it all.

``from course_utils.learner import doctor, own_guess, predict, progress, quiz, reveal``

Each is imported when it is asked for: the doctor has to work where torch does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_utils.learner.guesses import own_guess, predict, reveal
    from course_utils.learner.own_progress import progress
    from course_utils.learner.questions import quiz
    from course_utils.learner.set_up import doctor

__all__ = ["doctor", "own_guess", "predict", "progress", "quiz", "reveal"]

_HOMES = {
    "doctor": "set_up",
    "own_guess": "guesses",
    "predict": "guesses",
    "progress": "own_progress",
    "quiz": "questions",
    "reveal": "guesses",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"course_utils.learner.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
