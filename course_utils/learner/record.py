"""What a learner has done, in one small file in the user's data folder. Nothing of it is sent anywhere.

One writer at a time (a lock beside the file), and each change in one step (a new file takes the old one's place): a
kernel that is killed half-way leaves what was there before. ``COURSE_PROGRESS`` names another file, or says "off".
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError

VERSION = 1
LOCK_SECONDS = 5
PARTS = ("exercises", "predictions", "questions", "lessons")
Contents = dict[str, Any]
FIELDS: dict[str, type] = {  # of an entry; what is read of "given" goes through the form of its guess again
    "tries": int,
    "points": int,
    "hints": int,
    **dict.fromkeys(("status", "message", "guess", "shown", "answer", "first", "last"), str),
    **dict.fromkeys(("solution", "late", "right"), bool),
}


def place() -> Path | None:
    """Where progress is kept when a person asks for it: the file that ``COURSE_PROGRESS`` names, or the user's own.

    None where it says "off".

    Raises:
        CourseError: the file would be in a home folder that is not known.
    """
    named = os.environ.get("COURSE_PROGRESS", "")
    if named.casefold() in ("off", "0", "no"):
        return None
    if not named:
        return default_file()
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise CourseError(
            f"COURSE_PROGRESS={named}: that home folder is not known here. Name a file by its full path, or say off."
        ) from None


def file() -> Path | None:
    """Where a lesson that runs writes to; None where it writes nowhere.

    Unless ``COURSE_PROGRESS`` names a file, only a kernel writes, and none under pytest: a lesson that is compared,
    tested or marked is nobody's progress.
    """
    if not os.environ.get("COURSE_PROGRESS") and ("PYTEST_VERSION" in os.environ or not _in_a_kernel()):
        return None
    try:
        return place()
    except CourseError as error:
        _say_once(f"Your progress is not kept: {error}")
        return None


def default_file() -> Path:
    """The file in the user's data folder, as the system has it: ~/.local/share/course_utils/progress.json on Linux.

    Raises:
        CourseError: no home folder is known.
    """
    import platformdirs

    # HOME is not set, and the system does not know this user: platformdirs raises, or (before 4.4) leaves the ~ there.
    with contextlib.suppress(RuntimeError):
        folder = Path(platformdirs.user_data_dir("course_utils", appauthor=False))
        if folder.is_absolute():
            return folder / "progress.json"
    raise CourseError("No home folder is known here. Set HOME, or COURSE_PROGRESS to a file of yours or to off.")


def read(path: Path) -> Contents:
    """What of the file can be understood, empty where there is none. The file stays as it is.

    Raises:
        OSError: the file is there and cannot be read.
    """
    return _understood(path)[0]


def parse(text: str) -> tuple[Contents, list[str]]:
    """What of a record's text can be understood, and the places of the rest, as "predictions 1.1 tries".

    Raises:
        ValueError: it is no record at all.
    """
    try:
        found = json.loads(text)
    except RecursionError:  # brackets in brackets, thousands deep
        raise ValueError("it is no record of progress") from None
    if not isinstance(found, dict):
        raise ValueError("it is no record of progress")
    contents, strange = {"version": VERSION, **found}, []
    for part in PARTS:
        entries = found.get(part, {})
        if not isinstance(entries, dict):
            strange.append(part)
            entries = {}
        contents[part] = {}
        for id, entry in entries.items():
            if not isinstance(entry, dict):
                strange.append(f"{part} {id}")
                continue
            wrong = [name for name, kind in FIELDS.items() if name in entry and not isinstance(entry[name], kind)]
            strange += [f"{part} {id} {name}" for name in wrong]
            contents[part][id] = {name: value for name, value in entry.items() if name not in wrong}
    return contents, strange


def _understood(path: Path) -> tuple[Contents, bool]:
    """What of the file can be understood, and whether that is all of it."""
    try:
        contents, strange = parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return parse("{}")[0], True
    except ValueError:
        return parse("{}")[0], False
    return contents, not strange


def change(path: Path, edit: Callable[[Contents], None]) -> None:
    """Read the file, let ``edit`` change what it holds, and put the new file in the old one's place.

    A file that was damaged is set aside first, as it was; what could be understood of it goes on.

    Raises:
        OSError: it cannot be written there; TimeoutError, which is one, if another program keeps the lock.
    """
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        contents, whole = _understood(path)
        if not whole:
            _set_aside(path)
        edit(contents)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as out:
                json.dump(contents, out, indent=1, ensure_ascii=False, sort_keys=True)
                out.flush()
                os.fsync(out.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise


def _set_aside(path: Path) -> None:
    """Copy a damaged file to a name that no earlier one has. Raises OSError if it cannot be: then nothing is lost."""
    names = itertools.chain(
        [f"{path.name}.unreadable"], (f"{path.name}.unreadable-{number}" for number in itertools.count(2))
    )
    aside = next(there for there in map(path.with_name, names) if not there.exists())
    shutil.copyfile(path, aside)
    _say_once(f"Not all of {path.name}, the record of your progress, can be read. It is set aside as {aside}.")


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
    except OSError:
        return {}


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(text)


def _in_a_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return "ipykernel" in sys.modules and ipython is not None and ipython.get_ipython() is not None
