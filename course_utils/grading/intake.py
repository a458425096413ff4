"""From a folder of whatever a school's system handed out to one notebook for each student. Nothing in it is executed
or imported.

Known shapes: Moodle (``Ada Lovelace_123_assignsubmission_file_/x.ipynb``, or without the folder), Canvas
(``lovelaceada_LATE_123_456_x-1.ipynb``), GitHub Classroom (a clone for each student), Gradescope
(``submission_123/x.ipynb``), plain e-mail (one file or one folder each), a zip of any of these, and a zip for each
student.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.grading.flags import Flag, Raised
from course_utils.grading.lesson import Lesson
from course_utils.notebooks.normalise import PROSE_MARK, checks_in, exercise_roles

SIZE_LIMIT = 20_000_000  # bytes of one notebook
CELL_LIMIT = 2_000
ZIP_LIMIT = 2_000  # entries
_IGNORED = {"__MACOSX", ".ipynb_checkpoints", ".git", "node_modules", ".venv", "__pycache__"}


@dataclass(frozen=True)
class Student:
    """Who handed in. ``key`` is unique and fit for a file's name; ``id`` and ``email`` are "" where nobody told."""

    key: str
    name: str
    id: str = ""
    email: str = ""


@dataclass(frozen=True)
class Submission:
    """One student's notebook, or why there is none.

    Attributes:
        files: where it was found, relative to the folder.
        status: "" if it can be marked, else "unreadable" or "wrong notebook".
        reason: why not, for the student and the teacher.
        digest: sha256 of the file.
        notes: what a person may want to know of how it was handed in.
    """

    student: Student
    files: tuple[str, ...]
    notebook: NotebookNode | None = None
    status: str = ""
    reason: str = ""
    digest: str = ""
    notes: tuple[Raised, ...] = ()


@dataclass(frozen=True)
class _File:
    """A file that may be a notebook: its path in the folder, for people; its bytes, or why they were not read."""

    path: PurePosixPath
    data: bytes
    reason: str = ""


def collect(folder: Path, lesson: Lesson, roster: Path | None = None) -> list[Submission]:
    """The submissions in ``folder`` (a folder or a zip), by student, in the order of their names; students of the
    roster who handed nothing in are not among them.

    Raises:
        CourseError: there is no such folder, nothing in it, or the roster cannot be read.
    """
    if not folder.exists():
        raise CourseError(f"{folder}: no such folder")
    known = read_roster(roster) if roster else []
    groups: dict[str, list[_File]] = {}
    for file in _files(folder):
        groups.setdefault(_owner(file.path), []).append(file)
    if not groups:
        raise CourseError(f"{folder}: no notebook (.ipynb) in it, nor in a zip or a folder below")
    found: dict[str, tuple[Student, list[_File]]] = {}
    for owner, files in groups.items():
        student = _identify(owner, known)
        found.setdefault(student.key, (student, []))[1].extend(files)
    return [
        _choose(student, files, lesson)
        for student, files in sorted(found.values(), key=lambda pair: pair[0].name.casefold())
    ]


