"""What an answer may change in the process around it, put back for the cells after it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.messages import say

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)


class OutOfTime(BaseException):
    """Raised into the answer; no `except Exception` of the learner's swallows it."""


@contextlib.contextmanager
def surroundings_kept() -> Iterator[None]:
    """Put back gradient mode, defaults of torch, random states, folder, streams and the recursion limit."""
    gradients, dtype, threads = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    device, deterministic = _default_device(), torch.are_deterministic_algorithms_enabled()
    folder, recursion, stdout, stderr = os.getcwd(), sys.getrecursionlimit(), sys.stdout, sys.stderr
    draws, numpy_draws = random.getstate(), _numpy_state()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if _default_device() != device:
            torch.set_default_device(device)
            if device is None:  # torch 2.8 leaves a None there, on which `torch.get_default_device` breaks
                vars(torch._GLOBAL_DEVICE_CONTEXT).pop("device_context", None)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic)
        os.chdir(folder)
        sys.setrecursionlimit(recursion)
        sys.stdout, sys.stderr = stdout, stderr
        random.setstate(draws)
        if numpy_draws is not None:
            sys.modules["numpy"].random.set_state(numpy_draws)


def _default_device() -> torch.device | None:
    """The device that `torch.set_default_device` named last, None where nobody did.

    `torch.get_default_device` says "cpu" for both, and naming the CPU is not the same: it costs each later call.
    """
    from torch.utils import _device

    found = _device.CURRENT_DEVICE
    return None if found is None else torch.device(found)


def _numpy_state() -> Any:
    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy is not None else None


def functions_in_place() -> dict[Any, dict[str, Any]]:
    """The functions and classes of torch and of the course, by the module or class that holds them."""
    owners: list[Any] = [torch, torch.nn, torch.nn.functional, torch.Tensor, torch.nn.Module]
    owners += [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "course_utils"]
    return {
        owner: {name: value for name, value in vars(owner).items() if isinstance(value, _FUNCTIONS)}
        for owner in owners
        if owner is not None
    }


def put_functions_back(before: dict[Any, dict[str, Any]]) -> str:
    """Undo what an answer replaced of :func:`functions_in_place`; a sentence that names it, or ""."""
    harm = ""
    for owner, functions in before.items():
        now = vars(owner)
        for name, value in functions.items():
            if now.get(name) is not value:
                setattr(owner, name, value)
                harm = say(messages.FUNCTION_REPLACED, name=f"{owner.__name__}.{name}")
    return harm


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`OutOfTime` in the block after so many seconds. A limit around this one goes on counting."""
    # Signals reach the main thread only, and Windows has no such timer: there the learner's own interrupt is the limit.
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise OutOfTime

    begun = time.monotonic()
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    before = signal.signal(signal.SIGALRM, stop)
    first = min(seconds, outer or seconds)
    signal.setitimer(signal.ITIMER_REAL, first, 1.0)  # again each second, should the answer swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - begun), 0.001), 1.0)
