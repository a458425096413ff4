"""Sittings for the tests: a real kernel in which a learner runs cells, with a clock that can be set to another day."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Self

from jupyter_client.manager import KernelManager

from course_utils.model.weights import cache_folder
from course_utils.notebooks.normalise import ANSI

SET_CLOCK = """
def _set_clock(when):
    import datetime
    from course_utils.learner import record
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromisoformat(when)
    record.datetime = Clock
_set_clock({when!r})
"""


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a learner whose home is new; only the model is there already."""
    here = {name: value for name, value in os.environ.items() if name not in ("COURSE_PROGRESS", "PYTEST_VERSION")}
    home.mkdir(exist_ok=True)
    data = {"XDG_DATA_HOME": str(home / "data"), "APPDATA": str(home), "LOCALAPPDATA": str(home)}
    return here | data | {"HOME": str(home), "COURSE_CACHE": str(cache_folder()), "OMP_NUM_THREADS": "1"} | more


class CellFailed(AssertionError):
    """A cell raised; the text is what a learner would see of it."""


class Kernel:
    """A kernel in which cells are run, as any front end runs them."""

    def __init__(self, environment: dict[str, str], folder: Path | None = None) -> None:
        self.manager = KernelManager()
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=environment, cwd=None if folder is None else str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str) -> str:
        """What the cell prints. Raises CellFailed with what is shown of an exception, if it raises one."""
        said: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])
            self.heard(message)

        reply = self.client.execute_interactive(source, output_hook=listen, timeout=300)["content"]
        if reply["status"] != "ok":
            raise CellFailed(ANSI.sub("", "\n".join(reply["traceback"])))
        return "".join(said)

    def heard(self, message: dict[str, Any]) -> None:
        """For a front end that answers what its kernel asks."""

    def restart(self) -> None:
        """As the button does it: another process, in which nothing is defined."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=120)

    def set_clock(self, when: str) -> None:
        """From now on it is ``when``, as "2026-03-01T10:00:00+01:00", in what this kernel keeps of the learner."""
        self.run(SET_CLOCK.format(when=when))
