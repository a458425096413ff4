"""What the watch of a kernel tells those outside, a line of text each: codes and numbers, for others to put into words.

At the level ``rlimits`` without Landlock a kernel could write such lines itself, so nothing else is read out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Attempt(StrEnum):
    """What a kernel tried that the filter of system calls refuses, or only tells (to start a program)."""

    KEYRING = "keyring"
    SYSTEM = "system"
    NAMESPACES = "namespaces"
    PROCESS = "process"
    MEMORY = "memory"
    NETWORK = "network"
    SOCKET = "socket"
    RIGHTS = "rights"
    PROGRAM = "program"
    OTHER = "other"


class Limit(StrEnum):
    """The limits for which the watch ends a kernel."""

    PROCESSES = "processes"
    MEMORY = "memory"


@dataclass(frozen=True)
class KernelEnd:
    """Why the watch ended a kernel: the limit, how much there was (processes, or bytes of memory), how much may be."""

    limit: Limit
    used: int
    allowed: int


_ENDED = re.compile(rf"ended: ({'|'.join(Limit)}) (\d{{1,15}}) (\d{{1,15}})", re.ASCII)


def tell_attempt(attempt: Attempt) -> bytes:
    """The line that tells an attempt."""
    return f"tried: {attempt}\n".encode()


def tell_end(end: KernelEnd) -> bytes:
    """The line that tells an end. `launch_kernel` knows its first word."""
    return f"ended: {end.limit} {end.used} {end.allowed}\n".encode()


def read_report(lines: Iterable[str]) -> tuple[KernelEnd | None, tuple[Attempt, ...]]:
    """Why the kernel was ended, None if by no limit, and what it tried, once of each kind."""
    end, known, attempts = None, {str(one): one for one in Attempt}, []
    for line in lines:
        if line.startswith("tried: "):
            attempts.append(known.get(line.removeprefix("tried: "), Attempt.OTHER))
        elif end is None and (match := _ENDED.fullmatch(line)):
            end = KernelEnd(Limit(match[1]), int(match[2]), int(match[3]))
    return end, tuple(dict.fromkeys(attempts))
