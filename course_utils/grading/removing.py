"""Remove a folder in which what was marked may have put anything."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from uuid import uuid4

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_NOFOLLOW", 0) if os.name == "posix" else 0


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that can be done; what is no folder is left alone.

    What is in it may be shut, deeper than a path may be long, or become a link while one looks. So everything is held
    by a descriptor, no link is followed, and a folder is not entered but emptied into ``folder``, a level at a time.
    """
    try:
        top = os.open(folder, _FOLDER)
    except OSError:
        return
    try:
        os.fchmod(top, 0o700)
        while sum(_take_away(name, top) for name in os.listdir(top)):
            pass
    finally:
        os.close(top)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _take_away(name: str, top: int) -> bool:
    """Remove what is called that, or move what is in it up into ``top``; whether anything was done."""
    for take in (os.unlink, os.rmdir):
        with contextlib.suppress(OSError):
            take(name, dir_fd=top)
            return True
    done = False
    with contextlib.suppress(OSError):
        _open_up(name, top)
        inside = os.open(name, _FOLDER, dir_fd=top)
        try:
            for one in os.listdir(inside):
                with contextlib.suppress(OSError):
                    _open_up(one, inside)  # a folder that is shut cannot be moved
                with contextlib.suppress(OSError):
                    os.rename(one, uuid4().hex, src_dir_fd=inside, dst_dir_fd=top)
                    done = True
        finally:
            os.close(inside)
    return done


def _open_up(name: str, at: int) -> None:
    """Give oneself all rights to a folder. Raises OSError where there is none, as of a link."""
    if not sys.platform.startswith("linux"):
        os.chmod(name, 0o700, dir_fd=at, follow_symlinks=False)
        return
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)  # Linux has no chmod that follows no link
    finally:
        os.close(place)
