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
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from course_utils.exercises.values import first_difference, freeze, from_json, to_json

TIME_LIMIT = 60.0
"""Seconds that one case may take before it is stopped."""

KEEP_PRINTED = 2000
"""Characters that are kept of what an answer prints."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run. ``kind`` is "value", "error" or "not tried".

    ``error`` is one sentence. ``harm`` is a sentence about what the answer changed and should not have, or "". ``printed`` is the start of
    what it printed. ``final``: a further case would end the same way (not tried, time out, interrupt). ``trace``: the traceback of an
    error, the frames in the learner's own code only. ``out_of_time``: it was stopped at the time limit. ``raised``: the exception's name.
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

    Arguments that have a ``load`` method stand for models and are replaced by what it returns. Tensors are handed over as copies.
    """
    if is_stub(answer):
        return Outcome("not tried", final=True)
    if not callable(answer):
        return Outcome(
            "error", error=f"It is {_a(type(answer).__name__)}; a function or class was expected.", final=True
        )
    args = tuple(_hand_over(arg) for arg in args)
    kwargs = {name: _hand_over(arg) for name, arg in kwargs.items()}
    given = [*args, *kwargs.values()]
    models = [arg for arg in given if _torch_module(arg) is not None]
    inputs = [arg for arg in given if _torch_module(arg) is None]
    before = [freeze(arg) for arg in inputs]
    weights = [_weights(model) for model in models]
    printed = _Start()
    outcome: Outcome
    try:
        with _surroundings_kept(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            with _time_limit(TIME_LIMIT):
                outcome = Outcome("value", freeze(drive(answer, *args, **kwargs)))
    except NotImplementedError as error:
        tried = not _raised_by(error, answer)
        outcome = (
            Outcome("error", error=_told(error, answer), final=False) if tried else Outcome("not tried", final=True)
        )
    except _OutOfTime:
        outcome = Outcome(
            "error",
            error=f"Your code was still running after {TIME_LIMIT:.0f} seconds and was stopped.",
            final=True,
            out_of_time=True,
        )
    except KeyboardInterrupt:
        outcome = Outcome("error", error="The check was interrupted.", final=True)
    except BaseException as error:
        name = type(error).__name__[:200]
        outcome = Outcome("error", error=_told(error, answer), trace=_own_frames(error, answer), raised=name)
    harm = _undo(models, weights)
    after = [freeze(arg) for arg in inputs]
    if not harm and _changed(before, after):
        harm = "The values are right, but your code changed its input in place: work on a copy (x = x.clone())."
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


def _torch_module(value: Any) -> torch.nn.Module | None:
    module = value if isinstance(value, torch.nn.Module) else getattr(value, "_module", None)
    return module if isinstance(module, torch.nn.Module) else None


def _weights(model: Any) -> tuple[list[float], bool]:
    """A fingerprint of a model's weights, and its mode.

    Version counters see every write but those through ``.data``; the sum of a sample sees those that matter there. (The sum
    of all weights of a real model takes longer than the run that is checked.)
    """
    module = _torch_module(model)
    assert module is not None
    weights = [parameter for parameter in module.parameters() if not parameter.is_meta]
    with torch.no_grad():
        samples = [float(weight.detach().flatten()[:: 1 + weight.numel() // 4096].sum()) for weight in weights]
    return [*samples, float(sum(weight._version for weight in weights))], module.training


def _undo(models: list[Any], before: list[tuple[list[float], bool]]) -> str:
    """Clean the models of what the answer left on them; a sentence about what it was, or ""."""
    from course_utils.model.loading import restore_weights

    harm = ""
    for model, (weights, training) in zip(models, before, strict=True):
        module = _torch_module(model)
        assert module is not None
        for name, part in module.named_modules():
            for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):
                # transformers leaves its own behind when asked for hidden states or attentions, and counts on finding them again.
                left = [key for key, hook in hooks.items() if not (hook.__module__ or "").startswith("transformers.")]
                for key in left:
                    del hooks[key]
                    harm = f"Your code left a hook behind on {name or 'the model'}: remove it, whatever happens (try ... finally)."
        if _weights(model)[0] != weights and module is not model:
            restore_weights(model)
            harm = "Your code changed the model's weights: they belong to everyone, so change activations instead."
        if module.training != training:
            module.train(training)
            harm = harm or "Your code left the model in another mode (train or eval) than it found it in."
    return harm


def _raised_by(error: BaseException, answer: Any) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == _file(answer)


def _file(answer: Any) -> str | None:
    if inspect.isclass(answer):
        functions = [member for member in vars(answer).values() if inspect.isfunction(member)]
        answer = functions[0] if functions else None
    code = getattr(answer, "__code__", None)
    return code.co_filename if code else None


def _told(error: BaseException, answer: Any) -> str:
    """One sentence: what was raised, on which line of the learner's cell, and for the well-known pitfalls what to do."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())[:300]
    except BaseException:
        text = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _file(answer)]
    # The check runs the answer from another file, so without a line of the learner's own the call itself did not fit.
    where = f" on line {lines[-1]}" if lines else ""
    advice = _advice(name, text)
    if name == "TypeError" and not lines:
        advice = "Its arguments are not those of the exercise: compare your first line with the lesson's."
    return f"Your code raised {name}{where}" + (f": {text}" if text else "") + ("" if text.endswith((".", "!", "?")) else ".") + (
        f" {advice}" if advice else ""
    )  # fmt: skip


def _own_frames(error: BaseException, answer: Any) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _file(answer)]
    lines = [f"line {frame.lineno}, in {frame.name}\n    {frame.line}" for frame in frames[-20:]]
    try:
        lines.append(f"{type(error).__name__}: {error}")
    except BaseException:
        lines.append(type(error).__name__)
    return "\n".join(lines)[:KEEP_PRINTED]


def _advice(name: str, text: str) -> str:
    if name in ("UnboundLocalError", "NameError"):
        quoted = text.split("'")[1] if text.count("'") >= 2 else "the value"
        return f"If '{quoted}' was made inside a trace, it does not outlive it: save it there, {quoted} = ....save()."
    if name == "OutOfOrderError":
        return "A trace reads the parts in the order in which the model runs them: read the earlier one first."
    if "outside of interleaving" in text:
        return "Activations exist only while the model runs: read them inside `with model.trace(...):`."
    if name == "SyntaxError" and "'return' outside function" in text:
        return "A trace's body cannot return: save the value there and return it after the block."
    if name == "AttributeError" and "'Envoy' object" in text:
        return "print(model) shows the names of the parts."
    if name == "SystemExit":
        return "An answer returns; it does not exit."
    return ""


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain JSON data."""
    return {**{field: getattr(outcome, field) for field in _SENT}, "value": to_json(outcome.value)}


def outcome_from_json(data: Any) -> Outcome:
    """The outcome that :func:`outcome_to_json` wrote.

    Raises:
        ValueError: the data is not of that form. It may come from anyone, so every field's type and length is checked.
    """
    if not isinstance(data, dict) or set(data) != {*_SENT, "value"} or data["kind"] not in ("value", "error", "not tried"):
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
