"""The bytes of a file as a notebook: its cells without outputs. Nothing in it is executed."""

from __future__ import annotations

import json

from nbformat import NotebookNode

SIZE_LIMIT = 20_000_000  # bytes of one notebook
SOURCE_LIMIT = 1_000_000  # characters in its cells; a lesson has about 50,000
CELL_LIMIT = 2_000
PART_LIMIT = 500_000  # lists and objects in its JSON: each takes more memory than its two letters


def parse(data: bytes) -> NotebookNode:
    """The notebook in these bytes, at nbformat 4.5.

    Raises:
        ValueError: it is none, with the reason in words for the one who handed it in.
    """
    if len(data) > SIZE_LIMIT:
        raise ValueError(
            f"it has more than {SIZE_LIMIT:,} bytes; at most these are read. Clear its outputs and hand it in again"
        )
    if not data.strip():
        raise ValueError("the file is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8, which every notebook is") from None
    if text.count("{") + text.count("[") > PART_LIMIT:
        raise ValueError("its outputs are too many. Clear its outputs and hand it in again")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = (
            "a web page was saved instead of the notebook"
            if text.lstrip().startswith("<")
            else f"it is not JSON ({str(error)[:200]})"
        )
        raise ValueError(what) from None
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise ValueError("it is JSON, but not a notebook (it has no nbformat)")
    if raw["nbformat"] != 4:
        raise ValueError(
            f"it is in notebook format {str(raw['nbformat'])[:20]}; open it in Jupyter and save it in format 4"
        )
    cells = raw.get("cells")
    if not isinstance(cells, list) or len(cells) > CELL_LIMIT:
        raise ValueError(
            "it has no list of cells"
            if not isinstance(cells, list)
            else f"it has {len(cells)} cells; at most {CELL_LIMIT} are read"
        )
    read = [_cell(cell, number) for number, cell in enumerate(cells)]
    if (size := sum(len(cell.source) for cell in read)) > SOURCE_LIMIT:
        raise ValueError(f"its cells hold {size:,} characters; at most {SOURCE_LIMIT:,} are read")
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=read)


def _cell(raw: object, number: int) -> NotebookNode:
    """One cell, without its outputs; what a damaged one lacks is not guessed."""
    if not isinstance(raw, dict) or raw.get("cell_type") not in ("code", "markdown", "raw"):
        raise ValueError(f"cell {number} is not a cell of a notebook")
    source = raw.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise ValueError(f"the source of cell {number} is not text")
    source = source.encode("utf-8", "replace").decode("utf-8")  # JSON can carry halves of characters
    source = source.replace("\r\n", "\n")  # or each cell that an editor of Windows wrote would count as edited
    metadata = raw.get("metadata", {})
    kept = {}
    if isinstance(metadata, dict):
        course = metadata.get("course")
        if isinstance(course, dict):
            kept["course"] = {key: str(course[key])[:100] for key in ("exercise", "role") if key in course}
        if isinstance(metadata.get("id"), str):
            kept["id"] = metadata["id"][:100]
    cell: NotebookNode = NotebookNode(cell_type=raw["cell_type"], metadata=NotebookNode(kept), source=source)
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None
    if "course" in kept:
        cell.metadata["course"] = NotebookNode(kept["course"])
    if isinstance(raw.get("id"), str):
        cell["id"] = raw["id"][:100]
    return cell
