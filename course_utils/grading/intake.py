"""From a folder of whatever a school's system handed out to one notebook for each student.

Known shapes: Moodle (``Ada Lovelace_123_assignsubmission_file_/x.ipynb``, or without the folder), Canvas
(``lovelaceada_LATE_123_456_x-1.ipynb``), GitHub Classroom (a clone for each student), Gradescope
(``assignment_1_export/submission_123/x.ipynb``), ILIAS, Teams, plain e-mail (one file or one folder each), a zip of any
of these, and a zip for each student.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode

from course_utils.colab import MARK as SETUP
from course_utils.errors import CourseError
from course_utils.exercises import LESSONS
from course_utils.grading import messages
from course_utils.grading import roster as lists
from course_utils.grading.flags import Flag, Raised
from course_utils.grading.handed_in import File, read_folder
from course_utils.grading.lesson import Lesson
from course_utils.grading.readable import readable
from course_utils.grading.results import Status
from course_utils.grading.roster import Owner, Student, find, names_an_owner, read_owner, read_roster, unlisted
from course_utils.notebooks.normalise import PROSE_MARK, exercise_roles

_THE_CLASSES = {"submitted files", "working files", "student work", "student submissions"}  # Teams
_OF_A_CLONE = {"readme.md", "pyproject.toml", "environment.yml", "requirements.txt", "makefile", "license"}
_CHECK = re.compile(r"^\w{1,100}[^\S\n]{0,9}=[^\S\n]{0,9}check\(\s{0,99}[\"']([\w.]{1,20})[\"']", re.MULTILINE)
_TABLES = {".csv", ".tsv", ".xlsx", ".xls", ".ods", ".yml", ".yaml", ".md", ".log"}


@dataclass(frozen=True)
class Submission:
    """One student's notebook, or why there is none.

    Attributes:
        files: where it was found, relative to the folder.
        status: None if it can be marked, else UNREADABLE, WRONG_NOTEBOOK or NOTHING.
        reason: why not, for the student and the teacher.
        digest: sha256 of the file.
        notes: what a person may want to know of how it was handed in.
    """

    student: Student
    files: tuple[str, ...]
    notebook: NotebookNode | None = None
    status: Status | None = None
    reason: str = ""
    digest: str = ""
    notes: tuple[Raised, ...] = ()


def collect(folder: Path, lesson: Lesson, roster: Path | None = None) -> list[Submission]:
    """The submissions in ``folder`` (a folder or a zip), by student, in the order of their names; with a roster, also
    its students who handed nothing in.

    Raises:
        CourseError: there is no such folder, nothing in it, or the roster cannot be read.
    """
    students = read_roster(roster) if roster else []
    owners = _by_owner(read_folder(folder), students, lesson)
    if not owners:
        raise CourseError(f"{folder}: no notebook (.ipynb) in it, nor in a zip or a folder below")
    claims = _claims(owners, students, lesson)
    found = [_choose(claim, lesson) for claim in claims]
    present = {claim.student.key for claim in claims}
    for student in students:
        if student.key not in present:
            unsure = [claim.said for claim in claims if student.name in claim.may_be]
            maybe = messages.HANDED_IN_PERHAPS.format(names=", ".join(unsure)[:300]) if unsure else ""
            found.append(Submission(student, (), status=Status.NOTHING, reason=maybe or messages.NOT_HANDED_IN))
    return _told_apart(sorted(found, key=lambda one: one.student.name.casefold()))


def is_of(lesson: Lesson, notebook: NotebookNode) -> bool:
    """Whether a notebook is a copy of this lesson, however much was changed in it."""
    return _likeness(lesson, notebook) > 0


def checked_in(source: str) -> set[str]:
    """The exercises that a cell seems to check. By its text alone: here all files of all students are looked through,
    and Python takes a second to read a long one.
    """
    return set(_CHECK.findall(source))


def other_lesson(notebook: NotebookNode) -> str:
    """What a notebook that is not of the lesson seems to be, in words."""
    ids = sorted({one for cell in notebook.cells if cell.cell_type == "code" for one in checked_in(cell.source)})
    ids = ids or sorted(
        {
            str(cell.metadata["course"].get("exercise"))
            for cell in notebook.cells
            if isinstance(cell.metadata.get("course"), dict)
        }
    )
    if ids:
        return messages.HAS_EXERCISES.format(exercises=readable(", ".join(ids)))
    return messages.HAS_NO_CELLS


# --- whose it is


@dataclass(frozen=True)
class _Claim:
    """Whose some files are: a student of the roster, or one made of their name, and then whom they may be."""

    student: Student
    files: tuple[File, ...]
    said: str = ""
    may_be: tuple[str, ...] = ()
    notes: tuple[Raised, ...] = ()


def _claims(owners: dict[str, list[File]], students: Sequence[Student], lesson: Lesson) -> list[_Claim]:
    """The owners by student. Two of one format with two numbers are two people, whatever they are called."""
    read = {text: read_owner(text) for text in owners}
    means = {text: find(owner, students, lesson.name) for text, owner in read.items()}
    numbers: dict[str, set[tuple[str, str]]] = {}
    for text, (found, _) in means.items():
        if len(found) == 1 and (number := read[text].number):
            numbers.setdefault(found[0].key, set()).add(number)
    claims: dict[str, _Claim] = {}
    for text, files in owners.items():
        owner, (found, near) = read[text], means[text]
        sure = len(found) == 1 and len(numbers.get(found[0].key, ())) < 2
        student, notes = (found[0], ()) if sure else (unlisted(owner), _doubts(owner, found or near, students))
        if not sure and any(one.key == student.key for one in students):
            student = replace(student, key=lists.key(f"{student.key}, not on the roster"))
        may_be = () if sure else tuple(one.name for one in found or near)
        before = claims.get(student.key, _Claim(student, ()))
        claims[student.key] = replace(
            before, files=(*before.files, *files), said=readable(owner.text), may_be=may_be, notes=notes
        )
    return list(claims.values())


def _doubts(owner: Owner, near: Sequence[Student], students: Sequence[Student]) -> tuple[Raised, ...]:
    if not students:
        return ()
    if not near:
        return (Flag.NOT_ON_ROSTER.raised(owner=readable(owner.text)),)
    told = ", ".join(f"{one.name} ({one.id})" if one.id else one.name for one in near[:5])
    return (Flag.WHOSE.raised(owner=readable(owner.text), students=told),)


def _told_apart(found: list[Submission]) -> list[Submission]:
    """Two students of one name get what else is known of them beside it."""
    counts = Counter(one.student.name for one in found)

    def named(one: Submission) -> Submission:
        student = one.student
        told = student.id or student.email or next(iter(student.accounts.values()), student.key)
        return replace(one, student=replace(student, name=f"{student.name} ({told})"))

    return [named(one) if counts[one.student.name] > 1 else one for one in found]


def _by_owner(files: Iterable[File], students: Sequence[Student], lesson: Lesson) -> dict[str, list[File]]:
    """The files by the part of their path that says whose they are."""
    below = [(_below_the_class(_parts(file)), file) for file in files]
    while depth := _shared_folder([parts for parts, _ in below], students, lesson):
        below = [(parts[depth:], file) for parts, file in below]
    owners: dict[str, list[File]] = {}
    for parts, file in below:
        if len(parts) == 1 and file.other and file.path.suffix.lower() in _TABLES:
            continue  # the teacher's own
        owners.setdefault(_owner(parts, students) or file.path.name, []).append(file)
    return owners


def _parts(file: File) -> tuple[str, ...]:
    """The parts of a file's path. A folder that was not read stands for what is in it: so its whole name says whose it
    is, and not what is before a dot.
    """
    return (*file.path.parts, "") if file.folder else file.path.parts


def _below_the_class(parts: tuple[str, ...]) -> tuple[str, ...]:
    kept = tuple(part for part in parts[:-1] if part.casefold() not in _THE_CLASSES)
    return (*kept, parts[-1])


def _shared_folder(paths: Sequence[tuple[str, ...]], students: Sequence[Student], lesson: Lesson) -> int:
    """1 if all files lie in one folder that is the whole class's, else 0: it may be one student's clone."""
    if len(paths) < 2 or any(len(parts) < 2 for parts in paths) or len({parts[0] for parts in paths}) > 1:
        return 0
    top, names = paths[0][0], {parts[1].casefold() for parts in paths if len(parts) == 2}
    if names_an_owner(top) or len(find(read_owner(top), students)[0]) == 1 or names & _OF_A_CLONE:
        return 0
    lessons = [_named_words(name) for name in (lesson.name, *LESSONS.values())]
    return 0 if any(_named_words(PurePosixPath(name).stem) in lessons for name in names) else 1


def _named_words(stem: str) -> list[str]:
    """The words of a notebook's name, without what a copy has more."""
    return [word for word in lists.words(stem) if not word.isdigit() and word not in ("copy", "of", "ipynb")]