def read_roster(path: Path) -> list[Student]:
    """The students of a CSV file whose first line names its columns; those called name (or first and last name), id
    and email, in one of the usual spellings, are used.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(
            csv.DictReader(
                io.StringIO(text), dialect=csv.Sniffer().sniff(text.splitlines()[0] + "\n", delimiters=",;\t")
            )
        )
    except (OSError, UnicodeDecodeError, csv.Error, IndexError) as error:
        raise CourseError(f"{path}: cannot be read as a CSV file in UTF-8 ({error})") from None
    students = []
    for row in rows:
        columns = {
            re.sub(r"[^a-z]", "", (key or "").casefold()): (value or "").strip()
            for key, value in row.items()
            if isinstance(value, str)
        }
        name = _first(columns, "fullname", "name", "student", "studentname")
        first, last = _first(columns, "firstname", "givenname"), _first(columns, "lastname", "surname", "familyname")
        name = name or f"{first} {last}".strip()
        id = _first(
            columns,
            "id",
            "studentid",
            "idnumber",
            "sid",
            "sisuserid",
            "matriculation",
            "githubusername",
            "username",
            "identifier",
        )
        email = _first(columns, "email", "emailaddress", "mail")
        if name or id or email:
            students.append(Student(_key(id or email or name), name or email or id, id, email))
    if not students:
        raise CourseError(f"{path}: no student in it; its first line must name columns such as name, id, email")
    return students


def parse(data: bytes) -> NotebookNode:
    """The notebook in these bytes, at nbformat 4.5.

    Raises:
        ValueError: it is none, with the reason in words for the one who handed it in.
    """
    if len(data) > SIZE_LIMIT:
        raise ValueError(
            f"it has {len(data):,} bytes; at most {SIZE_LIMIT:,} are read. Clear its outputs and hand it in again"
        )
    if not data.strip():
        raise ValueError("the file is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8, which every notebook is") from None
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = (
            "a web page was saved instead of the notebook"
            if text.lstrip().startswith("<")
            else f"it is not JSON ({str(error)[:200]})"
        )
        raise ValueError(what) from None
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise ValueError("it is JSON, but not a notebook (it has no nbformat)")
    if raw["nbformat"] != 4:
        raise ValueError(
            f"it is in notebook format {str(raw['nbformat'])[:20]}; open it in Jupyter and save it in format 4"
        )
    cells = raw.get("cells")
    if not isinstance(cells, list) or len(cells) > CELL_LIMIT:
        raise ValueError(
            "it has no list of cells"
            if not isinstance(cells, list)
            else f"it has {len(cells)} cells; at most {CELL_LIMIT} are read"
        )
    read = [_cell(cell, number) for number, cell in enumerate(cells)]
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=read)


def is_of(lesson: Lesson, notebook: NotebookNode) -> bool:
    """Whether a notebook is a copy of this lesson, however much was changed in it."""
    return _likeness(lesson, notebook) > 0


def other_lesson(notebook: NotebookNode) -> str:
    """What a notebook that is not of the lesson seems to be, in words."""
    ids = sorted(
        {one.exercise for cell in notebook.cells if cell.cell_type == "code" for one in checks_in(cell.source)}
    )
    ids = ids or sorted(
        {
            str(cell.metadata["course"].get("exercise"))
            for cell in notebook.cells
            if isinstance(cell.metadata.get("course"), dict)
        }
    )
    if ids:
        return f"it has the exercises {', '.join(ids)[:200]}"
    return "it has none of the lesson's cells"


def _first(columns: dict[str, str], *names: str) -> str:
    return next((columns[name] for name in names if columns.get(name)), "")


def _files(folder: Path) -> Iterator[_File]:
    if folder.is_file():
        yield from (
            _zipped(folder.read_bytes(), PurePosixPath(), 0)
            if zipfile.is_zipfile(folder)
            else _one(folder, PurePosixPath(folder.name))
        )
        return
    for path in sorted(folder.rglob("*")):
        inside = PurePosixPath(path.relative_to(folder).as_posix())
        if _IGNORED & set(inside.parts) or inside.name.startswith("._"):
            continue
        if path.suffix.lower() in (".ipynb", ".zip") and not path.is_dir():
            yield from _one(path, inside)


def _one(path: Path, inside: PurePosixPath) -> Iterator[_File]:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            yield _File(inside, b"", "it is a link or another special file, which is not followed")
        elif path.suffix.lower() == ".zip":
            if status.st_size > 50 * SIZE_LIMIT:
                yield _File(inside, b"", f"the zip has {status.st_size:,} bytes; at most {50 * SIZE_LIMIT:,} are read")
            else:
                yield from _zipped(path.read_bytes(), inside.with_suffix(""), 0)
        else:
            with path.open("rb") as file:
                yield _File(inside, file.read(SIZE_LIMIT + 1))
    except OSError as error:
        yield _File(inside, b"", f"it cannot be read ({error.strerror})")


def _zipped(data: bytes, inside: PurePosixPath, depth: int) -> Iterator[_File]:
    """The notebooks in a zip, read in memory: no path of it is ever written. A zip in a zip is opened, one in that is
    not.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > ZIP_LIMIT:
                yield _File(inside, b"", f"the zip has {len(entries)} entries; at most {ZIP_LIMIT} are read")
                return
            for entry in entries:
                place = PurePosixPath(entry.filename.replace("\\", "/"))
                parts = [part for part in place.parts if part not in ("..", "/", ".")]
                suffix = place.suffix.lower()
                if (
                    entry.is_dir()
                    or _IGNORED & set(parts)
                    or place.name.startswith("._")
                    or suffix not in (".ipynb", ".zip")
                ):
                    continue
                limit = SIZE_LIMIT if suffix == ".ipynb" else 10 * SIZE_LIMIT
                with archive.open(entry) as file:
                    contents = file.read(limit + 1)  # what the zip says of its sizes may be a lie
                if suffix == ".ipynb":
                    yield _File(inside.joinpath(*parts), contents)
                elif depth == 0 and len(contents) <= limit:
                    yield from _zipped(contents, inside.joinpath(*parts).with_suffix(""), 1)
                else:
                    yield _File(
                        inside.joinpath(*parts), b"", "a zip in a zip in a zip, or a very large one, is not opened"
                    )
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        yield _File(inside, b"", f"the zip cannot be opened ({error})")
    except Exception as error:  # zlib and lzma raise their own
        yield _File(inside, b"", f"the zip cannot be opened ({type(error).__name__})")


