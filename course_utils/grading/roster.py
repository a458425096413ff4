"""Whose a file is: what its place says, and what the teacher's list of students says.

Work that goes to the wrong student is worse than work that goes to none, so: exact before partial, a number counts only
where the source's format puts one and for the kind of number that it puts there, and two candidates are no match. What
is left is for the teacher, who answers in a column of the list that is called "folder".
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.readable import readable

PARTICIPANT, CANVAS, LOGIN, SECTION, GITHUB, FOLDER = "participant", "canvas", "login", "section", "github", "folder"


@dataclass(frozen=True)
class Student:
    """Who handed in.

    Attributes:
        key: unique and fit for a file's name.
        id: the school's number, "" where no list of students told it.
        email: "" where nobody told it.
        accounts: what else a system calls them: ``participant`` (Moodle's number), ``canvas`` (Canvas's), ``login``,
            ``section``, ``github``, and ``folder``, what the teacher says that their work is called.
    """

    key: str
    name: str
    id: str = ""
    email: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Owner:
    """What the name of a file or folder says of whose it is.

    Attributes:
        text: that name.
        name: the part of it that is a person's name, as far as a known format shows it.
        number: what the format puts there, and of which kind: ("participant", "102").
    """

    text: str
    name: str
    email: str = ""
    number: tuple[str, str] | None = None


_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_.*)?$")
_CANVAS = re.compile(r"^(?P<name>[^_]+)(?:_(?i:late))?_(?P<id>\d+)_\d+_.+$")
_GRADESCOPE = re.compile(r"^submission_(?P<id>\d+)$")
_ILIAS = re.compile(r"^(?P<last>[^\W\d_]+)_(?P<first>[^\d_]+)_[^_]+_\d+$")
_EMAIL = re.compile(r"[A-Za-z0-9.+-]+(?:_[A-Za-z0-9.+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# Words that a file's name has beside its owner's.
_USUAL = frozenset(
    re.findall(
        r"\w+",
        "hw homework assignment lesson week exercise exercises sheet task notebook solution solutions solved "
        "submission final finished done late copy of version v draft new my the lab project ipynb",
    )
)


def is_canvas(name: str) -> bool:
    """Whether a file's name, without its ending, has Canvas's form."""
    return bool(_CANVAS.match(name))


def names_an_owner(part: str) -> bool:
    """Whether the name of a file or folder has a form that only one student's has."""
    return any(form.search(part) for form in (_MOODLE, _GRADESCOPE, _EMAIL))


def read_owner(text: str) -> Owner:
    """What the name of a file (without its ending) or folder says."""
    if match := _MOODLE.match(text):
        return Owner(text, match["name"], _email_in(text), (PARTICIPANT, match["id"]))
    if match := _CANVAS.match(text):
        return Owner(text, match["name"], "", (CANVAS, match["id"]))
    if match := _GRADESCOPE.match(text):
        return Owner(text, text, "", ("submission", match["id"]))
    return Owner(text, text, _email_in(text))


def unlisted(owner: Owner) -> Student:
    """The student that is made of what a file's name says alone."""
    kind, number = owner.number or ("", "")
    accounts = {kind: number} if kind in (PARTICIPANT, CANVAS) else {}
    name = owner.name if number and number in owner.name else f"{owner.name} {number}".strip()
    return Student(key(name), owner.name, "", owner.email, accounts)


def read_roster(path: Path) -> list[Student]:
    """The students of a table: CSV in UTF-8, UTF-16 or Windows' code page, with commas, semicolons or tabs. Its first
    line names the columns; those for name (or first and last name), id and email are used in their usual spellings.
    A single column needs no heading.

    Raises:
        CourseError: it cannot be read, or no student is in it.
    """
    try:
        lines = _decode(path.read_bytes()).splitlines()
    except OSError as error:
        raise CourseError(f"{path}: cannot be read ({error.strerror})") from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise CourseError(f"{path}: it is empty")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise CourseError(f"{path}: cannot be read as a table ({error})") from None
    names = [re.sub(r"[^a-z]", "", heading.casefold()) for heading in rows[0]]
    if len(names) == 1 and names[0] not in _KNOWN:
        names, rows = ["email" if _EMAIL.fullmatch(rows[0][0].strip()) else "name"], [[], *rows]
    of_canvas = "sislogin" in names or "sisloginid" in names or "sisuserid" in names
    found = [_student(dict(zip(names, row, strict=False)), of_canvas=of_canvas) for row in rows[1:]]
    students: list[Student] = []
    for one in found:
        if one is not None and one not in students:  # who is in two sections stands there twice
            students.append(one)
    if not students:
        raise CourseError(f"{path}: no student in it; its first line must name columns such as name, id, email")
    counts = Counter(one.key for one in students)
    seen: Counter[str] = Counter()
    for place, one in enumerate(students):  # two of one name, and nothing else is known of them
        seen[one.key] += 1
        if counts[one.key] > 1:
            students[place] = replace(one, key=key(f"{one.name} no. {seen[one.key]}"))
    return students


def find(owner: Owner, roster: Sequence[Student], lesson: str = "") -> tuple[list[Student], list[Student]]:
    """The students whom an owner's name may mean, and, if these are not exactly one, those that come near.

    Args:
        lesson: its name, whose words may stand in a file's name beside its owner's.
    """
    told = [student for student in roster if _is_told(owner, student)]
    for names in (_has_the_name, _has_the_name_turned, _has_the_name_beside(_USUAL | set(words(lesson)))):
        if found := [student for student in roster if names(owner, student)]:
            if told and not any(one in told for one in found):  # the number says one, the name another
                return [*told, *found], [*told, *found]
            return (told or found), (told or found)
    if told:
        return told, told
    own = set(words(owner.name))
    near = [student for student in roster if own and (theirs := set(words(student.name))) and _near(own, theirs)]
    return [], near


