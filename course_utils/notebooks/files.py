"""Where the notebooks are, and how one is read and written."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.errors import CourseError


def project_root(start: Path | None = None) -> Path:
    """The checkout's folder: the nearest above `start` (default: here) with this project's pyproject.toml.

    Raises CourseError outside a checkout.
    """
    here = (start or Path.cwd()).resolve()
    beside_package = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, beside_package):
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and 'name = "course-utils"' in pyproject.read_text(encoding="utf-8"):
            return folder
    raise CourseError(f"no checkout of the course in {here} or above it; change into your clone of it")


def project_settings(root: Path) -> dict[str, str]:
    """The version and the repository's address, from the one place where they stand."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"version": project["version"], "repository": project["urls"]["Repository"].rstrip("/")}


def lessons(root: Path, folder: str = "notebooks") -> list[Path]:
    """The notebooks in the order of the lessons; what Jupyter names `01_...-Copy1.ipynb` is no lesson."""
    named = re.compile(r"\d+_\w+\.ipynb")
    return sorted(path for path in (root / folder).glob("[0-9]*.ipynb") if named.fullmatch(path.name))


def root_of_lesson(path: Path) -> Path | None:
    """The checkout in whose `notebooks` folder `path` lies; None for any other notebook."""
    folder = path.resolve().parent
    if folder.name == "notebooks" and (folder.parent / "pyproject.toml").is_file():
        return folder.parent
    return None


def find(names: list[str]) -> list[Path]:
    """The notebooks meant by `names`: a path, `02_residual_stream`, `residual_stream`, `02`, `2`; none: all.

    Raises CourseError for a name that means none, and lists those that there are.
    """
    if not names:
        return lessons(project_root())
    return [_find_one(name) for name in names]


def read(path: Path) -> NotebookNode:
    """The notebook in the file; CourseError says why if it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise CourseError(f"{path}: no such notebook") from None
    except Exception as error:  # nbformat raises many kinds for a file that is no notebook
        raise CourseError(f"{path}: cannot be read as a notebook ({type(error).__name__}: {error})") from None


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write the notebook as git likes it (sorted keys, final line break); False if nothing changed."""
    nbformat.validate(notebook)
    style = {"indent": 1, "ensure_ascii": False, "sort_keys": True}
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT, **style).rstrip("\n") + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
    return True


def _find_one(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path
    known = lessons(project_root())
    wanted = path.name.removesuffix(".ipynb")
    for candidate in known:
        number, _, title = candidate.stem.partition("_")
        short = re.fullmatch(r"0*(\d+)", wanted)
        if wanted in (candidate.stem, title) or (short and int(short.group(1)) == int(number)):
            return candidate
    listed = ", ".join(candidate.stem for candidate in known) or "none yet"
    raise CourseError(f"no notebook {name!r}; there are: {listed}")