_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_.*)?$")
_CANVAS = re.compile(r"^(?P<name>[^_]+)(?:_(?i:late))?_(?P<id>\d+)_\d+_.+$")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def _owner(path: PurePosixPath) -> str:
    """The part of a path that says whose it is: the first folder that is not the whole class's, else the file's own
    name.
    """
    if len(path.parts) == 1:
        return path.stem
    for part in path.parts[:-1]:
        if _MOODLE.match(part) or _EMAIL.search(part):
            return part
    for part in (path.name,):
        if _CANVAS.match(PurePosixPath(part).stem) or _MOODLE.match(PurePosixPath(part).stem):
            return PurePosixPath(part).stem
    return path.parts[0]


def _identify(owner: str, roster: list[Student]) -> Student:
    name, id, email = owner, "", ""
    if (match := _MOODLE.match(owner)) or (match := _CANVAS.match(owner)):
        name, id = match["name"], match["id"]
    elif match := re.fullmatch(r"submission_(\d+)", owner):
        id = match[1]
    if found := _EMAIL.search(owner):
        email = found[0].removesuffix(".ipynb")
        name = email if name == owner else name
    plain, flat = _plain(owner), _plain(owner).replace(" ", "")
    for student in roster:
        exact = {value for value in (student.id, student.email) if value}
        if {id, email} & exact or any(_plain(value) and _plain(value) in plain.split() for value in exact):
            return student
        if student.email and student.email.casefold() in owner.casefold():
            return student
        words = _plain(student.name).split()
        if words and (
            flat in ("".join(words), "".join(reversed(words))) or (len(words) > 1 and _plain(name) == " ".join(words))
        ):
            return student
        if len(words) > 1 and _plain(name).replace(" ", "") in ("".join(words), "".join([words[-1], *words[:-1]])):
            return student
        if len(words) > 1 and set(words) <= set(plain.split()):
            return student
    return Student(_key(f"{name} {id}" if id and id not in name else name), name, id, email)


