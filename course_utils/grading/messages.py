"""The sentences of marking that learners and teachers read, each whole: only names and numbers are put in."""

from __future__ import annotations

from course_utils.grading.inside.reports import KernelEnd, Limit

_TOO_MANY_PROCESSES = "processes: {used}, at most {allowed} are allowed"
_TOO_MUCH_MEMORY = "memory: {used} MiB, at most {allowed} are allowed"


def why_ended(end: KernelEnd) -> str:
    """For which limit a kernel was ended."""
    if end.limit is Limit.PROCESSES:
        return _TOO_MANY_PROCESSES.format(used=end.used, allowed=end.allowed)
    return _TOO_MUCH_MEMORY.format(used=end.used >> 20, allowed=end.allowed >> 20)