def words(text: str) -> list[str]:
    """Letters without accents and digits, in lower case, word by word."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[^\w]|_", " ", "".join(one for one in folded if not unicodedata.combining(one))).split()


def key(text: str) -> str:
    """Fit for a file's name on every system, and still different for different students."""
    short = re.sub(r"[^0-9A-Za-z]+", "-", " ".join(words(text))).strip("-")[:60]
    if short and short == text and not re.search(r"-[0-9a-f]{10}$", short):
        return short
    return f"{short or 'student'}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _near(own: set[str], theirs: set[str]) -> bool:
    return own <= theirs or theirs <= own or len(own & theirs) > 1


def _email_in(text: str) -> str:
    found = _EMAIL.search(text)
    return found[0].removesuffix(".ipynb") if found else ""


def _is_told(owner: Owner, student: Student) -> bool:
    """The name is an id or an address as a whole, or the source's format puts a number of that kind there."""
    text, told = owner.text.casefold(), student.accounts
    whole = {student.id, student.email, told.get(LOGIN, ""), told.get(GITHUB, "")} - {""}
    if text in {one.casefold() for one in whole} or told.get(FOLDER, "").casefold() == text:
        return True
    if owner.number and told.get(owner.number[0]) == owner.number[1]:
        return True
    if student.email:
        address = re.escape(student.email.casefold())
        if re.search(rf"(?<![a-z0-9.+-]){address}(?![a-z0-9-]|\.[a-z])", text):
            return True
    account = told.get(GITHUB, "").casefold()
    return bool(account) and text.endswith(f"-{account}")  # Classroom: the assignment's name, then the account


def _has_the_name(owner: Owner, student: Student) -> bool:
    return bool(own := words(owner.name)) and own == words(student.name)


def _has_the_name_turned(owner: Owner, student: Student) -> bool:
    """Last name first, or without blanks, as Canvas writes it."""
    own, turned = words(owner.name), _turned(words(student.name))
    if match := _ILIAS.match(owner.text):
        own = words(f"{match['first']} {match['last']}")
    return own in turned or (len(own) == 1 and own[0] in {"".join(one) for one in turned})


def _has_the_name_beside(usual: frozenset[str]) -> Callable[[Owner, Student], bool]:
    def told(owner: Owner, student: Student) -> bool:
        """The name, and beside it only what no name has."""
        own = words(owner.name)
        for name in _turned(words(student.name)):
            for start in range(len(own) - len(name) + 1):
                rest = own[:start] + own[start + len(name) :]
                if own[start : start + len(name)] == name and all(_is_no_name(one, usual) for one in rest):
                    return True
        return False

    return told


def _is_no_name(word: str, usual: frozenset[str]) -> bool:
    return word in usual or any(one.isdigit() for one in word)


def _turned(name: list[str]) -> list[list[str]]:
    """A name with its last word, or more of them, in front."""
    return [name[start:] + name[:start] for start in range(len(name))]


_NAME = ("fullname", "name", "student", "studentname", "vollstndigername", "displayname")
_FIRST, _LAST = ("firstname", "givenname", "vorname"), ("lastname", "surname", "familyname", "nachname")
_ID = ("studentid", "idnumber", "sid", "sisuserid", "matriculation", "matrikelnummer", "number", "id")
_MAIL = ("email", "emailaddress", "mail", "emailadresse")
_LOGIN = ("sisloginid", "username", "login", "user")
_GITHUB = ("githubusername", "github")
_KNOWN = {*_NAME, *_FIRST, *_LAST, *_ID, *_MAIL, *_LOGIN, *_GITHUB, "identifier", "folder", "section", "canvasid"}


def _student(row: Mapping[str, str], *, of_canvas: bool) -> Student | None:
    row = {name: readable(value.strip()) for name, value in row.items()}

    def first(names: Iterable[str]) -> str:
        return next((row[name] for name in names if row.get(name)), "")

    name = first(_NAME) or f"{first(_FIRST)} {first(_LAST)}".strip()
    email, login = first(_MAIL), first(_LOGIN)
    id = first(one for one in _ID if not (of_canvas and one == "id"))
    if of_canvas and name.casefold() in ("points possible", "student, test", "test student"):
        return None
    if not email and _EMAIL.fullmatch(login):
        email = login
    identifier = row.get("identifier", "")
    participant = re.fullmatch(r"\D*?(\d+)", identifier) if re.match(r"[^\W\d]", identifier) else None
    if identifier and not participant and not id:
        id = identifier
    accounts = {
        PARTICIPANT: participant[1] if participant else "",
        # In a list of the teacher's own, "id" is whatever number they have: with Canvas's files, Canvas's.
        CANVAS: row.get("id", "") or row.get("canvasid", ""),
        LOGIN: login,
        SECTION: row.get("section", ""),
        GITHUB: first(_GITHUB),
        FOLDER: row.get("folder", ""),
    }
    told = id or email or login or accounts[GITHUB]
    if not (name or told):
        return None
    kept = {kind: value for kind, value in accounts.items() if value}
    return Student(key(told or name), name or email or told, id, email, kept)


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