def _plain(text: str) -> str:
    """Letters without accents and digits, in lower case; all else is a blank."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.sub(r"[^\w]|_", " ", "".join(one for one in folded if not unicodedata.combining(one))).split())


def _key(text: str) -> str:
    """Fit for a file's name on every system, and still different for different students."""
    short = re.sub(r"[^0-9A-Za-z]+", "-", _plain(text)).strip("-")[:60]
    return short if short and short == text else f"{short or 'student'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _choose(student: Student, files: list[_File], lesson: Lesson) -> Submission:
    """The one notebook of a student that is marked."""
    paths = tuple(str(file.path) for file in files)
    read: list[tuple[_File, NotebookNode]] = []
    reasons: list[str] = []
    for file in files:
        try:
            if file.reason:
                raise ValueError(file.reason)
            read.append((file, parse(file.data)))
        except ValueError as error:
            reasons.append(f"{file.path.name}: {error}")
    candidates: dict[str, tuple[_File, NotebookNode]] = {}  # the same file twice is one
    for file, notebook in read:
        if is_of(lesson, notebook):
            candidates.setdefault(hashlib.sha256(file.data).hexdigest(), (file, notebook))
    if not candidates and reasons:
        return Submission(student, paths, status="unreadable", reason="; ".join(reasons)[:1000], digest=_digest(files))
    if not candidates:
        seen = "; ".join(f"{file.path.name}: {other_lesson(notebook)}" for file, notebook in read)
        reason = f"no notebook of {lesson.name} was handed in. {seen}"[:1000]
        return Submission(student, paths, status="wrong notebook", reason=reason, digest=_digest(files))
    ranked = sorted(
        candidates.values(), key=lambda pair: (_version(pair[0].path), _worked_on(lesson, pair[1]), str(pair[0].path))
    )
    file, notebook = ranked[-1]
    notes = [Flag.NOT_READ.raised(reason=reason) for reason in reasons]
    if len(ranked) > 1:
        others = ", ".join(str(other.path) for other, _ in ranked[:-1])
        notes.append(Flag.SEVERAL_NOTEBOOKS.raised(count=len(ranked), marked=str(file.path), others=others))
    return Submission(
        student, (str(file.path),), notebook, digest=hashlib.sha256(file.data).hexdigest(), notes=tuple(notes)
    )


def _digest(files: list[_File]) -> str:
    return hashlib.sha256(b"\0".join(sorted(file.data + file.reason.encode() for file in files))).hexdigest()


def _version(path: PurePosixPath) -> int:
    """Canvas numbers what is handed in again: ``x-1.ipynb``."""
    match = re.search(r"-(\d{1,2})$", path.stem)
    return int(match[1]) if match and _CANVAS.match(path.stem) else 0


def _worked_on(lesson: Lesson, notebook: NotebookNode) -> int:
    """How many code cells are not as the lesson gave them."""
    given = {cell.source.strip() for cell in lesson.notebook.cells}
    return sum(cell.cell_type == "code" and cell.source.strip() not in given for cell in notebook.cells)


def _likeness(lesson: Lesson, notebook: NotebookNode) -> int:
    """How many of a notebook's cells are the lesson's: by an exercise's id or role, or by a text of some length."""
    roles = exercise_roles(lesson.notebook)
    ours = {lesson.notebook.cells[index].id for index in roles}
    asked = {exercise for exercise, _ in roles.values()}
    texts = {cell.source.strip() for cell in lesson.notebook.cells if len(cell.source.strip()) > 60}
    score = 0
    for cell in notebook.cells:
        course = cell.metadata.get("course")
        told = {str(course.get("exercise"))} if isinstance(course, dict) else set()
        if cell.cell_type == "code":
            told |= {one.exercise for one in checks_in(cell.source)}
        elif mark := PROSE_MARK.search(cell.source.split("\n", 1)[0]):
            told.add(mark.group(1))
        id = cell.get("id") or cell.metadata.get("id")
        score += id in ours or bool(told & asked) or (cell.source.strip() in texts and cell.cell_type == "code")
    return score


def _cell(raw: object, number: int) -> NotebookNode:
    """One cell, without its outputs; what a damaged one lacks is not guessed."""
    if not isinstance(raw, dict) or raw.get("cell_type") not in ("code", "markdown", "raw"):
        raise ValueError(f"cell {number} is not a cell of a notebook")
    source = raw.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise ValueError(f"the source of cell {number} is not text")
    source = source.encode("utf-8", "replace").decode("utf-8")  # JSON can carry halves of characters
    metadata = raw.get("metadata", {})
    kept = {}
    if isinstance(metadata, dict):
        course = metadata.get("course")
        if isinstance(course, dict):
            kept["course"] = {key: str(course[key])[:100] for key in ("exercise", "role") if key in course}
        if isinstance(metadata.get("id"), str):
            kept["id"] = metadata["id"][:100]
    cell: NotebookNode = NotebookNode(cell_type=raw["cell_type"], metadata=NotebookNode(kept), source=source)
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None
    if "course" in kept:
        cell.metadata["course"] = NotebookNode(kept["course"])
    if isinstance(raw.get("id"), str):
        cell["id"] = raw["id"][:100]
    return cell
