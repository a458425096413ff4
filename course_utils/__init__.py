"""The tested solutions, exercises and tools behind a course that opens up a language model.

`from course_utils import load_model` is where every notebook starts. Importing this package is quick: torch,
transformers and nnsight come in when a model is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_utils.model.anatomy import anatomy
    from course_utils.model.errors import ModelError
    from course_utils.model.loading import in_use, load_model
    from course_utils.model.places import places

__version__ = "0.1.0"
__all__ = ["ModelError", "__version__", "anatomy", "in_use", "load_model", "places"]

_HOMES = {
    "anatomy": "anatomy",
    "in_use": "loading",
    "load_model": "loading",
    "ModelError": "errors",
    "places": "places",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"course_utils.model.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
