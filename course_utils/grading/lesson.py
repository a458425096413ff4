"""The lesson that submissions are marked against: one of the course's, or a teacher's own folder."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, Exercise, get_exercise, questions, register
from course_utils.exercises.in_words import Question
from course_utils.notebooks import files
from course_utils.notebooks.normalise import exercise_roles, normalise, parse_cell


@dataclass(frozen=True)
class Lesson:
    """What a submission is compared with.

    Attributes:
        source: what :func:`load_lesson` was given; another process gets the same lesson from it.
        path: the reference notebook.
        notebook: its contents, normalised, so that each cell has its id and role.
        exercises: in the order of the notebook.
        modules: import names of the modules that define the exercises.
        folder: a teacher's own lesson: the folder whose modules the notebook imports; None for one of the course's.
    """

    source: str
    path: Path
    notebook: NotebookNode = field(compare=False)
    exercises: tuple[Exercise, ...]
    modules: tuple[str, ...]
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The notebook's name without its ending."""
        return self.path.stem

    @property
    def ids(self) -> list[str]:
        """The exercises' ids, in order."""
        return [exercise.id for exercise in self.exercises]

    def exercise(self, id: str) -> Exercise:
        """The exercise of that id; KeyError if the lesson has none."""
        for exercise in self.exercises:
            if exercise.id == id:
                return exercise
        raise KeyError(id)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The questions in words with their rubrics; a teacher's own modules list theirs as `QUESTIONS`."""
        if self.folder is None:
            return tuple(
                one for number in dict.fromkeys(id.split(".")[0] for id in self.ids) for one in questions(number)
            )
        return tuple(one for name in self.modules for one in getattr(sys.modules[name], "QUESTIONS", ()))

    @cached_property
    def model(self) -> str | None:
        """The name of the model that the notebook loads, to be loaded once for all; None if it loads none."""
        from course_utils.model.loading import DEFAULT_MODEL

        for cell in self.notebook.cells:
            for node in (node for statement in parse_cell(cell.source) for node in ast.walk(statement)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_model":
                    if not node.args:
                        return os.environ.get("COURSE_MODEL") or DEFAULT_MODEL
                    if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                        return node.args[0].value
        return None

    @cached_property
    def digest(self) -> str:
        """A fingerprint of the notebook and of all code that judges; when it changes, everything is marked again."""
        import course_utils

        package = Path(course_utils.__file__).parent
        sources = [self.path, *sorted(package.glob("*.py"))]
        for wing in ("model", "sweeps", "pictures", "exercises", "grading"):
            sources += sorted((package / wing).rglob("*.py"))
        if self.folder is not None:
            sources += sorted(self.folder.glob("*.py"))
        judged = hashlib.sha256()
        for source in sources:
            judged.update(hashlib.sha256(source.read_bytes()).digest())
        return judged.hexdigest()


def load_lesson(source: str) -> Lesson:
    """The lesson meant by ``source``: a number or name ("4", "logit_lens"), or a teacher's own folder or notebook.

    A folder of one's own holds one notebook, written with the exercise protocol, and beside it the modules that it
    imports; those define the exercises, in a list ``EXERCISES`` or through ``register``. They are imported here: the
    folder is the teacher's.

    Raises:
        CourseError: there is no such lesson, it has no exercise, or an exercise is not defined; it says what to do.
    """
    given = Path(source)
    folder = None
    if given.is_dir() or (given.suffix == ".ipynb" and given.is_file() and not _is_the_courses(given)):
        folder = (given if given.is_dir() else given.parent).resolve()
        path = _only_notebook(folder) if given.is_dir() else given.resolve()
        modules = _import_beside(folder)
    else:
        (path,) = files.find([source])
        modules = []
    notebook = normalise(files.read(path))
    ids = list(dict.fromkeys(id for _, (id, role) in sorted(exercise_roles(notebook).items()) if role == "check"))
    if not ids:
        raise CourseError(
            f'{path}: no exercise in it. A check cell reads `name = check("4.1", name)`, '
            "after the cell that defines `name`."
        )
    exercises = []
    for id in ids:
        try:
            exercises.append(get_exercise(id))
        except KeyError as error:
            raise CourseError(f"{path.name} checks exercise {id}, which nothing defines: {error.args[0]}") from None
    if folder is None:
        numbers = dict.fromkeys(id.split(".")[0] for id in ids)
        modules = [f"course_utils.exercises.{LESSONS[number]}" for number in numbers if number in LESSONS]
        return Lesson(path.stem, path, notebook, tuple(exercises), tuple(modules))
    # A name or a whole path: who marks may have another working directory.
    return Lesson(str(given.resolve()), path, notebook, tuple(exercises), tuple(modules), folder)


def reference_module(exercise: Exercise) -> Path:
    """The file in which an exercise's reference is defined."""
    found = inspect.getsourcefile(exercise.reference)
    if found is None:
        raise CourseError(
            f"the source of the reference of exercise {exercise.id} cannot be found; define it in a module"
        )
    return Path(found).resolve()


def _is_the_courses(path: Path) -> bool:
    try:
        return path.resolve().parent == files.project_root() / "notebooks"
    except CourseError:
        return False


def _only_notebook(folder: Path) -> Path:
    found = sorted(folder.glob("*.ipynb"))
    if len(found) != 1:
        raise CourseError(
            f"{folder}: a lesson's folder holds one notebook, this one holds {len(found)}; name the notebook instead"
        )
    return found[0]


def _import_beside(folder: Path) -> list[str]:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    names = [path.stem for path in sorted(folder.glob("*.py")) if path.stem.isidentifier()]
    for name in names:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise CourseError(f"{folder / name}.py cannot be imported ({type(error).__name__}: {error})") from error
        if Path(str(module.__file__)).resolve().parent != folder:
            raise CourseError(f"{name}.py has the name of an installed module, {module.__file__}; give it another")
        register(*getattr(module, "EXERCISES", ()))
    if not names:
        raise CourseError(f"{folder}: no module beside the notebook defines its exercises")
    return names
