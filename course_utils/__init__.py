"""The tested solutions, exercises and tools behind a course that opens up a language model.

`from course_utils import load_model` is where every notebook starts. Importing this package is quick: torch,
transformers and nnsight come in when a model is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_utils.models import ModelError, in_use, load_model

__version__ = "0.1.0"
__all__ = ["ModelError", "__version__", "in_use", "load_model"]


def __getattr__(name: str) -> Any:
    if name in ("ModelError", "in_use", "load_model"):
        from course_utils import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
