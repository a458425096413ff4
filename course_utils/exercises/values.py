"""Values that leave an answer: frozen at once, compared place by place, and sent as JSON where they must travel.

Freezing copies. What the learner's code does to its tensors afterwards changes nothing, and no object of the learner's own making is
ever asked to compare itself.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Frozen:
    """A tensor's values on the CPU, and where it was."""

    tensor: torch.Tensor
    device: str

    @property
    def told(self) -> str:
        return f"a tensor of shape {tuple(self.tensor.shape)}"


@dataclass(frozen=True)
class Unknown:
    """A value that no exercise returns; only its type's name is kept."""

    type_name: str


@dataclass(frozen=True)
class Difference:
    """The first place where two values part. ``form``: they part in type, length, keys, shape or dtype, not in a number or a word."""

    where: str
    message: str
    form: bool

    @property
    def told(self) -> str:
        if not self.where:
            return self.message
        return f"{self.where}: {self.message}"


def freeze(value: Any, depth: int = 0) -> Any:
    """A copy of ``value`` made of None, bool, int, float, str, list, dict and :class:`Frozen`; tuples become lists, arrays tensors,
    numbers of zero dimensions Python numbers. Everything else becomes :class:`Unknown`.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return Unknown("tensor without values (meta device)")
        tensor = value.detach().cpu().clone()
        return tensor.item() if tensor.ndim == 0 else Frozen(tensor, value.device.type)
    if kind.__module__ == "numpy":
        import numpy as np

        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            return freeze(torch.from_numpy(np.array(value)))
    if depth > 20:
        return Unknown("structure nested more than 20 deep")
    if kind in (list, tuple):
        return [freeze(item, depth + 1) for item in value]
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return [freeze(item, depth + 1) for item in tuple(value)]
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        return {key: freeze(item, depth + 1) for key, item in value.items()}
    return Unknown(kind.__name__)


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
        return Difference(where, f"a value of type {got.type_name} came; expected {_told(expected)}.", True)
    if got is None and expected is not None:
        again = " Is there a return?" if not path else ""
        return Difference(where, f"None came; expected {_told(expected)}.{again}", True)
    if isinstance(expected, Frozen):
        if not isinstance(got, Frozen):
            return Difference(where, f"{_told(got)} came; expected {expected.told}.", True)
        if got.tensor.shape != expected.tensor.shape:
            return Difference(
                where,
                f"a tensor of shape {tuple(got.tensor.shape)} came; expected {_named_shape(expected, axes, path)}.",
                True,
            )
        if _kind(got.tensor) != _kind(expected.tensor):
            return Difference(where, f"a tensor of {got.tensor.dtype} came; expected {expected.tensor.dtype}.", True)
        if got.device != expected.device:
            return Difference(where, f"the tensor is on {got.device}; expected it on {expected.device}.", True)
        if (
            got.tensor.is_floating_point()
            and bool(got.tensor.isnan().any())
            and not bool(expected.tensor.isnan().any())
        ):
            first = tuple(int(i) for i in got.tensor.isnan().nonzero()[0])
            return Difference(_place(path + first, axes), "NaN came; every expected value is a number.", True)
        return None
    if isinstance(expected, bool) or isinstance(got, bool):
        same = isinstance(expected, bool) and isinstance(got, bool)
        return None if same else Difference(where, f"{_told(got)} came; expected {_told(expected)}.", True)
    if isinstance(expected, int | float):
        if not isinstance(got, int | float):
            return Difference(where, f"{_told(got)} came; expected {_told(expected)}.", True)
        if math.isnan(got) and not math.isnan(expected):
            return Difference(where, "NaN came; a number was expected.", True)
        return None
    if type(expected) is not type(got):
        return Difference(where, f"{_told(got)} came; expected {_told(expected)}.", True)
    if isinstance(expected, list):
        if len(expected) != len(got):
            return Difference(where, f"{len(got)} entries came; expected {len(expected)}.", True)
        return _first(_form(e, g, axes, (*path, i)) for i, (e, g) in enumerate(zip(expected, got, strict=True)))
    if isinstance(expected, dict):
        if expected.keys() != got.keys():
            return Difference(
                where,
                f"the keys are {', '.join(map(repr, got)) or 'none'}; expected {', '.join(map(repr, expected))}.",
                True,
            )
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
            e, g = e.double(), g.double()
            finite = e[e.isfinite()].abs()
            scale = float(finite.max()) if finite.numel() else 1.0
            apart = ~(torch.isclose(g, e, rtol=tolerance, atol=tolerance * scale + 1e-8, equal_nan=True))
        if not bool(apart.any()):
            return None
        first = tuple(int(i) for i in apart.nonzero()[0])
        return Difference(
            _place(path + first, axes),
            f"yours is {_number(g[first].item())}, expected {_number(e[first].item())}.",
            False,
        )
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
        return None if same or (math.isnan(expected) and math.isnan(got)) else Difference(
            _place(path, axes), f"yours is {_number(got)}, expected {_number(expected)}.", False
        )  # fmt: skip
    if expected != got:
        return Difference(_place(path, axes), f"yours is {_short(got)}, expected {_short(expected)}.", False)
    return None


def _first(differences: Any) -> Difference | None:
    return next((difference for difference in differences if difference), None)


def _place(path: tuple[Any, ...], axes: tuple[str, ...]) -> str:
    steps, names = [], list(axes)
    for step in path:
        if isinstance(step, str):
            steps.append(f"'{step}'")
        else:
            steps.append(f"{names.pop(0) if names else 'index'} {step}")
    return ", ".join(steps)


def _named_shape(expected: Frozen, axes: tuple[str, ...], path: tuple[Any, ...]) -> str:
    shape = expected.tensor.shape
    names = axes[sum(not isinstance(step, str) for step in path) :][: len(shape)]
    return f"{tuple(shape)}" + (f" ({', '.join(names)})" if len(names) == len(shape) else "")


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_floating_point():
        return "float"
    return "bool" if tensor.dtype == torch.bool else "integer"


def _told(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Frozen):
        return value.told
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a dictionary with {', '.join(map(repr, value))}"
    if isinstance(value, Unknown):
        return f"a value of type {value.type_name}"
    return {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}[type(value)]


def _number(value: float | int | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:60] + " … " + shown[-15:]


def to_json(value: Any) -> Any:
    """A frozen value as plain JSON data. Numbers of a tensor travel as base64 of their bytes, so nothing is rounded."""
    if isinstance(value, Frozen):
        tensor = value.tensor.contiguous()
        # bfloat16 has no numpy type; float32 holds each of its values exactly
        array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        data = base64.b64encode(array.tobytes()).decode()
        return {"tensor": data, "dtype": str(array.dtype), "shape": list(array.shape), "device": value.device}
    if isinstance(value, Unknown):
        return {"unknown": value.type_name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[key, to_json(item)] for key, item in value.items()]}
    return value


def from_json(data: Any, limit: int = 50_000_000) -> Any:
    """The frozen value that :func:`to_json` wrote.

    Raises:
        ValueError: the data is not of that form, or a tensor has more than ``limit`` bytes. The data may come from anyone.
    """
    if data is None or type(data) in (bool, int, float, str):
        return data
    if isinstance(data, list):
        return [from_json(item, limit) for item in data]
    if isinstance(data, dict) and set(data) == {"dict"}:
        pairs = data["dict"]
        if isinstance(pairs, list) and all(
            isinstance(p, list) and len(p) == 2 and type(p[0]) in (str, int) for p in pairs
        ):
            return {key: from_json(item, limit) for key, item in pairs}
    elif isinstance(data, dict) and set(data) == {"float"} and data["float"] in ("nan", "inf", "-inf"):
        return float(data["float"])
    elif isinstance(data, dict) and set(data) == {"unknown"} and isinstance(data["unknown"], str):
        return Unknown(data["unknown"][:100])
    elif isinstance(data, dict) and set(data) == {"tensor", "dtype", "shape", "device"}:
        return _tensor_from_json(data, limit)
    raise ValueError("not a value that an answer sends")


_DTYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}


def _tensor_from_json(data: dict[str, Any], limit: int) -> Frozen:
    import numpy as np

    shape, dtype = data["shape"], data["dtype"]
    if (
        not isinstance(dtype, str)
        or dtype not in _DTYPES
        or not isinstance(data["tensor"], str)
        or not isinstance(data["device"], str)
    ):
        raise ValueError("not a tensor that an answer sends")
    if not isinstance(shape, list) or len(shape) > 16 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError("not a tensor's shape")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > limit or len(data["tensor"]) > 2 * limit:
        raise ValueError(f"a tensor of {size} bytes, more than {limit}")
    raw = base64.b64decode(data["tensor"], validate=True)
    if len(raw) != size:
        raise ValueError("a tensor whose bytes do not fill its shape")
    return Frozen(torch.from_numpy(np.frombuffer(raw, dtype=dtype).reshape(shape).copy()), data["device"][:20])
