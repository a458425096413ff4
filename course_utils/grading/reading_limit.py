"""How much of a learner's source is read, and for how long: what takes more is left to a person.

Nothing of what is read here has run yet, so no limit of the sandbox holds it. A lesson has some 40,000 characters of
code and is read in a fraction of a second.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nbformat import NotebookNode

CODE_LIMIT = 300_000  # characters in the code cells of one notebook
SECONDS = 6.0  # of processor time, for all that is read of one notebook
_AGAIN = 0.5  # seconds: the exception of a signal can be lost, as in a destructor, and then the next one comes
Read = TypeVar("Read")


class TookTooLong(Exception):
    """Reading a learner's source took more than any honest one does."""


def code_in(notebook: NotebookNode) -> int:
    """The characters in the code cells of a notebook."""
    return sum(len(cell.source) for cell in notebook.cells if cell.cell_type == "code")


class ReadingLimit:
    """Stops reading once all of it together took more than its ``seconds`` of processor time: a busy machine takes
    nothing from it.

    Only a main thread can be stopped, and only where there are timers; a worker is always one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def read(self, what: Callable[..., Read], *arguments: Any, **named: Any) -> Read:
        """What the function returns. Raises :class:`TookTooLong`, now and from then on, where the time is over."""
        if self.seconds <= 0:
            raise TookTooLong
        if not hasattr(signal, "SIGPROF") or threading.current_thread() is not threading.main_thread():
            return what(*arguments, **named)
        before = signal.signal(signal.SIGPROF, _over)
        try:
            try:
                signal.setitimer(signal.ITIMER_PROF, self.seconds, _AGAIN)
                return what(*arguments, **named)
            except TookTooLong:
                self.seconds = 0.0
                raise
            finally:
                self._stop()
        finally:  # once more, since the timer can raise before the line above
            self._stop()
            signal.signal(signal.SIGPROF, before)

    def _stop(self) -> None:
        left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        self.seconds = min(self.seconds, left) if left else self.seconds


def _over(*_: object) -> None:
    raise TookTooLong