def _owner(parts: tuple[str, ...], students: Sequence[Student]) -> str:
    stem = PurePosixPath(parts[-1]).stem.removesuffix(".ipynb").removesuffix(".tar")
    for part in parts[:-1]:
        if names_an_owner(part):
            return part
    if lists.is_canvas(stem) or read_owner(stem).number:
        return stem
    for part in (*parts[:-1], stem):
        if part and students and len(find(read_owner(part), students)[0]) == 1:
            return part
    return stem if len(parts) == 1 else parts[0]


# --- which notebook of theirs


def _choose(claim: _Claim, lesson: Lesson) -> Submission:
    """The one notebook of a student that is marked."""
    student, called = claim.student, [file for file in claim.files if not file.other]
    files = called or list(claim.files)
    paths = tuple(str(file.path) for file in files[:20])
    reasons = [f"{file.path.name}: {file.reason}" for file in files if file.reason]
    candidates: dict[str, File] = {}  # the same file twice is one
    for file in files:
        if file.notebook is not None and is_of(lesson, file.notebook):
            candidates.setdefault(file.digest, file)
    digest = hashlib.sha256(" ".join(sorted(file.digest for file in files)).encode()).hexdigest()
    if not candidates and reasons:
        told, more = "; ".join(reasons[:5]), len(reasons) - 5
        told = (messages.AND_MORE_FILES.format(reasons=told, count=more) if more > 0 else told)[:1000]
        return Submission(student, paths, status=Status.UNREADABLE, reason=told, digest=digest, notes=claim.notes)
    if not candidates:
        seen = "; ".join(f"{file.path.name}: {other_lesson(file.notebook)}" for file in files if file.notebook)
        told = messages.OF_ANOTHER_LESSON.format(lesson=lesson.name, seen=seen)[:1000]
        return Submission(student, paths, status=Status.WRONG_NOTEBOOK, reason=told, digest=digest, notes=claim.notes)
    ranked = sorted(candidates.values(), key=lambda file: (_version(file.path), _worked_on(lesson, file), file.path))
    chosen = ranked[-1]
    notes = [*claim.notes, *(Flag.NOT_READ.raised(reason=reason) for reason in reasons)]
    if len(ranked) > 1:
        others = readable(", ".join(str(other.path) for other in ranked[:-1]), 500)
        notes.append(Flag.SEVERAL_NOTEBOOKS.raised(count=len(ranked), marked=str(chosen.path), others=others))
    return Submission(student, (str(chosen.path),), chosen.notebook, digest=chosen.digest, notes=tuple(notes))


