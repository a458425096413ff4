"""What a person who calls the course wrongly is told: the command line's exception, and an unknown option's refusal."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any


class CourseError(Exception):
    """Something the person at the keyboard can put right; its text says how. Shown without a traceback."""


def refuse_unknown_options(function: Callable[..., Any], given: Iterable[str], options: type) -> None:
    """Do for a function with ``**options: Unpack[...]`` what Python does for one that lists them: it lets any name
    through.

    Args:
        given: the names that a call passed.
        options: the TypedDict of those that there are, besides the function's own parameters.

    Raises:
        TypeError: a name is not among them. The message names it, the one that was probably meant, and all that there
            are.
    """
    parameters = inspect.signature(function).parameters.values()
    own = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
    known = [*own, *options.__annotations__]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise TypeError(f"{function.__name__} has no option {name!r}{meant} It has {', '.join(known)}.")
