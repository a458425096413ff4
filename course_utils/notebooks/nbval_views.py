"""A pytest plugin for nbval: of a view it compares the words and not the data.

The data are numbers rounded to what is shown, some hundreds in a view: on another processor one of them rounds the
other way, and nothing that anyone could see has changed. The words say what must stay.
"""

from __future__ import annotations

from typing import Any

from course_utils.pictures import VIEW_TYPE


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Add the type to what each notebook's cells leave out of the comparison."""
    for notebook in {id(item.parent): item.parent for item in items if hasattr(item.parent, "skip_compare")}.values():
        notebook.skip_compare = (*notebook.skip_compare, VIEW_TYPE)
