"""Numbers and labels made small and checked, before a view takes them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_utils.pictures.plots import Values, as_array


def checked(values: Values, what: str, shape: Sequence[int | str]) -> np.ndarray:
    """Values as a float array of a shape, given as numbers (which must agree) and names (of any size from 1).

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    table = as_array(values)
    fits = table.ndim == len(shape) and all(
        size == wanted if isinstance(wanted, int) else size > 0
        for size, wanted in zip(table.shape, shape, strict=False)
    )
    if not fits:
        raise ValueError(f"{what} has shape {table.shape}; expected ({', '.join(map(str, shape))}).")
    if not np.isfinite(table).all():
        raise ValueError(f"{what} holds a number that is not finite; a view shows finite numbers only.")
    return table


def rounded(table: np.ndarray, digits: int) -> Any:
    """An array as nested lists with that many decimals; whole numbers where that is 0, and no minus before a zero."""
    short = np.round(table, digits) + 0.0
    return short.astype(int).tolist() if digits == 0 else short.tolist()


def packed(weights: np.ndarray, what: str) -> str:
    """Attention weights in percent, in the order of the array, as base64: one byte for each.

    Raises:
        ValueError: a weight lies outside 0 to 1.
    """
    if weights.min() < -1e-3 or weights.max() > 1.001:
        raise ValueError(f"{what} runs from {weights.min():.3g} to {weights.max():.3g}; a weight lies between 0 and 1.")
    return base64.b64encode(np.clip(np.round(100 * weights), 0, 100).astype(np.uint8).tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """What :func:`packed` was given, in percent and as one row."""
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def readable(token: str) -> str:
    """A token for the words and the module: a leading space as a raised dot, a line break as an arrow."""
    return token.replace(" ", "·").replace("\n", "↵").replace("\t", "⇥")
