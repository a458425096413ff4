"""The files of a folder or a zip, each read as a notebook where it can be, and with a reason where it cannot.

Nothing is unpacked, followed, imported or executed, and what is kept of a file is its cells: a class, or a zip that is
made to burst, never takes more memory than the one file that is being read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec
from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.grading.read_notebook import SIZE_LIMIT, parse
from course_utils.grading.readable import readable

ZIP_ENTRIES = 5_000
NESTED_ZIP_LIMIT = 100_000_000  # bytes of a zip in a zip
SPARE, RATIO = 50_000_000, 50  # a zip may unpack to so many bytes, and to so many times its own size
DEPTH = 50  # folders in one another
LABEL = "marking.json"  # in the folder of marks: see `store`
LABEL_LIMIT = 100_000  # bytes of it: two paths and a name
_IGNORED_FOLDERS = {"__MACOSX", "node_modules", "__pycache__", "venv"}
_IGNORED = {"thumbs.db", "desktop.ini", "icon\r"}
_READ = (".ipynb", ".json", ".txt")  # Colab, browsers and mail programs rename notebooks
# Of these Python unpacks no more than it is asked for; of bzip2 and LZMA whatever comes of so many packed bytes.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PACKED = (".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".gz", ".tar.xz", ".tar.bz2")
_OTHER_METHOD = (
    "it lies in a zip that was not packed in the usual way, and is not opened; "
    "zip it anew with the usual method (Deflate), or hand in the notebook (.ipynb) itself"
)


class Label(msgspec.Struct):
    """Whose marks are in a folder."""

    submissions: str
    lesson: str
    source: str


@dataclass(frozen=True)
class File:
    """A file that was found, or a folder that was not read.

    Attributes:
        path: where it lies, fit to be shown.
        digest: sha256 of its bytes; of its name and size where it was not read.
        reason: why it is no notebook that could be marked, "" if it is one.
        other: it does not call itself a notebook: of interest only where there is none.
        folder: it is a folder.
    """

    path: PurePosixPath
    digest: str
    notebook: NotebookNode | None = None
    reason: str = ""
    other: bool = False
    folder: bool = False


def read_folder(folder: Path) -> list[File]:
    """The files in a folder or a zip, or the one file.

    Raises:
        CourseError: there is no such folder, or it cannot be read.
    """
    if not folder.exists():
        raise CourseError(f"{folder}: no such folder")
    try:
        if folder.is_file():
            found = list(_on_disk(folder, _shown((folder.name,)), PurePosixPath()))
            if len(found) == 1 and not found[0].path.parts:
                raise CourseError(f"{folder}: {found[0].reason}")
            return found
        return list(_walk(folder))
    except OSError as error:
        raise CourseError(f"{folder}: cannot be read ({error.strerror})") from None


def _walk(folder: Path) -> Iterator[File]:
    """The files below a folder. What is wrong with one of the folders in it is told of that one: it is one student's,
    and no reason to mark nobody.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    # No recursion, which would end all of it where a student's folders lie too deep for Python.
    waiting = [(entry, 1) for entry in _entries(folder)]
    while waiting:
        entry, depth = waiting.pop()
        path = Path(entry.path)
        if not _is_folder(entry):
            if not _is_ignored((entry.name,)):
                yield from _on_disk(path, _inside(path, folder))
        elif _is_ignored((entry.name, "")):
            continue
        elif depth > DEPTH:
            told = f"it is a folder in {DEPTH} others, and is not opened; hand in the notebook (.ipynb) itself"
            yield replace(_unread(_inside(path, folder), 0, told), folder=True)
        else:
            try:
                waiting += [(below, depth + 1) for below in _entries(path)]
            except OSError as error:
                told = f"it is a folder that cannot be opened ({error.strerror})"
                yield replace(_unread(_inside(path, folder), 0, told), folder=True)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, the last first; nothing if it holds the marks of an earlier run."""
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: readable(entry.name), reverse=True)
    return [] if any(entry.name == LABEL and _is_label(entry) for entry in entries) else entries


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # which is told when it is read as a file
        return False


def _is_label(entry: os.DirEntry[str]) -> bool:
    """Whether marking wrote it: a student's file of this name hides nobody's work."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return False
        with open(entry.path, "rb") as file:
            data = file.read(LABEL_LIMIT + 1)
        msgspec.json.decode(data, type=Label)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return len(data) <= LABEL_LIMIT


def _inside(path: Path, folder: Path) -> PurePosixPath:
    return _shown(path.relative_to(folder).parts)


def _shown(parts: tuple[str, ...]) -> PurePosixPath:
    return PurePosixPath(*(readable(part).replace("/", "\ufffd") for part in parts))


