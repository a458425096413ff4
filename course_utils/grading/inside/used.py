"""Which of the course's functions an answer called, seen while it runs.

The copy of the package in the sandbox has a call of :func:`note` at the beginning of each function that a lesson
teaches (see ``stripped_package``). A source does not show everything: ``getattr`` and ``importlib`` reach a function
whose name is nowhere. What is seen here is for a flag and never for points, since the learner's code could change it.
"""

from __future__ import annotations

import sys

MOST = 100
_BETWEEN = {"torch.utils._contextlib", "contextlib", "functools"}  # where decorators call what they decorate
_called: set[str] = set()


def note(function: str) -> None:
    """Remember a function, as "name of module", that is called by a cell of the notebook."""
    caller = sys._getframe(2)
    while caller.f_globals.get("__name__") in _BETWEEN and caller.f_back is not None:
        caller = caller.f_back
    if caller.f_globals.get("__name__") == "__main__" and len(_called) < MOST:
        _called.add(function)


def forget() -> None:
    """Begin anew, before an answer is asked."""
    _called.clear()


def called() -> list[str]:
    """What was called since."""
    return sorted(_called)
