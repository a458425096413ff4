"""Which files a kernel may open where there are no namespaces to hide the others: Landlock, of Linux 5.13 and later.

A process gives away, for itself and all that it starts, every right to files but those that it names, and can never
have one back. It needs no rights for that and no other program. What it cannot do: hide that a file is there, nor limit
what is open already. See the man page landlock(7), which the numbers below are from.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

from course_utils.grading.inside import linux

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on all processors
_ASK_VERSION, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_MAKE_DEVICES = 1 << 6 | 1 << 11
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15  # the others are of folders alone
# How many rights to files there are, from version to version: to move a file elsewhere came second, to shorten one
# third, to speak to a device fifth.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET, _SCOPED = 0b11, 0b11  # TCP (version 4); abstract sockets of others, signals to others (version 6)
_ALSO_WRITTEN = ("/dev/null", "/dev/zero")
_DEVICES = (*_ALSO_WRITTEN, "/dev/full", "/dev/random", "/dev/urandom")
_ABOUT_THE_MACHINE = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat")


def version() -> int:
    """The version of Landlock that this kernel has; 0 where it has none."""
    if not linux.AVAILABLE:
        return 0
    try:
        return linux.direct(_CREATE, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def shut_files(readable: Iterable[str], listed: Iterable[str], own: Iterable[str]) -> None:
    """Leave this process, for good, only these files: what is below ``readable``, and, to be changed too, below
    ``own``; of what is below ``listed`` only the names. What is not there is passed over.

    TCP, and signals and abstract sockets of processes outside, go too where this kernel can refuse them. Raises OSError
    where there is no Landlock, or where the process may still gain rights by starting a program.
    """
    had = version()
    every = (1 << _RIGHTS.get(had, _RIGHTS[5])) - 1
    wanted = struct.pack("=QQQ", every, _NET if had >= 4 else 0, _SCOPED if had >= 6 else 0)
    size = 24 if had >= 6 else 16 if had >= 4 else 8  # an older kernel refuses what it does not know
    rules = linux.direct(_CREATE, ctypes.create_string_buffer(wanted, 24), size, 0)
    try:
        for places, rights in (
            ((*readable, *_DEVICES, *_ABOUT_THE_MACHINE), _READ),
            (listed, _READ_DIR),
            (_ALSO_WRITTEN, _WRITE_FILE),
            (own, every & ~_MAKE_DEVICES),
        ):
            for place in places:
                with contextlib.suppress(FileNotFoundError):
                    _allow(rules, place, rights & every)
        linux.direct(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, place: str, rights: int) -> None:
    at = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(place):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, at)
        linux.direct(_ADD_RULE, rules, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(at)
