"""A notebook as a Python file and back: jupytext's percent format; outputs stay where the source does."""

from __future__ import annotations

import codecs
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.notebooks.normalise import normalise

FORMAT = {"extension": ".py", "format_name": "percent"}


def to_text(notebook: NotebookNode) -> str:
    """The notebook's cells as a Python file; tags stay, what a tool can derive is left out."""
    plain = normalise(notebook)
    plain.metadata["jupytext"] = {"cell_metadata_filter": "tags,-all", "notebook_metadata_filter": "-all"}
    return str(jupytext.writes(plain, fmt=FORMAT))


def from_text(text: str, previous: NotebookNode | None = None) -> NotebookNode:
    """The notebook in `text`, normalised; code cells unchanged since `previous` keep their outputs."""
    notebook = jupytext.reads(text, fmt=FORMAT)
    stored: dict[str, list[NotebookNode]] = {}
    for cell in previous.cells if previous else []:
        if cell.cell_type == "code":
            stored.setdefault(cell.source.strip(), []).append(cell)
    for cell in notebook.cells:
        same = stored.get(cell.source.strip()) if cell.cell_type == "code" else None
        if same:
            old = same.pop(0)
            cell["outputs"], cell["execution_count"] = old.outputs, old.execution_count
    return normalise(notebook)


def read_text(path: Path) -> str:
    """What an editor saved: UTF-8, or UTF-16 with its mark (Windows' PowerShell writes that); with any line breaks.

    Raises:
        CourseError: it cannot be read, is in another encoding, or has no cell in it. A notebook made of it would be
            bent, or empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path}: cannot be read ({error})") from None
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8 (not as ANSI or Windows-1252)."
        raise CourseError(said) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not any(line.startswith("# %%") for line in text.split("\n")):
        raise CourseError(f"{path}: has no cell, which begins with a line `# %%`. Nothing was written.")
    return text
