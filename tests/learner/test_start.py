"""`course start`: copies of the lessons, and updates that lose nothing of the learner's."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.errors import CourseError
from course_utils.learner.start import AS_COPIED, merged, source, start


def cell(id: str, text: str, kind: str = "code") -> NotebookNode:
    made = new_code_cell(text) if kind == "code" else new_markdown_cell(text)
    made["id"] = id
    return made


def notebook(*cells: tuple[str, str]) -> NotebookNode:
    return new_notebook(cells=[cell(id, text) for id, text in cells])


def shown(found: NotebookNode) -> list[tuple[str, str]]:
    return [(each.id, each.source) for each in found.cells]


BASE = notebook(("c-1", "import x"), ("ex-1-1-answer", "raise"), ("c-2", "check"), ("c-3", "old text"))


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    folder = tmp_path / "course" / "lessons"
    folder.mkdir(parents=True)
    nbformat.write(BASE, folder / "01_small.ipynb")
    nbformat.write(BASE, folder / "02_other.ipynb")
    (folder / "01_small-Copy1.ipynb").write_text("not a lesson")
    return folder


def test_the_lessons_are_copied_and_copies_of_copies_are_not(lessons: Path, tmp_path: Path) -> None:
    done = start(tmp_path / "mine", lessons)
    assert done == {"01_small.ipynb": "copied", "02_other.ipynb": "copied"}
    assert (tmp_path / "mine" / "01_small.ipynb").read_bytes() == (lessons / "01_small.ipynb").read_bytes()
    assert start(tmp_path / "mine", lessons) == dict.fromkeys(done, "up to date")


def test_work_is_never_overwritten(lessons: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    start(mine, lessons)
    worked = notebook(*shown(BASE)[:1], ("ex-1-1-answer", "return 7"), *shown(BASE)[2:])
    nbformat.write(worked, mine / "01_small.ipynb")
    before = (mine / "01_small.ipynb").read_bytes()
    start(mine, lessons)
    assert (mine / "01_small.ipynb").read_bytes() == before


def test_a_file_of_that_name_that_did_not_come_from_here_is_left_alone(lessons: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "01_small.ipynb").write_text("my own")
    assert start(mine, lessons)["01_small.ipynb"] == "left alone"
    assert (mine / "01_small.ipynb").read_text() == "my own"


def test_an_update_comes_as_new_cells_and_keeps_the_answer(lessons: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    start(mine, lessons)
    worked = notebook(("c-1", "import x"), ("ex-1-1-answer", "return 7"), ("own", "mine"), *shown(BASE)[2:])
    nbformat.write(worked, mine / "01_small.ipynb")
    before = (mine / "01_small.ipynb").read_bytes()
    new = notebook(*shown(BASE)[:3], ("c-4", "new text"), ("c-5", "more"))
    nbformat.write(new, lessons / "01_small.ipynb")
    assert start(mine, lessons) == {"01_small.ipynb": "updated", "02_other.ipynb": "up to date"}
    assert shown(nbformat.read(mine / "01_small.ipynb", as_version=4)) == [
        ("c-1", "import x"), ("ex-1-1-answer", "return 7"), ("own", "mine"), ("c-2", "check"), ("c-4", "new text"),
        ("c-5", "more"),
    ]  # fmt: skip
    assert (mine / AS_COPIED / "01_small.before.ipynb").read_bytes() == before
    assert start(mine, lessons)["01_small.ipynb"] == "up to date"


@pytest.mark.parametrize(
    ("own", "new", "result"),
    [
        # The learner deleted a cell: it does not come back.
        ([("a", "1")], [("a", "1"), ("b", "2")], [("a", "1")]),
        # Edited by the learner and gone from the lesson: it stays, where it stood.
        ([("a", "1"), ("b", "mine")], [("a", "1"), ("c", "3")], [("a", "1"), ("b", "mine"), ("c", "3")]),
        # Untouched and gone from the lesson: it goes.
        ([("a", "1"), ("b", "2")], [("a", "1")], [("a", "1")]),
        # Untouched, with a new text under the same id (an answer's stub): the new text.
        ([("a", "1"), ("b", "2")], [("a", "1"), ("b", "2 new")], [("a", "1"), ("b", "2 new")]),
        # Edited, with a new text under the same id: the learner's.
        ([("a", "1"), ("b", "mine")], [("a", "1"), ("b", "2 new")], [("a", "1"), ("b", "mine")]),
        # Cells of the learner's own in front of all.
        ([("own", "x"), ("a", "1"), ("b", "2")], [("a", "1"), ("b", "2")], [("own", "x"), ("a", "1"), ("b", "2")]),
        # All of them deleted.
        ([], [("a", "1"), ("b", "2"), ("c", "3")], [("c", "3")]),
    ],
)
def test_three_versions_are_merged(
    own: list[tuple[str, str]], new: list[tuple[str, str]], result: list[tuple[str, str]]
) -> None:
    base = notebook(("a", "1"), ("b", "2"))
    assert shown(merged(base, notebook(*own), notebook(*new))) == result


def test_cut_off_between_two_files_the_next_start_brings_it_to_the_end(lessons: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    start(mine, lessons)
    nbformat.write(notebook(*shown(BASE), ("c-9", "more")), lessons / "01_small.ipynb")
    old = (mine / AS_COPIED / "01_small.ipynb").read_bytes()
    start(mine, lessons)
    (mine / AS_COPIED / "01_small.ipynb").write_bytes(old)  # as if it had been killed before this one was written
    start(mine, lessons)
    assert shown(nbformat.read(mine / "01_small.ipynb", as_version=4)) == [*shown(BASE), ("c-9", "more")]


def test_a_learners_file_that_is_broken_is_named_and_left(lessons: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    start(mine, lessons)
    (mine / "01_small.ipynb").write_text("{")
    nbformat.write(notebook(*shown(BASE), ("c-9", "more")), lessons / "01_small.ipynb")
    with pytest.raises(CourseError, match=r"01_small\.ipynb: cannot be read as a notebook"):
        start(mine, lessons)
    assert (mine / "01_small.ipynb").read_text() == "{"


def test_the_courses_own_folder_and_one_that_cannot_be_written_are_refused(lessons: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="holds the course's own lessons"):
        start(lessons, lessons)
    (tmp_path / "a file").write_text("in the way")
    with pytest.raises(CourseError, match="Name another folder"):
        start(tmp_path / "a file" / "mine", lessons)


def test_the_six_lessons_are_found() -> None:
    names = sorted(path.name for path in source().glob("0*.ipynb"))
    assert names[0] == "01_tokens_and_logits.ipynb" and len(names) >= 6


@pytest.mark.slow
def test_a_real_lesson_comes_through_an_update_whole(tmp_path: Path) -> None:
    lessons = tmp_path / "course" / "lessons"
    lessons.mkdir(parents=True)
    shutil.copyfile(source() / "03_kv_cache.ipynb", lessons / "03_kv_cache.ipynb")
    start(tmp_path / "mine", lessons)
    changed = nbformat.read(lessons / "03_kv_cache.ipynb", as_version=4)
    changed.cells.append(cell("c-new", "# new", "markdown"))
    nbformat.write(changed, lessons / "03_kv_cache.ipynb")
    assert start(tmp_path / "mine", lessons) == {"03_kv_cache.ipynb": "updated"}
    assert shown(nbformat.read(tmp_path / "mine" / "03_kv_cache.ipynb", as_version=4)) == shown(changed)
