"""What no lesson says in words of its own: its setup cell and badge, its exercises' titles and hints, its questions.

The first two follow from the address in pyproject.toml, the others from the exercises (:mod:`.exercise_text`) and from
what is to be predicted (:mod:`.prediction_text`).
"""

from __future__ import annotations

import copy
import re

import nbformat
from nbformat import NotebookNode

from course_utils import colab
from course_utils.notebooks.exercise_text import write_exercises
from course_utils.notebooks.prediction_text import write_questions

BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)\s]*\)\]\(([^)\s]*)\)")
"""A badge in Markdown; its group is where it leads."""
_LINK = re.compile(r"https://colab\.research\.google\.com/github/[^)\s]*/(\w+)\.ipynb")


def furnish(notebook: NotebookNode, name: str, *, version: str, repository: str) -> NotebookNode:
    """Return a copy of the lesson called `name` with all of this written where it belongs; outputs stay as they are.

    The badge stands under the title, the setup cell before all code, what is of an exercise above its answer cell,
    what is to be predicted above the cell of the guess.
    """
    result = copy.deepcopy(notebook)
    _renew_badge(result, badge(name, version=version, repository=repository))
    _renew_setup(result, colab.setup_cell(version, repository))
    write_exercises(result)
    write_questions(result)
    return result


def badge(name: str, *, version: str, repository: str) -> str:
    """The badge, in Markdown, that opens lesson `name` on Colab."""
    return f"[![Open in Colab]({BADGE_IMAGE})]({colab_address(name, version=version, repository=repository)})"


def colab_address(name: str, *, version: str, repository: str) -> str:
    """Where Colab opens lesson `name`: at the tag of `version`, so that notebook and installed package agree."""
    path = repository.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}/blob/v{version}/notebooks/{name}.ipynb"


def renew_addresses(text: str, *, version: str, repository: str) -> str:
    """Return `text` with each link to a notebook on Colab leading to this version in this repository."""

    def renewed(link: re.Match[str]) -> str:
        return colab_address(link.group(1), version=version, repository=repository)

    return _LINK.sub(renewed, text)


def _renew_badge(notebook: NotebookNode, wanted: str) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and BADGE.search(cell.source):
            cell["source"] = BADGE.sub(lambda _: wanted, cell.source)
            return
    title = next((cell for cell in notebook.cells if cell.cell_type == "markdown"), None)
    if title is None:
        return
    first, _, rest = title.source.partition("\n")
    title["source"] = f"{first}\n\n{wanted}\n\n{rest.lstrip(chr(10))}".rstrip("\n")


def _renew_setup(notebook: NotebookNode, wanted: str) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith(colab.MARK):
            break
    else:
        cell = nbformat.v4.new_code_cell("")
        first = next((i for i, each in enumerate(notebook.cells) if each.cell_type == "code"), len(notebook.cells))
        notebook.cells.insert(min(first, 1), cell)
    if cell.source != wanted:
        cell["source"], cell["outputs"], cell["execution_count"] = wanted, [], None
    # What it finds differs from machine to machine.
    cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "nbval-ignore-output"})