def _version(path: PurePosixPath) -> int:
    """Canvas numbers what is handed in again: ``x-1.ipynb``."""
    match = re.search(r"-(\d{1,2})$", path.stem)
    return int(match[1]) if match and lists.is_canvas(path.stem) else 0


def _worked_on(lesson: Lesson, file: File) -> int:
    """How many code cells are not as the lesson gave them."""
    given = {cell.source.strip() for cell in lesson.notebook.cells}
    cells = file.notebook.cells if file.notebook is not None else []
    return sum(cell.cell_type == "code" and cell.source.strip() not in given for cell in cells)


def _likeness(lesson: Lesson, notebook: NotebookNode) -> int:
    """How many of a notebook's cells are the lesson's: by an exercise's id or role, or by a text of some length.

    The setup cell is every lesson's, so it says nothing.
    """
    roles = exercise_roles(lesson.notebook)
    ours = {lesson.notebook.cells[index].id for index in roles}
    asked = {exercise for exercise, _ in roles.values()}
    texts = {cell.source.strip() for cell in lesson.notebook.cells if len(cell.source.strip()) > 60}
    texts = {text for text in texts if not text.startswith(SETUP)}
    score = 0
    for cell in notebook.cells:
        course = cell.metadata.get("course")
        told = {str(course.get("exercise"))} if isinstance(course, dict) else set()
        if cell.cell_type == "code":
            told |= checked_in(cell.source)
        elif mark := PROSE_MARK.search(cell.source.split("\n", 1)[0]):
            told.add(mark.group(1))
        id = cell.get("id") or cell.metadata.get("id")
        score += id in ours or bool(told & asked) or (cell.source.strip() in texts and cell.cell_type == "code")
    return score
