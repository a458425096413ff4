"""A notebook as one self-contained page, for reading without Jupyter."""

from __future__ import annotations

from pathlib import Path

import nbconvert
from nbformat import NotebookNode


def write_page(notebook: NotebookNode, name: str, folder: Path) -> Path:
    """Write `notebook` as `folder/name.html`, making the folder if it is missing; return the page's path."""
    exporter = nbconvert.HTMLExporter(template_name="lab", embed_images=True)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.html"
    path.write_text(page, encoding="utf-8")
    return path
