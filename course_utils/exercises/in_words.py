"""Questions in words: an answer to compare one's own with, shown once there is one.

The question itself stands in the notebook, in a Markdown cell that begins with `<!-- answer 2.aq -->`. Nobody marks
the words by machine: a teacher reads them, with what the answer here looks for.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACEHOLDER = "*Your answer here.*"
"""Stands in the cell until the learner writes there."""


@dataclass(frozen=True)
class Question:
    """A question in words.

    Attributes:
        id: as in the notebook, "2.aq".
        answer: one that is right, as a learner could have written it.
        looks_for: what a right answer says, a point each; for whoever reads the answers.
    """

    id: str
    answer: str
    looks_for: tuple[str, ...]


def words_in(notebook: dict[str, Any], id: str) -> str | None:
    """What a learner has written under question ``id`` of a notebook (its JSON); None where it has no such cell.

    The first line is the mark, the first paragraph the question; what follows is the learner's, but for the
    placeholder.
    """
    mark = re.compile(rf"<!--\s*answer\s+{re.escape(id)}\s*-->")
    for cell in notebook.get("cells", []):
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        found = mark.search(text)
        if cell.get("cell_type") == "markdown" and found:
            own = text[found.end() :].strip().split("\n\n", 1)[1:]
            return "\n".join(own).replace(PLACEHOLDER, "").strip()
    return None


def own_notebook() -> dict[str, Any] | None:
    """The notebook in which this is called, as it was last saved; None where that cannot be found out.

    JupyterLab and Notebook name the file in the kernel's environment, VS Code in the notebook's names, and Colab is
    asked.
    """
    if "google.colab" in sys.modules:
        try:
            colab = importlib.import_module("google.colab")
            answer = colab._message.blocking_request("get_ipynb", timeout_sec=10)
            return dict(answer["ipynb"]) if answer else None
        except Exception:  # Colab promises nothing about it
            return None
    main = sys.modules.get("__main__")
    path = getattr(main, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME", "")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
