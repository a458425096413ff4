"""Run code that someone is still learning to write, so that nothing it does can hurt the notebook it runs in.

Whatever happens in the answer comes back as an :class:`Outcome`: a frozen value, or one sentence that says what went
wrong and on which line. What the answer changed behind its caller's back (arguments, weights, hooks, gradient mode) is
told and undone.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.differences import first_difference
from course_utils.exercises.explaining import explain, own_frames, raised_by
from course_utils.exercises.leftovers import clean_up, fingerprint, torch_module
from course_utils.exercises.messages import say
from course_utils.exercises.values import freeze, from_json, to_json

TIME_LIMIT = 60.0
"""Seconds that one case may take before it is stopped."""

KEEP_PRINTED = 2000
"""Characters that are kept of what an answer prints."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run. ``kind`` is "value", "error" or "not tried".

    ``error`` is one sentence. ``harm`` is a sentence about what the answer changed and should not have, or "".
    ``printed`` is the start of what it printed. ``final``: a further case would end the same way (not tried, time out,
    interrupt). ``trace``: the traceback of an error, the frames in the learner's own code only. ``out_of_time``: it was
    stopped at the time limit. ``raised``: the name of the exception.
    """

    kind: str
    value: Any = None
    error: str = ""
    harm: str = ""
    printed: str = ""
    final: bool = False
    trace: str = ""
    out_of_time: bool = False
    raised: str = ""


class _OutOfTime(BaseException):
    """Raised into the answer; no `except Exception` of the learner's swallows it."""


def is_stub(answer: Any) -> bool:
    """Whether ``answer`` is as the lesson gave it: a body of nothing but ``raise NotImplementedError`` (in a class: any
    method's body).
    """
    if answer is None or answer is Ellipsis:
        return True
    if inspect.isclass(answer):
        return any(is_stub(member) for member in vars(answer).values() if inspect.isfunction(member))
    code = getattr(answer, "__code__", None)
    return (
        code is not None
        and code.co_names == ("NotImplementedError",)
        and not code.co_cellvars
        and code.co_nlocals == _n_arguments(code)
    )


def _n_arguments(code: Any) -> int:
    flags = inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
    return code.co_argcount + code.co_kwonlyargcount + sum(bool(code.co_flags & flag) for flag in flags)


def run_safely(drive: Callable[..., Any], answer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    """``drive(answer, *args, **kwargs)``, whatever the answer does.

    Arguments that have a ``load`` method stand for models and are replaced by what it returns. Tensors are handed over
    as copies.
    """
    if is_stub(answer):
        return Outcome("not tried", final=True)
    if not callable(answer):
        name = type(answer).__name__
        template = messages.NOT_CALLABLE_AN if name[:1].lower() in "aeiou" else messages.NOT_CALLABLE_A
        return Outcome("error", error=say(template, type=name), final=True)
    args = tuple(_hand_over(arg) for arg in args)
    kwargs = {name: _hand_over(arg) for name, arg in kwargs.items()}
    given = [*args, *kwargs.values()]
    models = [arg for arg in given if torch_module(arg) is not None]
    inputs = [arg for arg in given if torch_module(arg) is None]
    before = [freeze(arg) for arg in inputs]
    weights = [fingerprint(model) for model in models]
    printed = _Start()
    outcome: Outcome
    try:
        with _surroundings_kept(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            with _time_limit(TIME_LIMIT):
                outcome = Outcome("value", freeze(drive(answer, *args, **kwargs)))
    except NotImplementedError as error:
        tried = not raised_by(error, answer)
        outcome = (
            Outcome("error", error=explain(error, answer), final=False) if tried else Outcome("not tried", final=True)
        )
    except _OutOfTime:
        outcome = Outcome(
            "error",
            error=say(messages.OUT_OF_TIME, seconds=TIME_LIMIT),
            final=True,
            out_of_time=True,
        )
    except KeyboardInterrupt:
        outcome = Outcome("error", error=messages.INTERRUPTED, final=True)
    except BaseException as error:
        name = type(error).__name__[:200]
        outcome = Outcome("error", error=explain(error, answer), trace=own_frames(error, answer), raised=name)
    harm = clean_up(models, weights)
    after = [freeze(arg) for arg in inputs]
    if not harm and _changed(before, after):
        harm = messages.INPUT_CHANGED
    return replace(outcome, harm=harm, printed=printed.text)


def _hand_over(arg: Any) -> Any:
    if hasattr(arg, "load"):
        return arg.load()
    return arg.clone() if isinstance(arg, torch.Tensor) else arg


def _changed(before: list[Any], after: list[Any]) -> bool:
    return any(first_difference(b, a, tolerance=0.0) for b, a in zip(before, after, strict=True))


class _Start(io.TextIOBase):
    """A stream that keeps the start of what is written and lets the rest go."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        if len(self.text) < KEEP_PRINTED:
            self.text += str(text)[: KEEP_PRINTED - len(self.text)]
        return len(text)


@contextlib.contextmanager
def _surroundings_kept() -> Iterator[None]:
    """Put back what an answer may leave changed for the cells after it."""
    gradients, dtype, threads, folder = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        os.getcwd(),
    )
    recursion, stdout, stderr = sys.getrecursionlimit(), sys.stdout, sys.stderr
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        os.chdir(folder)
        sys.setrecursionlimit(recursion)
        sys.stdout, sys.stderr = stdout, stderr


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    # Signals reach the main thread only, and Windows has no such timer: there the learner's own interrupt is the limit.
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second, should the answer swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain JSON data."""
    return {**{field: getattr(outcome, field) for field in _SENT}, "value": to_json(outcome.value)}


def outcome_from_json(data: Any) -> Outcome:
    """The outcome that :func:`outcome_to_json` wrote.

    Raises:
        ValueError: the data is not of that form. It may come from anyone, so every field's type and length is checked.
    """
    if not isinstance(data, dict) or set(data) != {*_SENT, "value"}:
        raise ValueError("not an outcome")
    if data["kind"] not in ("value", "error", "not tried"):
        raise ValueError("not an outcome")
    for field, kind in _SENT.items():
        if type(data[field]) is not kind or (kind is str and len(data[field]) > 2 * KEEP_PRINTED):
            raise ValueError(f"an outcome whose {field} is not what it should be")
    return Outcome(**{**data, "value": from_json(data["value"])})


_SENT: dict[str, type] = {
    "kind": str,
    "error": str,
    "harm": str,
    "printed": str,
    "final": bool,
    "trace": str,
    "out_of_time": bool,
    "raised": str,
}
