"""In a notebook: of a failure inside a trace, the learner's own lines and what to do, and not the way through nnsight.

An interrupt, a name that is gone after a restart, a part that is read too late: each comes out of dozens of lines of
nnsight, torch and transformers. What is left out stays to be had: ``%tb`` prints all of it.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.explaining import advice
from course_utils.exercises.messages import say

_NOT_THE_LEARNERS = (Path(__file__).resolve().parents[1], Path(sysconfig.get_path("stdlib")).resolve())


def install() -> None:
    """Have this kernel show failures so. Does nothing outside of IPython, or where somebody has a handler already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc((Exception, KeyboardInterrupt), _show)


def _show(
    shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: int | None = None
) -> None:
    """What IPython calls for an exception that a cell lets out."""
    told = what_to_do(error, trace, shell.user_ns)
    if not told and not any(_through_nnsight(one.__traceback__) for one in _chain(error)):
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    with _cut(error, shell.user_ns):
        lines = shell.InteractiveTB.structured_traceback(kind, error, error.__traceback__, tb_offset=0)
    shell._showtraceback(kind, error, [*lines, say(messages.WHOLE_TRACEBACK, advice=told).strip()])


def what_to_do(error: BaseException, trace: TracebackType | None, names: dict[str, Any]) -> str:
    """A sentence or two for a learner, "" where there is nothing to say that the exception does not say itself.

    Of a name that is missing it is said only where a cell, whose names are ``names``, lacks it: a module of the
    learner's or a library has a mistake, and running the cells again does not mend that.
    """
    if isinstance(error, KeyboardInterrupt):
        return messages.CELL_INTERRUPTED
    steps = _steps(trace)
    if type(error) is NameError and error.name and steps and _file(steps[-1]) in _cells(steps, names):
        return say(messages.NAME_IS_GONE, name=error.name)
    return advice(type(error).__name__, str(error)) if _through_nnsight(trace) else ""


def own_lines(trace: TracebackType | None, names: dict[str, Any]) -> TracebackType | None:
    """The steps of a traceback that are the learner's: in cells, whose names are ``names``, and in modules that neither
    the course nor an installation put there.
    """
    steps = _steps(trace)
    cells = _cells(steps, names)
    kept: TracebackType | None = None
    for step in reversed(steps):
        if _file(step) in cells or _in_own_module(step):
            kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


@contextmanager
def _cut(error: BaseException, names: dict[str, Any]) -> Iterator[None]:
    """An exception and those that it came out of with the learner's own lines alone, for as long as it lasts."""
    whole = [(one, one.__traceback__) for one in _chain(error)]
    try:
        for one, trace in whole:
            one.__traceback__ = own_lines(trace, names)
        yield
    finally:
        for one, trace in whole:
            one.__traceback__ = trace


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and those before it that are shown above it; of a ring each once."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and all(one is not seen for seen in chain):
        chain.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return chain


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename


def _cells(steps: list[TracebackType], names: dict[str, Any]) -> set[str]:
    """What Python calls the cells that are among the steps. A trace's body has its cell's, though other globals."""
    return {_file(step) for step in steps if step.tb_frame.f_globals is names}


def _in_own_module(step: TracebackType) -> bool:
    path = Path(_file(step))
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return path.is_file() and not installed and not any(path.is_relative_to(folder) for folder in _NOT_THE_LEARNERS)


def _steps(trace: TracebackType | None) -> list[TracebackType]:
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    return steps


def _through_nnsight(trace: TracebackType | None) -> bool:
    return any(str(step.tb_frame.f_globals.get("__name__")).split(".")[0] == "nnsight" for step in _steps(trace))
