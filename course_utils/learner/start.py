"""`course start`: the lessons in a folder of the learner's own, and later versions of them without a lost answer.

What was copied is kept beside, in ``.course``: so it is known which cells the learner has changed, added or removed. An
update brings new cells, and a new text for cells that nobody touched. A cell that the learner changed stays as it is.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:  # nbformat comes in only when a notebook is read
    from nbformat import NotebookNode

AS_COPIED = ".course"
IN_THE_PACKAGE = Path(__file__).resolve().parent.parent / "lessons"


def source() -> Path:
    """The folder of the course's lessons: the installed package's, or a checkout's.

    Raises:
        CourseError: there is neither.
    """
    from course_utils.notebooks import files

    if IN_THE_PACKAGE.is_dir():
        return IN_THE_PACKAGE
    return files.project_root() / "notebooks"


def start(folder: Path, lessons: Path | None = None) -> dict[str, str]:
    """Copy the lessons into ``folder``, or bring those that are there up to date.

    Returns:
        for each lesson's file name "copied", "up to date", "updated", or "left alone" where a file of that name did not
        come from here. The notebook as it was before an update is kept as NAME.before.ipynb in ``.course``.

    Raises:
        CourseError: the folder cannot be written, or is the checkout's own.
    """
    from course_utils.notebooks import files

    lessons = lessons or source()
    if folder.resolve() == lessons.resolve():
        raise CourseError(f"{folder}: holds the course's own lessons. Name another folder, for your copies.")
    try:
        (folder / AS_COPIED).mkdir(parents=True, exist_ok=True)
        return {path.name: _one(path, folder) for path in files.lessons(lessons.parent, lessons.name)}
    except OSError as error:
        raise CourseError(f"{folder}: cannot be written ({error}). Name another folder.") from None


def merged(base: NotebookNode, own: NotebookNode, new: NotebookNode) -> NotebookNode:
    """The learner's notebook with what has changed between ``base``, which it was copied from, and ``new``.

    Cells are known by their ids, which Jupyter keeps and which follow from a lesson cell's text or exercise.
    """
    base_by_id, own_by_id = ({cell.id: cell for cell in notebook.cells} for notebook in (base, own))
    new_ids = {cell.id for cell in new.cells}
    kept_behind: dict[str | None, list[NotebookNode]] = {}  # the learner's own cells, by the lesson's cell before them
    before: str | None = None
    for cell in own.cells:
        if cell.id in new_ids:
            before = cell.id
        elif cell.id not in base_by_id or cell.source != base_by_id[cell.id].source:
            kept_behind.setdefault(before, []).append(cell)
    result = copy.deepcopy(own)
    result.cells = list(kept_behind.get(None, []))
    for cell in new.cells:
        mine, was = own_by_id.get(cell.id), base_by_id.get(cell.id)
        if mine is None and was is None:
            result.cells.append(cell)
        elif mine is not None:
            untouched = was is not None and mine.source == was.source and mine.source != cell.source
            result.cells.append(cell if untouched else mine)
        result.cells.extend(kept_behind.get(cell.id, []))
    return result


def _one(lesson: Path, folder: Path) -> str:
    from course_utils.notebooks import files

    target, base = folder / lesson.name, folder / AS_COPIED / lesson.name
    if not target.exists():
        _put(lesson.read_bytes(), base)
        _put(lesson.read_bytes(), target)
        return "copied"
    if not base.is_file():
        return "left alone"
    if base.read_bytes() == lesson.read_bytes():
        return "up to date"
    updated = merged(files.read(base), files.read(target), files.read(lesson))
    shutil.copyfile(target, base.with_name(f"{target.stem}.before.ipynb"))
    files.write(updated, target)
    _put(lesson.read_bytes(), base)
    return "updated"


def _put(contents: bytes, path: Path) -> None:
    """Write the file in one step: whole, or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".part")
    with os.fdopen(handle, "wb") as out:
        out.write(contents)
    os.chmod(partial, 0o644)
    os.replace(partial, path)
