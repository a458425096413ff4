"""The form of a value beside its numbers: array or tensor, list or tuple, one number or a tensor that holds one.

An exercise asks for values, and what its docstring does not forbid is right. But the cells after a check go on with
what the answer returns, and they were written for the reference's form. So a check compares values across forms
(:func:`conform`), and gives back an answer that returns them in the reference's (:func:`in_form`). A driver, which
does something with what an answer returns, gets it in that form from the start: an exercise names it (``returns``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, MappingView, Set
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.exercises.values import MOST_ITEMS, Frozen


def conform(expected: Any, got: Any) -> Any:
    """A frozen value in the container of another, where both can hold the same; else as it is."""
    if isinstance(expected, Frozen):
        if isinstance(got, list):
            if not got and expected.tensor.shape == (0,):
                return expected  # the one value that both can hold
            tensor = _stacked(got)
            if tensor is not None:
                if expected.tensor.is_floating_point() and not tensor.is_floating_point():
                    tensor = tensor.double()  # 1 in a list of numbers is as good as 1.0
                return Frozen(tensor, expected.device)
        return got
    if isinstance(expected, list):
        if isinstance(got, Frozen):
            got = _unbound(got)
        if isinstance(got, list) and len(got) == len(expected):
            return [conform(e, g) for e, g in zip(expected, got, strict=True)]
        return got
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return {key: conform(expected[key], got[key]) for key in expected}
    if isinstance(expected, bool | int | float) and isinstance(got, Frozen) and got.tensor.numel() == 1:
        return got.tensor.item()
    return got


def _stacked(items: list[Any]) -> torch.Tensor | None:
    """Nested lists of numbers, or of tensors, as one tensor; None where they are no such thing."""
    if not items:
        return None
    parts = [
        item.tensor
        if isinstance(item, Frozen)
        else _stacked(item)
        if isinstance(item, list)
        else torch.tensor(item, dtype=torch.float64 if isinstance(item, float) else None)
        if isinstance(item, bool | int | float)
        else None
        for item in items
    ]
    if any(part is None or part.shape != parts[0].shape for part in parts):  # type: ignore[union-attr]
        return None
    kinds = {part.is_floating_point() for part in parts if part is not None}
    if len(kinds) == 2:
        parts = [part.double() for part in parts if part is not None]
    return torch.stack(parts)  # type: ignore[arg-type]


def _unbound(value: Frozen) -> list[Any]:
    rows = value.tensor.unbind(0)
    return [row.item() if row.ndim == 0 else Frozen(row, value.device) for row in rows]


@dataclass(frozen=True)
class Form:
    """What a value is, whatever its numbers are.

    ``kind`` is a type's name ("scalar tensor" for a tensor without axes). Items that are all alike are one item here,
    however many they are. ``keys`` are a dictionary's.
    """

    kind: str
    dtype: torch.dtype | None = None
    items: tuple[Form, ...] = ()
    alike: bool = False
    keys: tuple[Any, ...] = ()


INTEGER = Form("int")
TEXT = Form("str")
INTEGERS = Form("list", items=(INTEGER,), alike=True)
NUMBERS = Form("list", items=(Form("float"),), alike=True)
TEXTS = Form("list", items=(TEXT,), alike=True)
FLOATS = Form("tensor", torch.float32)


def form_of(value: Any, depth: int = 0) -> Form:
    """The form of what an answer returned. Reads nothing that can be read only once."""
    if isinstance(value, torch.Tensor):
        return Form("tensor" if value.ndim else "scalar tensor", value.dtype)
    kind = type(value).__name__
    if depth > 8:
        return Form(kind)
    if type(value) in (list, tuple):
        items = tuple(form_of(item, depth + 1) for item in value)
        alike = len(set(items)) == 1
        return Form(kind, items=items[:1] if alike else items, alike=alike)
    if type(value) is dict:
        items = tuple(form_of(item, depth + 1) for item in value.values())
        return Form(kind, items=items, keys=tuple(value))
    return Form(kind)


def in_form(answer: Callable[..., Any], form: Form) -> Callable[..., Any]:
    """``answer``, which returns its values in ``form``; its source, docstring and signature are still the learner's."""

    @functools.wraps(answer)
    def call(*args: Any, **kwargs: Any) -> Any:
        return as_form(form, answer(*args, **kwargs))

    return call


def as_form(form: Form, value: Any) -> Any:
    """``value`` in ``form``; as it is where it cannot be had in it.

    What a generator raises while it is run through is the answer's own error, and goes on its way.
    """
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, MOST_ITEMS + 1))
    try:
        return _as_form(form, value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return value


def _as_form(form: Form, value: Any) -> Any:
    if form.kind in ("tensor", "list", "tuple") and _is_no_sequence(value):
        return value
    if form.kind in ("tensor", "scalar tensor"):
        if not isinstance(value, torch.Tensor):
            value = _tensor_of(value)
        if form.kind == "scalar tensor" and value.numel() == 1:
            value = value.reshape(())
        return value if form.dtype is None or value.dtype == form.dtype else value.to(form.dtype)
    if form.kind in ("bool", "int", "float"):
        if hasattr(value, "item"):
            value = value.item()  # of one element, whatever its axes; numpy's own float() wants none
        number = {"bool": bool, "int": int, "float": float}[form.kind](value)
        return number if number == value or form.kind == "float" else value  # 1.5 is no whole number
    if form.kind == "str":
        return str(value) if isinstance(value, str) else value
    if form.kind in ("list", "tuple"):
        items = list(itertools.islice(value, MOST_ITEMS + 1))
        if form.alike:
            items = [as_form(form.items[0], item) for item in items]
        elif len(form.items) == len(items):
            items = [as_form(one, item) for one, item in zip(form.items, items, strict=True)]
        return items if form.kind == "list" else tuple(items)
    if form.kind == "dict":
        wanted = dict(zip(form.keys, form.items, strict=True))
        return {key: as_form(wanted[key], item) if key in wanted else item for key, item in dict(value).items()}
    return value


def _is_no_sequence(value: Any) -> bool:
    """Whether it can be run through and is no sequence of values. A dictionary's views are sets, and have an order."""
    return isinstance(value, str | Mapping | Set) and not isinstance(value, MappingView)


def _tensor_of(value: Any) -> torch.Tensor:
    if not hasattr(value, "__array__") and not isinstance(value, bool | int | float):
        items = [item if isinstance(item, torch.Tensor) else _tensor_of(item) for item in value]
        return torch.stack(items) if items else torch.empty(0)
    return torch.as_tensor(value)
