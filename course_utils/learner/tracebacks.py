"""In a notebook: of a failure inside a trace, the learner's own lines and what to do, and not the way through nnsight.

An interrupt, a name that is gone after a restart, a part that is read too late: each comes out of dozens of lines of
nnsight, torch and transformers. What is left out stays to be had: ``%tb`` prints all of it.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.explaining import advice
from course_utils.exercises.messages import say


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
    told = what_to_do(error, trace)
    if not told and not _through_nnsight(trace):
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    lines = shell.InteractiveTB.structured_traceback(kind, error, own_lines(trace, shell.user_ns), tb_offset=0)
    shell._showtraceback(kind, error, [*lines, say(messages.WHOLE_TRACEBACK, advice=told).strip()])


def what_to_do(error: BaseException, trace: TracebackType | None) -> str:
    """A sentence or two for a learner, "" where there is nothing to say that the exception does not say itself."""
    if isinstance(error, KeyboardInterrupt):
        return messages.CELL_INTERRUPTED
    if type(error) is NameError and error.name:
        return say(messages.NAME_IS_GONE, name=error.name)
    return advice(type(error).__name__, str(error)) if _through_nnsight(trace) else ""


def own_lines(trace: TracebackType | None, names: dict[str, Any]) -> TracebackType | None:
    """The steps of a traceback that lie in cells of the notebook, whose names are ``names``."""
    steps = _steps(trace)
    cells = {step.tb_frame.f_code.co_filename for step in steps if step.tb_frame.f_globals is names}
    kept: TracebackType | None = None
    for step in reversed(steps):
        if step.tb_frame.f_code.co_filename in cells:  # a trace's body runs in other globals, under the cell's name
            kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


def _steps(trace: TracebackType | None) -> list[TracebackType]:
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    return steps


def _through_nnsight(trace: TracebackType | None) -> bool:
    return any(str(step.tb_frame.f_globals.get("__name__")).split(".")[0] == "nnsight" for step in _steps(trace))
