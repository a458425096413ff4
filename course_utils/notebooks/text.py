"""A notebook as a Python file and back: jupytext's percent format; outputs stay where the source does."""

from __future__ import annotations

import jupytext
from nbformat import NotebookNode

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
