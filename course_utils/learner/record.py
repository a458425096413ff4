"""What a learner has done, in one small file in the user's data folder. Nothing of it is sent anywhere.

One writer at a time (a lock beside the file), and each change in one step (a new file takes the old one's place): a
kernel that is killed half-way leaves what was there before. ``COURSE_PROGRESS`` names another file, or says "off".
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

VERSION = 1
LOCK_SECONDS = 5
PARTS = ("exercises", "predictions", "questions", "lessons")
Contents = dict[str, Any]


def place() -> Path | None:
    """Where progress is kept when a person asks for it: the file that ``COURSE_PROGRESS`` names, or the user's own.

    None where it says "off".
    """
    named = os.environ.get("COURSE_PROGRESS", "")
    if named.casefold() in ("off", "0", "no"):
        return None
    return Path(named).expanduser() if named else default_file()


def file() -> Path | None:
    """Where a lesson that runs writes to; None where it writes nowhere.

    Unless ``COURSE_PROGRESS`` names a file, only a kernel writes, and none under pytest: a lesson that is compared,
    tested or marked is nobody's progress.
    """
    if not os.environ.get("COURSE_PROGRESS") and ("PYTEST_VERSION" in os.environ or not _in_a_kernel()):
        return None
    return place()


def default_file() -> Path:
    """The file in the user's data folder, as the system has it: ~/.local/share/course_utils/progress.json on Linux."""
    import platformdirs

    return Path(platformdirs.user_data_dir("course_utils", appauthor=False)) / "progress.json"


def read(path: Path) -> Contents:
    """What the file holds, empty where there is none. One that cannot be understood is set aside, never overwritten.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(found.get(part, {}), dict) for part in PARTS):
            raise ValueError("not a record of progress")
    except FileNotFoundError:
        found = {}
    except ValueError:
        with contextlib.suppress(OSError):
            os.replace(path, path.with_name(f"{path.name}.unreadable"))
        found = {}
    return {"version": VERSION, **{part: {} for part in PARTS}, **found}


def change(path: Path, edit: Callable[[Contents], None]) -> None:
    """Read the file, let ``edit`` change what it holds, and put the new file in the old one's place.

    Raises:
        OSError: it cannot be written there; TimeoutError, which is one, if another program keeps the lock.
    """
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        contents = read(path)
        edit(contents)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(contents, out, indent=1, ensure_ascii=False, sort_keys=True)
                out.flush()
                os.fsync(out.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise


def note(part: str, id: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the entry ``id`` of ``part`` in the progress file, if one is kept. Never raises: a lesson goes on."""
    path = file()
    if path is None:
        return

    def edit_entry(contents: Contents) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        entry = contents[part].setdefault(id, {})
        entry.setdefault("first", now)
        entry["last"] = now
        edit(entry)

    try:
        change(path, edit_entry)
    except OSError as error:
        _say_once(f"Your progress is not kept: {path} cannot be written ({error}). Everything else works.")


def entry(part: str, id: str) -> dict[str, Any]:
    """The entry ``id`` of ``part``; empty where there is none, or where no progress is kept or can be read."""
    path = file()
    if path is None:
        return {}
    try:
        return dict(read(path)[part].get(id, {}))
    except (OSError, TypeError, ValueError):
        return {}


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(text)


def _in_a_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return "ipykernel" in sys.modules and ipython is not None and ipython.get_ipython() is not None
