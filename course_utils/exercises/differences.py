"""Where two frozen values part, told to the learner: first in form, and only then in a number or a word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.messages import say
from course_utils.exercises.values import Frozen, Unknown


@dataclass(frozen=True)
class Difference:
    """The first place where two values part.

    ``form``: they part in type, length, keys, shape or dtype, not in a number or a word.
    """

    where: str
    message: str
    form: bool

    @property
    def told(self) -> str:
        if not self.where:
            return self.message
        return say(messages.AT_PLACE, place=self.where, message=self.message)


def first_difference(expected: Any, got: Any, axes: tuple[str, ...] = (), tolerance: float = 1e-3) -> Difference | None:
    """Where two frozen values first part, or None. Form is compared everywhere before any number is.

    Args:
        axes: what the indices mean, outermost first; those that are not named are called "index".
        tolerance: relative to the largest expected magnitude in the same tensor (or list of numbers).
    """
    return _form(expected, got, axes, ()) or _values(expected, got, axes, (), tolerance)


def _form(expected: Any, got: Any, axes: tuple[str, ...], path: tuple[Any, ...]) -> Difference | None:
    where = _place(path, axes)
    if isinstance(got, Unknown):
        return _other_kind(where, got, expected)
    if got is None and expected is not None:
        template = messages.NONE_CAME if path else messages.NONE_RETURNED
        return Difference(where, say(template, expected=_told(expected)), True)
    if isinstance(expected, Frozen):
        if not isinstance(got, Frozen):
            return _other_kind(where, got, expected)
        if got.tensor.shape != expected.tensor.shape:
            wanted = _named_shape(expected, axes, path)
            return Difference(where, say(messages.OTHER_SHAPE, got=tuple(got.tensor.shape), expected=wanted), True)
        if _kind(got.tensor) != _kind(expected.tensor):
            said = say(messages.OTHER_DTYPE, got=got.tensor.dtype, expected=expected.tensor.dtype)
            return Difference(where, said, True)
        if got.device != expected.device:
            return Difference(where, say(messages.OTHER_DEVICE, got=got.device, expected=expected.device), True)
        if (
            got.tensor.is_floating_point()
            and bool(got.tensor.isnan().any())
            and not bool(expected.tensor.isnan().any())
        ):
            first = tuple(int(i) for i in got.tensor.isnan().nonzero()[0])
            return Difference(_place(path + first, axes), messages.NAN_IN_TENSOR, True)
        return None
    if isinstance(expected, bool) or isinstance(got, bool):
        same = isinstance(expected, bool) and isinstance(got, bool)
        return None if same else _other_kind(where, got, expected)
    if isinstance(expected, int | float):
        if not isinstance(got, int | float):
            return _other_kind(where, got, expected)
        if math.isnan(got) and not math.isnan(expected):
            return Difference(where, messages.NAN_FOR_NUMBER, True)
        return None
    if type(expected) is not type(got):
        return _other_kind(where, got, expected)
    if isinstance(expected, list):
        if len(expected) != len(got):
            return Difference(where, say(messages.OTHER_LENGTH, got=len(got), expected=len(expected)), True)
        return _first(_form(e, g, axes, (*path, i)) for i, (e, g) in enumerate(zip(expected, got, strict=True)))
    if isinstance(expected, dict):
        if expected.keys() != got.keys():
            template = messages.OTHER_KEYS if got else messages.NO_KEYS
            keys = {"got": ", ".join(map(repr, got)), "expected": ", ".join(map(repr, expected))}
            return Difference(where, say(template, **keys), True)
        return _first(_form(expected[key], got[key], axes, (*path, key)) for key in expected)
    return None


def _values(
    expected: Any, got: Any, axes: tuple[str, ...], path: tuple[Any, ...], tolerance: float
) -> Difference | None:
    if isinstance(expected, Frozen):
        e, g = expected.tensor, got.tensor
        if not e.is_floating_point():
            apart = e != g
        else:
            if g.is_floating_point():  # within the precision of the type in which it came
                tolerance = max(tolerance, torch.finfo(g.dtype).eps)
            e, g = e.double(), g.double()
            finite = e[e.isfinite()].abs()
            scale = float(finite.max()) if finite.numel() else 1.0
            # Where all is exactly 0 there is no scale, and a right sum of numbers that cancel is off by their rounding.
            allowed = tolerance * (scale or 1e-3) + 1e-8
            apart = ~(torch.isclose(g, e, rtol=tolerance, atol=allowed, equal_nan=True))
        if not bool(apart.any()):
            return None
        first = tuple(int(i) for i in apart.nonzero()[0])
        return _other_value(_place(path + first, axes), _number(g[first].item()), _number(e[first].item()))
    if isinstance(expected, list):
        if expected and all(
            isinstance(item, float) for item in expected
        ):  # numbers in a list share one scale, as in a tensor
            wanted, came = (Frozen(torch.tensor(values, dtype=torch.float64), "cpu") for values in (expected, got))
            return _values(wanted, came, axes, path, tolerance)
        return _first(
            _values(e, g, axes, (*path, i), tolerance) for i, (e, g) in enumerate(zip(expected, got, strict=True))
        )
    if isinstance(expected, dict):
        return _first(_values(expected[key], got[key], axes, (*path, key), tolerance) for key in expected)
    if isinstance(expected, float):
        same = got == expected or math.isclose(expected, got, rel_tol=tolerance, abs_tol=1e-6)
        if same or (math.isnan(expected) and math.isnan(got)):
            return None
        return _other_value(_place(path, axes), _number(got), _number(expected))
    if expected != got:
        return _other_value(_place(path, axes), _short(got), _short(expected))
    return None


def _other_kind(where: str, got: Any, expected: Any) -> Difference:
    return Difference(where, say(messages.OTHER_KIND, got=_told(got), expected=_told(expected)), True)


def _other_value(where: str, got: str, expected: str) -> Difference:
    return Difference(where, say(messages.OTHER_VALUE, got=got, expected=expected), False)


def _first(differences: Any) -> Difference | None:
    return next((difference for difference in differences if difference), None)


def _place(path: tuple[Any, ...], axes: tuple[str, ...]) -> str:
    steps, names = [], list(axes)
    for step in path:
        if isinstance(step, str):
            steps.append(f"'{step}'")
        else:
            steps.append(f"{names.pop(0) if names else messages.INDEX} {step}")
    return ", ".join(steps)


def _named_shape(expected: Frozen, axes: tuple[str, ...], path: tuple[Any, ...]) -> str:
    shape = expected.tensor.shape
    names = axes[sum(not isinstance(step, str) for step in path) :][: len(shape)]
    if len(names) != len(shape):
        return str(tuple(shape))
    return say(messages.SHAPE_WITH_AXES, shape=tuple(shape), axes=", ".join(names))


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_floating_point():
        return "float"
    return "bool" if tensor.dtype == torch.bool else "integer"


def _told(value: Any) -> str:
    if value is None:
        return messages.NONE
    if isinstance(value, Frozen):
        return say(messages.A_TENSOR, shape=tuple(value.tensor.shape))
    if isinstance(value, list):
        return say(messages.A_LIST, length=len(value))
    if isinstance(value, dict):
        return say(messages.A_DICTIONARY, keys=", ".join(map(repr, value)))
    if isinstance(value, Unknown):
        return say(messages.A_VALUE_OF_TYPE, type=value.type_name)
    known = {
        bool: messages.A_BOOL,
        int: messages.A_WHOLE_NUMBER,
        float: messages.A_NUMBER,
        str: messages.A_TEXT,
    }
    return known[type(value)]


def _number(value: float | int | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:60] + " … " + shown[-15:]
