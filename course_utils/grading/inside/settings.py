"""What the one outside asks of the fork server and of its kernels: a file, written before the fork server starts."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from course_utils.grading.inside.reports import Attempt


class FilterUse(StrEnum):
    """How system calls are filtered: so that the watch is asked and each attempt known, without asking, not at all."""

    WATCHED = "watched"
    PLAIN = "plain"
    NONE = ""


@dataclass(frozen=True)
class Filter:
    """A filter of system calls, compiled, for the one who installs it inside.

    Attributes:
        watched: the program that asks the watch about each call that it would refuse, so that the attempt is known.
        plain: the program that refuses by itself, for systems where none may be asked.
        refused: by number of the call, what it would have reached.
        starts: numbers of the calls that start a process: allowed, and told. ``clone`` is one of them; with a flag of
            ``new_namespaces`` it is refused.
        signals: numbers of the calls that send a signal: for the watch to decide, as is ``socket`` of AF_UNIX.
    """

    watched: str = ""
    plain: str = ""
    refused: dict[int, Attempt] = field(default_factory=dict)
    starts: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()
    clone: int = -1
    socket: int = -1
    new_namespaces: int = 0

    def program(self, use: FilterUse) -> bytes:
        """The program for the Linux kernel."""
        return b64decode(self.watched if use is FilterUse.WATCHED else self.plain)


@dataclass(frozen=True)
class Files:
    """The files that Landlock leaves a kernel: what is below ``readable``; of what is below ``listed`` the names."""

    readable: list[str]
    listed: list[str]


@dataclass(frozen=True)
class Protections:
    """What shuts a kernel in: namespaces of its own inside the sandbox's, the filter of system calls, Landlock."""

    nested: bool = False
    filter: FilterUse = FilterUse.NONE
    landlock: bool = False

    def to_json(self) -> str:
        """As the fork server answers it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Protections:
        """What :meth:`to_json` wrote."""
        return cls._of(json.loads(text))

    @classmethod
    def _of(cls, stored: dict[str, Any]) -> Protections:
        return cls(**{**stored, "filter": FilterUse(stored["filter"])})


@dataclass(frozen=True)
class Settings:
    """What a fork server loads and how it shuts its kernels in. Sizes in bytes, times in seconds.

    Attributes:
        path: goes in front of the import path.
        modules: what is imported for all kernels.
        model: what is loaded for all, None if nothing.
        socket: where it listens.
        sockets: the folder of the kernels' folders, in which their sockets are.
        namespaces: whether each kernel should have its own.
        filter: None where none could be compiled.
        may_open: None where Landlock is not wanted.
        below_tmp: the folders below /tmp that must be seen in a kernel's own /tmp too.
        cpu: the processor's time that a kernel may use.
        protections: what of all this works here; the fork server tries it.
    """

    path: list[str]
    modules: list[str]
    model: str | None
    socket: str
    sockets: str
    namespaces: bool
    filter: Filter | None
    may_open: Files | None
    below_tmp: list[str]
    cpu: int
    memory: int
    disk: int
    processes: int
    files: int
    protections: Protections = field(default_factory=Protections)

    def to_json(self) -> str:
        """As a text, for a file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """What :meth:`to_json` wrote."""
        stored = json.loads(text)
        filter, may_open = stored["filter"], stored["may_open"]
        if filter is not None:
            refused = {int(number): Attempt(what) for number, what in filter["refused"].items()}
            starts, signals = tuple(filter["starts"]), tuple(filter["signals"])
            stored["filter"] = Filter(**{**filter, "refused": refused, "starts": starts, "signals": signals})
        if may_open is not None:
            stored["may_open"] = Files(**may_open)
        return cls(**{**stored, "protections": Protections._of(stored["protections"])})
