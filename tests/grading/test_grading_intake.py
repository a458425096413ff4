"""Whose work is it, and what of it is a notebook: folders, zips, names and rosters as schools hand them out.

No kernel is started here, and nothing is read twice that a test can share.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
import tracemalloc
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils.cli import main
from course_utils.errors import CourseError
from course_utils.exercises import LESSONS
from course_utils.grading import commands, exports, handed_in, inside, intake, report, sandbox
from course_utils.grading.flags import Flag
from course_utils.grading.handed_in import read_folder
from course_utils.grading.intake import Submission, collect
from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.mark_folder import Plan, mark_folder
from course_utils.grading.read_notebook import CELL_LIMIT, SIZE_LIMIT, SOURCE_LIMIT, parse
from course_utils.grading.readable import for_terminal, readable
from course_utils.grading.results import ByHand, Mark, Marked, Ruling, Status
from course_utils.grading.roster import Student, find, key, read_owner, read_roster
from course_utils.grading.sandbox import Limits
from course_utils.grading.store import Store, make_result
from course_utils.notebooks.normalise import exercise_roles
from tests.grading import cohort
from tests.grading.cohort import LESSON, RIGHT, Pupil

NOTEBOOK = cohort.notebook_of(Pupil("x"))


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return load_lesson(str(LESSON))


def fill(folder: Path, *places: str, data: bytes = NOTEBOOK) -> Path:
    for place in places:
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def roster_file(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return path


# --- the place of a file


@pytest.mark.parametrize(
    ("place", "name", "accounts", "email"),
    [
        ("Ada Lovelace_4711_assignsubmission_file_/x.ipynb", "Ada Lovelace", {"participant": "4711"}, ""),
        ("Ada Lovelace_4711_assignsubmission_file_x.ipynb", "Ada Lovelace", {"participant": "4711"}, ""),
        ("lovelaceada_LATE_4711_99_x-1.ipynb", "lovelaceada", {"canvas": "4711"}, ""),
        ("lovelaceada_4711_99_x.ipynb", "lovelaceada", {"canvas": "4711"}, ""),
        ("lesson-ada/notebooks/x.ipynb", "lesson-ada", {}, ""),
        ("submission_4711/x.ipynb", "submission_4711", {}, ""),
        ("ada@example.org.ipynb", "ada@example.org", {}, "ada@example.org"),
        ("ada@example.org/deep/er/x.ipynb", "ada@example.org", {}, "ada@example.org"),
        ("Ada.ipynb", "Ada", {}, ""),
        ("Ada.ipynb.txt", "Ada", {}, ""),
        ("Ada.json", "Ada", {}, ""),
    ],
)
def test_the_shapes_that_schools_hand_out(
    tmp_path: Path, lesson: Lesson, place: str, name: str, accounts: dict[str, str], email: str
) -> None:
    """A number in a folder's name is never the school's: what the roster does not tell stays empty."""
    (one,) = collect(fill(tmp_path, place), lesson)
    student = one.student
    assert (student.name, student.id, dict(student.accounts), student.email) == (name, "", accounts, email)
    assert one.notebook is not None and not one.status


@pytest.mark.parametrize(
    "places",
    [
        ("Class/Lovelace_Ada_al12_77/x.ipynb", "Class/Smith_Ben_bs1_78/x.ipynb"),  # ILIAS
        ("assignment_1_export/submission_1/x.ipynb", "assignment_1_export/submission_2/x.ipynb"),  # Gradescope
        ("HW 1-20260101/HW 1/Ada Lovelace.ipynb", "HW 1-20260101/HW 1/Ben Smith.ipynb"),  # Drive
        ("Work/Submitted files/Ada/HW/Version 1/x.ipynb", "Work/Working files/Ben/HW/x.ipynb"),  # Teams
        ("classroom/lesson-ada/notebooks/x.ipynb", "classroom/lesson-ben/notebooks/x.ipynb"),  # Classroom
    ],
)
def test_a_folder_around_the_class_is_nobody(tmp_path: Path, lesson: Lesson, places: tuple[str, ...]) -> None:
    assert len(collect(fill(tmp_path / "in", *places), lesson)) == 2
    archive = tmp_path / "class.zip"
    archive.write_bytes(packed(**dict.fromkeys(places, NOTEBOOK)))
    assert len(collect(archive, lesson)) == 2


@pytest.mark.parametrize(
    "places",
    [
        ("lesson-ada/notebooks/01_tokens_and_logits.ipynb", "lesson-ada/notebooks/similarity.ipynb"),
        ("lesson-ada/README.md", "lesson-ada/one.ipynb", "lesson-ada/two.ipynb"),
        ("Ada_1_assignsubmission_file_/one.ipynb", "Ada_1_assignsubmission_file_/two.ipynb"),
        ("ada@example.org/one.ipynb", "ada@example.org/two.ipynb"),
    ],
)
def test_one_students_folder_stays_one(tmp_path: Path, lesson: Lesson, places: tuple[str, ...]) -> None:
    (one,) = collect(fill(tmp_path, *places), lesson)
    assert one.notebook is not None


# --- who is meant

ROSTER = [
    Student("id1", "Ida One", "1"),
    Student("ben", "Ben Smith", "7", "ben@example.org"),
    Student("p102", "Mia Moodle", "102", accounts={"participant": "55"}),
    Student("ada", "Ada King", "8", accounts={"canvas": "901", "folder": "countess"}),
    Student("byron", "Ada Byron King", "9", accounts={"github": "byron-k"}),
    Student("li1", "Li Wei", "20", accounts={"participant": "61"}),
    Student("li2", "Li Wei", "21", accounts={"participant": "62"}),
    Student("mue", "Jörg Müller", "30", "joerg.mueller@example.org"),
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Ben Smith hw 1", ["ben"]),  # and not whoever has id 1
        ("Ben_Smith_logit_lens (2)", ["ben"]),
        ("Smith, Ben", ["ben"]),
        ("smithben_LATE_5_6_x", ["ben"]),
        ("Smith_Ben_bs12_5", ["ben"]),
        ("7", ["ben"]),
        ("BEN@example.org late", ["ben"]),
        ("someben@example.org", []),
        ("ben@example.org.uk", []),
        ("Zoe Other_102_assignsubmission_file_", []),  # Moodle's number is not the school's
        ("M. Moodle_55_assignsubmission_file_", ["p102"]),  # but it is Moodle's
        ("Ada Byron King", ["byron"]),
        ("Ada King", ["ada"]),
        ("Ada King hw1", ["ada"]),
        ("Ada King Noel", []),  # a name more is another person
        ("kingada_901_5_x", ["ada"]),
        ("smithben_901_5_x", ["ada", "ben"]),  # the number says one, the name another
        ("countess", ["ada"]),  # what the teacher said
        ("lesson-4-byron-k", ["byron"]),
        ("Li Wei", ["li1", "li2"]),
        ("Li Wei_62_assignsubmission_file_", ["li2"]),
        (unicodedata.normalize("NFD", "Jörg Müller"), ["mue"]),
        ("Jorg Muller", ["mue"]),
        ("1", ["id1"]),
        ("Homework 1", []),
    ],
)
def test_who_is_meant(text: str, meant: list[str]) -> None:
    found, _ = find(read_owner(text), ROSTER, "04_logit_lens")
    assert [student.key for student in found] == meant


def test_who_is_unsure_is_asked_for_and_nobody_is_lost(tmp_path: Path, lesson: Lesson) -> None:
    text = "name,id,folder\nLi Wei,20,\nLi Wei,21,\nBen Smith,7,\nAda Byron King,9,\nEve Absent,11,\n"
    text += "Zoe Late,12,handed in\n"
    folder = fill(tmp_path / "in", "Li Wei.ipynb", "Ben Smith_1_assignsubmission_file_/x.ipynb", "Ada King.ipynb")
    fill(folder, "Ben Smith_2_assignsubmission_file_/x.ipynb", "Tom Stranger.ipynb", "handed in.ipynb")
    found = collect(folder, lesson, roster_file(tmp_path, text))
    assert len({one.student.key for one in found}) == len({one.student.name for one in found}) == len(found)
    by_name = {one.student.name: one for one in found}
    absent = [name for name, one in by_name.items() if one.status is Status.NOTHING]
    assert absent == ["Ada Byron King", "Ben Smith (7)", "Eve Absent", "Li Wei (20)", "Li Wei (21)"]
    assert "Li Wei may be theirs" in by_name["Li Wei (20)"].reason and "may be" not in by_name["Eve Absent"].reason
    asked = {name: str(one.notes[0]) for name, one in by_name.items() if one.notes and one.notes[0].must_look}
    assert len(asked) == 5 and "nobody on the roster" in asked["Tom Stranger"], "two Bens, a Li, an Ada, a stranger"
    assert "Ada Byron King (9)" in asked["Ada King"]
    assert by_name["Zoe Late"].notebook is not None, "the teacher's answer"


@pytest.mark.parametrize(
    ("text", "encoding", "students"),
    [
        (
            "\ufeffLast name;First name;ID number;Email address\nMüller;Jörg;4;j@x.org\n",
            "utf-8",
            [("Jörg Müller", "4")],
        ),
        ("Nachname;Vorname;Matrikelnummer\nMüller;Jörg;4\n", "cp1252", [("Jörg Müller", "4")]),
        ("name\tid\nJörg Müller\t4\n", "utf-16", [("Jörg Müller", "4")]),
        ("Name\nAda Lovelace\n\nBen Smith\n", "utf-8", [("Ada Lovelace", ""), ("Ben Smith", "")]),
        ("Ada Lovelace\nBen Smith\n", "utf-8", [("Ada Lovelace", ""), ("Ben Smith", "")]),
        ("Identifier,Full name\nParticipant 102,Ada\n", "utf-8", [("Ada", "")]),
        ('name,id\n"Smith, Ben",7\n"Smith, Ben",7\n', "utf-8", [("Smith, Ben", "7")]),
    ],
)
def test_rosters(tmp_path: Path, text: str, encoding: str, students: list[tuple[str, str]]) -> None:
    assert [(one.name, one.id) for one in read_roster(roster_file(tmp_path, text, encoding))] == students


def test_roster_of_canvas_moodle_and_none(tmp_path: Path) -> None:
    text = (
        'Student,ID,SIS User ID,SIS Login ID,Section,HW\n    Points Possible,,,,,10\n"King, Ada",901,S8,ada@x.org,A,\n'
        '"Student, Test",902,,,A,\n'
    )
    (ada,) = read_roster(roster_file(tmp_path, text))
    assert (ada.name, ada.id, ada.email) == ("King, Ada", "S8", "ada@x.org")
    assert ada.accounts == {"canvas": "901", "login": "ada@x.org", "section": "A"}
    (ben,) = read_roster(roster_file(tmp_path, "Identifier,Full name,ID number\nParticipant 102,Ben,7\n"))
    assert (ben.id, ben.accounts) == ("7", {"participant": "102"})
    for nothing in ("", "\n", "a,b\n1,2\n"):
        with pytest.raises(CourseError, match=r"empty|no student"):
            read_roster(roster_file(tmp_path, nothing))


def test_keys_differ_for_different_students() -> None:
    names = ["Ada", "ada", "ada!", "Ada L", "ada-l", "", "李伟", "王芳", "x" * 90, "x" * 91, "Jörg", "Jorg"]
    names += [key(name) for name in names]  # who is called as another's file is
    keys = [key(name) for name in dict.fromkeys(names)]
    assert len({one.casefold() for one in keys}) == len(keys) and all(one.isascii() and len(one) < 80 for one in keys)


# --- what is a notebook


def test_every_kind_of_file_has_a_row(tmp_path: Path, lesson: Lesson) -> None:
    kinds = ["html", "py", "pdf", "rar", "7z", "tar.gz", "json", "txt", "docx", "ipynb"]
    folder = fill(tmp_path, *(f"{kind}/work.{kind}" for kind in kinds), "bare/work", data=b"not a notebook")
    fill(folder, ".DS_Store", "class.csv", "ok/.git/config", "__MACOSX/._x.ipynb", "Thumbs.db", data=b"")
    fill(folder, "ok/work.ipynb", "txt.named/work.ipynb.txt")
    found = {one.student.name: one for one in collect(folder, lesson)}
    assert found.keys() == {*kinds, "bare", "ok", "txt.named"}
    assert [name for name, one in found.items() if not one.status] == ["ok", "txt.named"]
    assert "only .zip is opened" in found["tar.gz"].reason and "of the kind .pdf" in found["pdf"].reason


def test_what_lies_beside_a_notebook_is_not_told(tmp_path: Path, lesson: Lesson) -> None:
    fill(tmp_path, "Ada/work.pdf", "Ada/requirements.txt", data=b"%PDF")
    (one,) = collect(fill(tmp_path, "Ada/work.ipynb"), lesson)
    assert one.notebook is not None and not one.notes


def test_zip_in_zip_and_what_lies_about(tmp_path: Path, lesson: Lesson) -> None:
    inner = {"work/x.ipynb": NOTEBOOK, "__MACOSX/in/._x.ipynb": b"\0\0", "../../evil.ipynb": NOTEBOOK}
    inner["work/conftest.py"] = b"raise SystemExit('imported')"
    outer = tmp_path / "class.zip"
    files = {"Ada_1_assignsubmission_file_/hand-in.zip": packed(**inner)}
    files["Ben_2_assignsubmission_file_/broken.zip"] = b"PK\3\4 not really"
    outer.write_bytes(packed(**files))
    ada, ben = collect(outer, lesson)
    assert ada.student.name == "Ada" and ada.notebook is not None
    assert ben.status == "unreadable" and "zip" in ben.reason
    assert [path.name for path in tmp_path.iterdir()] == ["class.zip"], "something was unpacked"


def test_a_zip_that_bursts_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 120 notebooks of 20 MB in 2.3 MB do, here smaller: reading ends, and what is kept of a file is its cells."""
    monkeypatch.setattr(handed_in, "SPARE", 3_000_000)
    size = 1_000_000
    big = NOTEBOOK[:-1] + b" " * (size - len(NOTEBOOK)) + b"}"
    with zipfile.ZipFile(tmp_path / "Eve.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(12):
            archive.writestr(f"{number}.ipynb", big)
    tracemalloc.start()
    found = read_folder(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "50 times its size" in found[-1].reason and len(found) < 12
    assert peak < 6 * size


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_would_unpack_without_a_bound_is_not_opened(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    """Of bzip2 and LZMA, Python unpacks 300 bytes to hundreds of megabytes, whatever it is asked for."""
    for name, more in (("Ada", {}), ("Ben", {"right.ipynb": NOTEBOOK})):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", method) as archive:
            for place in ("x.ipynb", "x.zip", "requirements.txt"):
                archive.writestr(place, packed(**{"y.ipynb": NOTEBOOK}) if place == "x.zip" else NOTEBOOK)
            for place, data in more.items():
                archive.writestr(place, data, zipfile.ZIP_DEFLATED)
    opened: list[str] = []
    real = zipfile.ZipFile.open

    def watched(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> object:
        opened.append(entry.filename)
        return real(archive, entry)

    monkeypatch.setattr(zipfile.ZipFile, "open", watched)
    ada, ben = collect(tmp_path, lesson)
    assert opened == ["right.ipynb"]
    assert ada.status == "unreadable" and ada.reason.count("zip it anew with the usual method") == 2
    assert ben.notebook is not None and [one.flag for one in ben.notes] == [Flag.NOT_READ] * 2


def test_of_a_zip_with_a_password_that_is_said(tmp_path: Path, lesson: Lesson) -> None:
    """AES calls itself a method of packing, and it is the password that is in the way."""
    data = bytearray(packed(**{"x.ipynb": NOTEBOOK}))
    for header, flags in ((0, 6), (data.index(b"PK\1\2"), 8)):
        data[header + flags] |= 1
        data[header + flags + 2] = 99
    (one,) = collect(fill(tmp_path, "Ada.zip", data=bytes(data)), lesson)
    assert "password required" in one.reason


def test_limits_of_a_notebook() -> None:
    cells = [{"cell_type": "markdown", "source": "x" * (SOURCE_LIMIT + 1)}]
    book = NOTEBOOK.decode()
    for data, says in (
        (b" " * (SIZE_LIMIT + 1), "at most"),
        (str({"nbformat": 4, "cells": cells}).replace("'", '"').encode(), "at most"),
        (b'{"nbformat": 4, "cells": [' + b"{}," * CELL_LIMIT + b"{}]}", "2001 cells"),
        (b"[" + b"[]," * 500_000 + b"[]]", "Clear its outputs"),
        (book[: len(book) // 2].encode(), "not JSON"),
        (book.replace('"cells"', '"sells"').encode(), "no list of cells"),
        (book.replace('"nbformat": 4', '"nbformat": 5').encode(), "format 5"),
        (b"\xff" + NOTEBOOK, "UTF-8"),
    ):
        with pytest.raises(ValueError, match=says):
            parse(data)


def test_names_that_others_chose(tmp_path: Path, lesson: Lesson, capsys: pytest.CaptureFixture[str]) -> None:
    """Latin-1 on the disk, control characters, a Mac's decomposed letters: a row each, and none reaches a terminal."""
    folder = fill(
        tmp_path / "in", "Eve\x1b[31m\x07\u202e.ipynb", unicodedata.normalize("NFD", "Zoë") + ".ipynb", data=b""
    )
    with open(os.fsencode(folder) + b"/J\xf6rg.ipynb", "wb") as file:
        file.write(b"")
    with zipfile.ZipFile(folder / "Class.zip", "w") as archive:  # a Mac's: UTF-8, and does not say so
        entry = zipfile.ZipInfo("x.ipynb")
        entry.filename, entry.orig_filename = ("Ma\u0308r".encode().decode("cp437"),) * 2
        archive.writestr(entry, b"")
    found = collect(folder, lesson)
    names = [one.student.name for one in found]
    assert {"Zoë", "Jörg"} <= set(names) and len(found) == 4
    results = [make_result(one, lesson, "p", None) for one in found]
    commands._summary(results, tmp_path)
    told = capsys.readouterr().out
    assert "Zoë" in told and not any(one in told for one in "\x1b\x07\u202e")
    exports.write(lesson, results, tmp_path)
    assert readable("\ud83d") == "\ufffd" and len(readable("x" * 999)) == 200
    assert for_terminal("a\x1b]0;b\nc\td") == "a\ufffd]0;b\nc    d"


def test_links_are_not_followed(tmp_path: Path, lesson: Lesson) -> None:
    (tmp_path / "secret.txt").write_bytes(NOTEBOOK)
    folder = fill(tmp_path / "in")
    folder.mkdir()
    (folder / "Ada.ipynb").symlink_to(tmp_path / "secret.txt")
    (folder / "Ben").symlink_to(tmp_path)
    found = collect(folder, lesson)
    assert [one.status for one in found] == ["unreadable"] * 2 and "not followed" in found[0].reason


def test_folders_that_lie_too_deep_end_nothing(tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "Ben/x.ipynb", "/".join(["Cleo", *"d" * (handed_in.DEPTH - 1), "x.ipynb"]))
    (tmp_path / "Ada").mkdir()
    monkeypatch.chdir(tmp_path / "Ada")
    deep = 60 if os.name == "nt" else 1_000  # Windows has no longer paths
    for _ in range(deep):  # step by step, as neither pathlib nor shutil makes or removes so many
        os.mkdir("d")
        os.chdir("d")
    try:
        ada, ben, cleo = collect(tmp_path, lesson)
    finally:
        for _ in range(deep):
            os.chdir("..")
            os.rmdir("d")
    assert ada.status == "unreadable" and "a folder in 50 others" in ada.reason and len(ada.files) == 1
    assert ben.notebook is not None and cleo.notebook is not None and not cleo.notes


def test_a_folder_that_is_shut_is_told_of_its_student_alone(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stood in for: nothing is shut to root."""
    fill(tmp_path / "in", "ada@example.org/x.ipynb", "Ben B. Smith/x.ipynb", "Cleo/x.ipynb", "Cleo/shut/x.ipynb")
    fill(tmp_path / "in", "Dora/x.ipynb")
    shut = {"ada@example.org", "Ben B. Smith", "shut"}
    real = os.scandir

    def scandir(path: Path | str) -> object:
        if Path(path).name in shut:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for roster in (None, roster_file(tmp_path, "name,id\nBen B. Smith,7\nDora,8\n")):
        ada, ben, cleo, dora = collect(tmp_path / "in", lesson, roster)
        assert (ada.student.name, ada.student.email) == ("ada@example.org", "ada@example.org")
        assert ben.student.name == "Ben B. Smith" and ben.student.id == ("7" if roster else "")
        assert ada.status == ben.status == "unreadable" and "cannot be opened (Permission denied)" in ben.reason
        assert cleo.notebook is not None and "shut: it is a folder" in str(cleo.notes[-1])
        assert dora.notebook is not None and not dora.notes
    shut.add("in")
    with pytest.raises(CourseError, match=r"in: cannot be read \(Permission denied\)"):
        collect(tmp_path / "in", lesson)


def test_two_notebooks_of_one_student(tmp_path: Path, lesson: Lesson) -> None:
    fill(tmp_path, "ada_4711_91_x-1.ipynb")
    fill(tmp_path, "ada_4711_92_x-2.ipynb", "ada_4711_93_y-2.ipynb", data=cohort.notebook_of(Pupil("x", answers=RIGHT)))
    (one,) = collect(tmp_path, lesson)
    assert one.notebook is not None and one.files[0].endswith("-2.ipynb")
    (note,) = one.notes
    assert note.flag == Flag.SEVERAL_NOTEBOOKS and "2 notebooks" in str(note), "the same file twice is one"


# --- where the marks go


def plan(folder: Path, out: Path, **more: object) -> Plan:
    return Plan(folder, out, "rlimits", Limits(), **more)  # type: ignore[arg-type]


def test_a_store_belongs_to_one_folder_and_one_lesson(tmp_path: Path, lesson: Lesson) -> None:
    """Here nothing can be marked, so no kernel is started."""
    first = fill(tmp_path / "week 1.1", "Ada.ipynb", data=b"")
    second = fill(tmp_path / "week 1.2", "Ben.ipynb", data=b"")
    assert commands._beside(first).name == "week 1.1-marked" and commands._beside(second).name == "week 1.2-marked"
    out = tmp_path / "out"
    (ada,) = mark_folder(lesson, plan(first, out))
    with pytest.raises(CourseError, match=r"holds the marks .*week 1\.1; those of"):
        mark_folder(lesson, plan(second, out))
    with pytest.raises(CourseError, match="holds the marks"):
        mark_folder(lesson, plan(first / "Ada.ipynb", out, again=True))
    with pytest.raises(CourseError, match="holds the marks"):
        mark_folder(replace(lesson, path=Path("other.ipynb")), plan(first, out))
    assert Store(out).load_all() == [ada]
    other = tmp_path / "other"
    fill(other, "results/thesis.json", data=b"{}")
    with pytest.raises(CourseError, match="did not write"):
        mark_folder(lesson, plan(first, other))
    assert (other / "results" / "thesis.json").is_file()
    for data, is_ours in ((b'{"format": "was written in format"}', False), (b'{"format": 1}', True)):
        (other / "results" / "thesis.json").write_bytes(data)
        with contextlib.nullcontext() if is_ours else pytest.raises(CourseError, match="did not write"):
            Store(other).claim(first, lesson)


def test_marks_inside_the_folder_are_not_handed_in(tmp_path: Path, lesson: Lesson) -> None:
    fill(tmp_path, "Ada.ipynb", data=b"")
    for _ in range(2):
        assert len(mark_folder(lesson, plan(tmp_path, tmp_path / "marks"))) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{}", b"[]", b'{"submissions": 1, "lesson": "x", "source": "x"}', b'{"x":' + b"[" * 90_000]
)
def test_a_file_that_is_only_called_as_the_label_hides_nobody(tmp_path: Path, lesson: Lesson, data: bytes) -> None:
    for places in (("Ada/x.ipynb", "Ben/x.ipynb"), ("Ada.ipynb", "Ben.ipynb")):
        folder = fill(tmp_path / str(places.count("Ada.ipynb")), *places)
        fill(folder, "Ada/marking.json" if "/" in places[0] else "marking.json", data=data)
        found = {one.student.name: one for one in collect(folder, lesson)}
        assert all(found[name].notebook is not None and not found[name].notes for name in ("Ada", "Ben"))


def test_a_link_to_the_label_hides_nobody(tmp_path: Path, lesson: Lesson) -> None:
    folder = fill(tmp_path / "in", "Ada/x.ipynb", "Ben/x.ipynb")
    Store(tmp_path / "marks").claim(folder, lesson)
    (folder / "Ada" / "marking.json").symlink_to(tmp_path / "marks" / "marking.json")
    assert [one.notebook is not None for one in collect(folder, lesson)] == [True, True]
    (folder / "Ada" / "marking.json").unlink()
    Store(folder / "Ada").claim(folder, lesson)
    assert [one.student.name for one in collect(folder, lesson)] == ["Ben"]


def test_a_roster_that_says_more_is_heard_without_marking_again(tmp_path: Path, lesson: Lesson) -> None:
    folder, out = fill(tmp_path / "in", "7.ipynb", data=b""), tmp_path / "out"
    said = []
    for text in ("name,id\nBen Smith,7\n", "name,id,email\nBen B. Smith,7,b@x.org\nEve Absent,8,\n"):
        results = mark_folder(lesson, plan(folder, out, roster=roster_file(tmp_path, text)))
        said.append([(one.student.name, one.student.email, one.status.value) for one in results])
    assert said[0] == [("Ben Smith", "", "unreadable")]
    assert said[1] == [("Ben B. Smith", "b@x.org", "unreadable"), ("Eve Absent", "", "nothing handed in")]


def test_gradebooks(tmp_path: Path, lesson: Lesson) -> None:
    """Each system's number in its own column, and no score where nothing was marked."""
    people = [
        Student("a", "Ada", "S8", "ada@x.org", {"canvas": "901", "login": "al", "section": "A"}),
        Student("b", "Ben", "", "", {"participant": "102"}),
        Student("c", "Cleo", "55", "c@x.org", {"canvas": "55"}),
    ]
    results = [
        make_result(Submission(one, (), status=Status.UNREADABLE, reason="r"), lesson, "p", None) for one in people
    ]
    exports.write(lesson, results, tmp_path)

    def rows(name: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO((tmp_path / name).read_text(encoding="utf-8"))))

    assert [row[:5] for row in rows("canvas.csv")[2:]] == [
        ["Ada", "901", "S8", "al", "A"],
        ["Ben", "", "", "", ""],
        ["Cleo", "55", "", "c@x.org", ""],
    ]
    assert [row[:4] for row in rows("moodle.csv")[1:]] == [
        ["", "S8", "Ada", "ada@x.org"],
        ["Participant 102", "", "Ben", ""],
        ["", "55", "Cleo", "c@x.org"],
    ]
    assert not list(tmp_path.glob("gradescope/*")), "no file at all, where 0 would be a mark"


def test_points_by_hand_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command: kept, shown to the student, there again after marking, and out of the list to look at."""
    lesson = load_lesson(str(LESSON))
    folder, out = fill(tmp_path / "in", "Ada.ipynb", data=b""), tmp_path / "in-marked"
    mark_folder(lesson, plan(folder, out))
    command = ["grade", str(folder), "--set", "ada", "m.1", "2.5", "--because", "It is <right> on paper."]
    assert main(command) == 0
    assert "m.1 had 0, has 2.5 of 3 points" in capsys.readouterr().out
    for wrong, says in (
        (["ada", "m.9", "2"], "no exercise"),
        (["ada", "m.1", "4"], "0 to 3"),
        (["ada", "m.1", "nan"], "0 to 3"),
        (["bob", "m.1", "1"], "0 students are meant"),
    ):
        assert main([*command[:3], *wrong, "--because", "x"]) != 0
        assert says in capsys.readouterr().err
    assert main(command[:6]) != 0 and "--because" in capsys.readouterr().err
    (result,) = mark_folder(lesson, plan(folder, out, again=True))
    assert result.points == 2.5 and result.needs_a_person, "only one of three was looked at"
    for exercise, points in (("m.2", "3"), ("m.3", "4")):
        assert main([*command[:4], exercise, points, "--because", "x"]) == 0
    (result,) = Store(out).load_all()
    assert result.points == 9.5 and not result.needs_a_person and result.status == Status.UNREADABLE
    (page,) = (out / "report" / "students").glob("*.html")
    assert "Your teacher gave 2.5 points:" in page.read_text("utf-8") and "&lt;right&gt;" in page.read_text("utf-8")
    assert main([*command[:4], "m.4", "1", "--because", "x"]) != 0, "a question without a rubric has no points"
    rows = list(csv.DictReader(io.StringIO((out / "grades.csv").read_text("utf-8"))))
    assert (rows[0]["m.1 points"], rows[0]["points"]) == ("2.5", "9.5") and "on paper" in rows[0]["by hand"]
    (out / "by-hand" / f"{result.student.key}.json").write_text("{half")
    with pytest.raises(CourseError, match="given by hand cannot be read"):
        mark_folder(lesson, plan(folder, out, again=True))
    assert Marked({}) == result.marked


def test_without_fork_it_says_so_and_what_was_marked_can_be_read(
    tmp_path: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on Windows, where marks from elsewhere may be looked at: there is no fcntl."""
    folder = fill(tmp_path / "in", "Ada.ipynb", data=b"")
    mark_folder(lesson, plan(folder, tmp_path / "in-marked"))
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delitem(sys.modules, "course_utils.grading.inside.linux", raising=False)
    monkeypatch.delattr(inside, "linux", raising=False)
    monkeypatch.setattr(sandbox, "os", SimpleNamespace(name="nt"))
    assert main(["grade", str(folder)]) == 1
    assert "marking needs Linux or macOS" in (told := capsys.readouterr().err) and "use WSL" in told
    assert main(["grade", str(folder), "--explain", "Ada", "m.1"]) == 0
    assert "Ada: unreadable" in capsys.readouterr().out
    assert main(["grade", str(folder), "--set", "Ada", "m.1", "1", "--because", "It is right."]) == 0


def test_answers_in_words_get_points_against_their_rubric(tmp_path: Path, lesson: Lesson) -> None:
    """Here without the command; until each answer has its points, no gradebook has a sum in which they are 0."""
    given = {"m.4": ByHand(1.0, "One of two.", "now")}
    results = []
    for name, words, by_hand in (("Ada", "Since ...", given), ("Ben", "So ...", {}), ("Cleo", "", {})):
        marked = Marked({id: Mark(Ruling.PASS, 3, 3) for id in lesson.ids}, prose={"m.4": words})
        one = make_result(Submission(Student(key(name), name), (), parse(NOTEBOOK)), lesson, "p", marked)
        results.append(replace(one, by_hand=by_hand, in_words={"m.4": 2}))
    assert [(one.points, one.out_of) for one in results] == [(10, 12), (9, 10), (9, 10)]
    canvas = exports.canvas(lesson, results)
    assert [row[-1] for row in canvas[1:]] == [12, 10, "", 9]
    grades = exports.grades(lesson, results)
    assert (grades[0][-1], [row[-1] for row in grades[1:]]) == ("m.4 points", [1, "", ""])
    assert "of 2:</b> One of two." in report.student_page(lesson, results[0])
    assert "1 of 2: One of two." in report.class_page(lesson, results, [])


def test_every_question_of_the_course_has_a_rubric() -> None:
    for number in ("1", "6"):
        one = load_lesson(number)
        asked = {id for id, role in exercise_roles(one.notebook).values() if role == "prose"}
        assert asked and asked == {question.id for question in one.questions}


@pytest.mark.slow
def test_each_lesson_is_taken_for_itself_and_for_no_other() -> None:
    """All lessons begin with the same setup cell."""
    known = [load_lesson(number) for number in LESSONS]
    for mine in known:
        assert [other.name for other in known if intake.is_of(other, mine.notebook)] == [mine.name]
