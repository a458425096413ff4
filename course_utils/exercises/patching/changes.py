"""A mistake that all exercises share whose answer is the logit difference of a patched run: its change is returned."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from course_utils.exercises.protocol import Mistake
from course_utils.patching import logit_difference


def change_for_value(reference: Callable[..., Any]) -> Mistake:
    """The reference's value minus the corrupted run's; the reference takes (model, clean, corrupted, ..., answers)."""

    def change(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(reference).bind(*args, **kwargs)
        given.apply_defaults()
        model, corrupted, answers = (given.arguments[name] for name in ("model", "corrupted", "answers"))
        return reference(*args, **kwargs) - logit_difference(model, corrupted, answers)

    return Mistake(
        "difference to the corrupted run",
        change,
        "This is the change. Return the patched run's logit difference itself.",
    )
