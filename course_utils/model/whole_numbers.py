"""Whole numbers as people give them: Python's own, NumPy's, a tensor without axes; what is none is refused by name."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any


def whole_number(asked: Any, name: str) -> int:
    """The whole number that was given as ``name``.

    Raises:
        ValueError: it is none. True and False are none: they are the elements of a mask, which is read otherwise.
    """
    plain = asked.tolist() if hasattr(asked, "tolist") else asked  # NumPy's, or a tensor without axes
    try:
        if not isinstance(plain, bool):
            return operator.index(plain)
    except TypeError:
        pass
    raise ValueError(f"{name}: {_briefly(asked)} is no whole number; one such as 3 was expected.")


def whole_numbers(asked: Any, name: str) -> list[int]:
    """The whole numbers that were given as ``name``: one, or several in a list, a range, an array, a tensor.

    Raises:
        ValueError: something is none.
    """
    plain = asked.tolist() if hasattr(asked, "tolist") else asked
    if isinstance(plain, Iterable) and not isinstance(plain, str | bytes):
        return [whole_number(one, name) for one in plain]
    return [whole_number(plain, name)]


def place(asked: Any, count: int, what: str) -> int:
    """The layer, head or position that was asked for, of ``count`` that are counted from 0.

    Raises:
        ValueError: there is none of that number.
    """
    number = whole_number(asked, what)
    if not 0 <= number < count:
        raise ValueError(f"There is no {what} {number}: there are {what}s 0 to {count - 1}.")
    return number


def _briefly(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
