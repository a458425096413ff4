"""Run code that someone is still learning to write, so that nothing it does can hurt the notebook it runs in.

Whatever happens in the answer comes back as an :class:`Outcome`: a frozen value, or one sentence that says what went
wrong and on which line. What the answer changed behind its caller's back (arguments, weights, hooks, gradient mode) is
told and undone.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.differences import first_difference
from course_utils.exercises.explaining import explain, own_frames, raised_by
from course_utils.exercises.forms import Form, form_of
from course_utils.exercises.leftovers import put_back, remove_global_hooks, state_of, torch_module
from course_utils.exercises.messages import say
from course_utils.exercises.surroundings import (
    OutOfTime,
    functions_in_place,
    put_functions_back,
    surroundings_kept,
    time_limit,
)
from course_utils.exercises.values import freeze, from_json, to_json

TIME_LIMIT = 60.0
"""Seconds that one case may take before it is stopped."""

KEEP_PRINTED = 2000
"""Characters that are kept of what an answer prints."""

KEEP_NAME = 200
"""Characters that are kept of the name of an exception, or of what it says is missing."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run. ``kind`` is "value", "error" or "not tried".

    ``error`` is one sentence. ``harm`` is a sentence about what the answer changed and should not have, or "".
    ``printed`` is the start of what it printed. ``final``: a further case would end the same way (not tried, time out,
    interrupt). ``trace``: the traceback of an error, the frames in the learner's own code only. ``out_of_time``: it was
    stopped at the time limit. ``raised``: the name of the exception. ``missing``: of a NameError, the name that was not
    there, of a ModuleNotFoundError the package. ``form``: of a value, where the answer ran in this process.
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
    missing: str = ""
    form: Form | None = None


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
    args = tuple(hand_over(arg) for arg in args)
    kwargs = {name: hand_over(arg) for name, arg in kwargs.items()}
    given = [*args, *kwargs.values()]
    models = [arg for arg in given if torch_module(arg) is not None]
    inputs = [arg for arg in given if torch_module(arg) is None]
    before = [freeze(arg) for arg in inputs]
    states = [state_of(model) for model in models]
    functions = functions_in_place()
    printed = _Start()
    outcome: Outcome
    try:
        with surroundings_kept(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            with time_limit(TIME_LIMIT):
                value = drive(answer, *args, **kwargs)
                outcome = Outcome("value", freeze(value), form=form_of(value))
    except NotImplementedError as error:
        tried = not raised_by(error, answer)
        outcome = (
            Outcome("error", error=explain(error, answer), final=False) if tried else Outcome("not tried", final=True)
        )
    except OutOfTime:
        outcome = Outcome(
            "error",
            error=say(messages.OUT_OF_TIME, seconds=TIME_LIMIT),
            final=True,
            out_of_time=True,
        )
    except KeyboardInterrupt:
        outcome = Outcome("error", error=messages.INTERRUPTED, final=True, raised="KeyboardInterrupt")
    except BaseException as error:
        name = type(error).__name__[:KEEP_NAME]
        outcome = Outcome(
            "error",
            error=explain(error, answer),
            trace=own_frames(error, answer),
            raised=name,
            missing=_missing(error),
        )
    # Functions first: the rest is put back with them.
    harm = put_functions_back(functions) or remove_global_hooks()
    harm = next(filter(None, [put_back(state) for state in states]), harm)
    after = [freeze(arg) for arg in inputs]
    if not harm and _changed(before, after):
        harm = messages.INPUT_CHANGED
    return replace(outcome, harm=harm, printed=printed.text)


def _missing(error: BaseException) -> str:
    """For want of which name, or of which package, it was raised; "" if for another reason."""
    for kind, stored in _NAMES.items():
        if issubclass(type(error), kind):
            name = stored.__get__(error)
            first = name.partition(".")[0][:KEEP_NAME] if type(name) is str else ""
            return first if first.isidentifier() and not _is_enclosed(error, first) else ""
    return ""


def _is_enclosed(error: BaseException, name: str) -> bool:
    """Whether it is a variable of a function around the one that raised: there, and without a value when it was read.
    A NameError names these, too.
    """
    trace = _TRACEBACK.__get__(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and name in trace.tb_frame.f_code.co_freevars


# As Python stores them: a class of the learner's own may answer `error.name` with anything, or not at all.
_TRACEBACK: Any = vars(BaseException)["__traceback__"]
_NAMES: dict[type[BaseException], Any] = {
    NameError: vars(NameError)["name"],
    ModuleNotFoundError: vars(ImportError)["name"],
}


def hand_over(arg: Any) -> Any:
    """An argument of a case as an answer gets it: a model in the place of what stands for one, a tensor as a copy."""
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
    if data["missing"] and not data["missing"].isidentifier():
        raise ValueError("an outcome whose missing is not what it should be")
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
    "missing": str,
}
