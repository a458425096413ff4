"""`dtype` and `device` as people write them, as torch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.model.errors import ModelError

if TYPE_CHECKING:
    import torch


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The floating point type asked for; ModelError where it is none that a model can run in. None stays None."""
    import torch

    if dtype is None:
        return None
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    # Others, such as the 8-bit ones, can be stored in and not computed in.
    if found not in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        raise ModelError(f"dtype={dtype!r}: 'float32', 'bfloat16', 'float16' or 'float64' was expected.")
    return found


def as_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or the best there is for None and "auto"; ModelError for one that is not here."""
    import torch

    if device is None or device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)  # a device that torch can name need not be here
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ModelError(
            f"device={str(device)!r} is not available here ({str(error).splitlines()[0]}). "
            "Leave device out for the best there is."
        ) from error
    return found
