"""What an exception means, in words for whoever wrote the answer that raised it."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.messages import say

TRACE_LIMIT = 2000
"""Characters that are kept of a traceback."""


def raised_by(error: BaseException, answer: Any) -> bool:
    """Whether the answer's own code raised it, and not something that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == _file(answer)


def _file(answer: Any) -> str | None:
    answer = inspect.unwrap(answer) if callable(answer) else answer  # a check gives some answers back wrapped
    if inspect.isclass(answer):
        functions = [member for member in vars(answer).values() if inspect.isfunction(member)]
        answer = functions[0] if functions else None
    code = getattr(answer, "__code__", None)
    return code.co_filename if code else None


def explain(error: BaseException, answer: Any) -> str:
    """What was raised, on which line of the learner's cell, and for the well-known pitfalls what to do."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())[:300]
    except BaseException:
        text = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _file(answer)]
    # The check runs the answer from another file, so without a line of the learner's own the call itself did not fit;
    # or the check could do nothing with what came of it, and says so in other words than Python's and torch's.
    did_not_fit = name == "TypeError" and not lines and "argument" in text
    what_to_do = messages.OTHER_ARGUMENTS if did_not_fit else advice(name, text)
    if text:
        template = messages.RAISED_ON_LINE_SAYING if lines else messages.RAISED_SAYING
    else:
        template = messages.RAISED_ON_LINE if lines else messages.RAISED
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    raised = say(template, error=name, line=lines[-1] if lines else None, text=ended)
    return f"{raised} {what_to_do}" if what_to_do else raised


def own_frames(error: BaseException, answer: Any) -> str:
    """The traceback as far as it lies in the answer's own file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _file(answer)]
    lines = [f"line {frame.lineno}, in {frame.name}\n    {frame.line}" for frame in frames[-20:]]
    try:
        lines.append(f"{type(error).__name__}: {error}")
    except BaseException:
        lines.append(type(error).__name__)
    return "\n".join(lines)[:TRACE_LIMIT]


def advice(name: str, text: str) -> str:
    """For the well-known pitfalls of traces, by the name and text of an exception, what to do; else ""."""
    if name in ("UnboundLocalError", "NameError"):
        if text.count("'") < 2:
            return messages.SOMETHING_NOT_SAVED
        return say(messages.NOT_SAVED, name=text.split("'")[1])
    if name == "OutOfOrderError":
        return messages.OUT_OF_ORDER
    if "<timed exec>" in text or "<timed eval>" in text:
        return messages.TIMED_CELL
    if "outside of interleaving" in text:
        return messages.OUTSIDE_A_TRACE
    if name == "SyntaxError" and "'return' outside function" in text:
        return messages.RETURN_IN_TRACE
    if name == "AttributeError" and "'Envoy' object" in text:
        return messages.NO_SUCH_PART
    if name == "SystemExit":
        return messages.EXITS
    return ""