def _is_ignored(parts: tuple[str, ...]) -> bool:
    """What systems and editors leave about."""
    hidden = any(part.startswith(".") for part in parts)
    return hidden or bool(_IGNORED_FOLDERS & set(parts[:-1])) or parts[-1].lower() in _IGNORED


def _on_disk(path: Path, inside: PurePosixPath, of_zip: PurePosixPath | None = None) -> Iterator[File]:
    """The file, or those in it where it is a zip; these lie in ``of_zip``, unless given in a folder of its name."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            yield _unread(inside, 0, "it is a link or another special file, which is not followed")
        elif path.suffix.lower() == ".zip":
            yield from _zipped(path, status.st_size, inside.with_suffix("") if of_zip is None else of_zip, 0)
        elif inside.suffix.lower() in _READ:
            with path.open("rb") as file:
                yield _read(inside, file.read(SIZE_LIMIT + 1))
        else:
            yield _unread(inside, status.st_size, _what(inside), other=True)
    except OSError as error:
        yield _unread(inside, 0, f"it cannot be read ({error.strerror})")


def _read(inside: PurePosixPath, data: bytes) -> File:
    digest = hashlib.sha256(data).hexdigest()
    named = _is_named(inside)
    try:
        return File(inside, digest, parse(data))
    except ValueError as error:
        return File(inside, digest, None, str(error) if named else _what(inside), other=not named)


def _is_named(inside: PurePosixPath) -> bool:
    """Whether a file calls itself a notebook."""
    return ".ipynb" in inside.name.lower()


def _unread(inside: PurePosixPath, size: int, reason: str, *, other: bool = False) -> File:
    return File(inside, hashlib.sha256(f"{inside} {size} {reason}".encode()).hexdigest(), None, reason, other)


def _what(inside: PurePosixPath) -> str:
    name = inside.name.lower()
    for ending in _PACKED:
        if name.endswith(ending):
            return f"it is packed as {ending}, and only .zip is opened; hand in the notebook (.ipynb) itself"
    kind = f"a file of the kind {inside.suffix}" if inside.suffix else "a file without an ending"
    return f"it is {kind}, not a notebook (.ipynb)"


def _zipped(archive: Path | io.BytesIO, size: int, inside: PurePosixPath, depth: int) -> Iterator[File]:
    """The files in a zip, read one after the other: no path of it is ever written. A zip in a zip is opened, one in
    that is not.
    """
    left = SPARE + RATIO * size  # what the zip says of its sizes may be a lie
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            if len(entries) > ZIP_ENTRIES:
                yield _unread(inside, size, f"the zip has {len(entries)} entries; at most {ZIP_ENTRIES} are read")
                return
            for entry in entries:
                parts = tuple(
                    part for part in PurePosixPath(_name(entry)).parts if part not in ("..", "/", ".") and part.strip()
                )
                if entry.is_dir() or not parts or _is_ignored(parts):
                    continue
                place = inside / _shown(parts)
                suffix = place.suffix.lower()
                if suffix not in (*_READ, ".zip"):
                    yield _unread(place, entry.file_size, _what(place), other=True)
                    continue
                limit = NESTED_ZIP_LIMIT if suffix == ".zip" else SIZE_LIMIT
                if suffix == ".zip" and depth > 0:
                    yield _unread(place, entry.file_size, "a zip in a zip in a zip is not opened")
                    continue
                # A password is left to `open`, which says so and takes nothing out.
                if entry.compress_type not in _BOUNDED and not entry.flag_bits & 0x1:
                    other = suffix != ".zip" and not _is_named(place)
                    yield _unread(place, entry.file_size, _OTHER_METHOD, other=other)
                    continue
                with opened.open(entry) as file:
                    data = file.read(min(limit, left) + 1)
                left -= len(data)
                if left < 0:
                    yield _unread(place, size, f"here the zip has come to {RATIO} times its size; no more is read")
                    return
                if suffix != ".zip":
                    yield _read(place, data)
                elif len(data) > limit:
                    yield _unread(place, size, f"the zip in the zip has more than {NESTED_ZIP_LIMIT:,} bytes")
                else:
                    yield from _zipped(io.BytesIO(data), len(data), place.with_suffix(""), 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        yield _unread(inside, size, f"the zip cannot be opened ({readable(str(error))})")
    except Exception as error:  # zlib and lzma raise their own
        yield _unread(inside, size, f"the zip cannot be opened ({type(error).__name__})")


def _name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry. Macs write UTF-8 without saying so, and then Python takes it for DOS's code page."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")
