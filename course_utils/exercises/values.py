"""Values that leave an answer: frozen at once, and sent as JSON where they must travel.

Freezing copies. What the learner's code does to its tensors afterwards changes nothing, and no object of the learner's
own making is ever asked to compare itself.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.exercises import messages

MOST_ITEMS = 1_000_000
"""Of a list; a generator need not end."""

_RUN_THROUGH_ONCE = (Iterator, range, deque, KeysView, ValuesView, ItemsView)


@dataclass(frozen=True)
class Frozen:
    """A tensor's values on the CPU, and where it was."""

    tensor: torch.Tensor
    device: str


@dataclass(frozen=True)
class Unknown:
    """A value that no exercise returns; only its type's name is kept."""

    type_name: str


def freeze(value: Any, depth: int = 0) -> Any:
    """A copy of ``value`` made of None, bool, int, float, str, list, dict and :class:`Frozen`.

    Tuples and whatever is run through once (generators, ranges, views of a dictionary) become lists, arrays tensors,
    numbers of zero dimensions Python numbers. Everything else becomes :class:`Unknown`.
    """
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int:
        return value if abs(value) < 10**18 else Unknown(messages.HUGE_NUMBER)
    if isinstance(value, torch.Tensor):
        return _freeze_tensor(value)
    if kind.__module__ == "numpy":
        import numpy as np

        if isinstance(value, np.str_):
            return str(value)
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            return freeze(torch.from_numpy(np.array(value)))
    if depth > 20:
        return Unknown(messages.TOO_DEEP)
    if kind in (list, tuple) or isinstance(value, _RUN_THROUGH_ONCE):
        items = list(itertools.islice(value, MOST_ITEMS + 1))
        return [freeze(item, depth + 1) for item in items] if len(items) <= MOST_ITEMS else Unknown(messages.TOO_LONG)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return [freeze(item, depth + 1) for item in tuple(value)]
    if isinstance(value, dict):
        keys = [freeze(key, 20) for key in value]  # numpy's integers and texts are as good as Python's
        if len(set(map(type, keys)) - {str, int}) == 0:
            return dict(zip(keys, (freeze(item, depth + 1) for item in value.values()), strict=True))
    return Unknown(kind.__name__)


def _freeze_tensor(value: torch.Tensor) -> Any:
    if value.is_meta:
        return Unknown(messages.META_TENSOR)
    if value.is_complex():
        return Unknown(messages.COMPLEX_TENSOR)
    tensor = value.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    elif tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    # Outside inference mode, so that what was made in it can be compared like any other.
    with torch.inference_mode(False):
        tensor = tensor.cpu().clone()
    return freeze(tensor.item()) if tensor.ndim == 0 else Frozen(tensor, value.device.type)


def to_json(value: Any) -> Any:
    """A frozen value as plain JSON data. Numbers of a tensor travel as base64 of their bytes, so nothing is rounded."""
    if isinstance(value, Frozen):
        tensor = value.tensor.contiguous()
        # bfloat16 has no numpy type: its bytes travel as those of whole numbers.
        array = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
        data = base64.b64encode(array.tobytes()).decode()
        dtype = str(tensor.dtype).removeprefix("torch.")
        return {"tensor": data, "dtype": dtype, "shape": list(array.shape), "device": value.device}
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
        ValueError: the data is not of that form, or a tensor has more than ``limit`` bytes. It may come from anyone.
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


_DTYPES = {"bfloat16", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}


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
    stored = "int16" if dtype == "bfloat16" else dtype
    size = math.prod(shape) * np.dtype(stored).itemsize
    if size > limit or len(data["tensor"]) > 2 * limit:
        raise ValueError(f"a tensor of {size} bytes, more than {limit}")
    raw = base64.b64decode(data["tensor"], validate=True)
    if len(raw) != size:
        raise ValueError("a tensor whose bytes do not fill its shape")
    tensor = torch.from_numpy(np.frombuffer(raw, dtype=stored).reshape(shape).copy())
    return Frozen(tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor, data["device"][:20])
