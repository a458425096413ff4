"""What marking says of an answer or a notebook: whole sentences, each with named places for what differs.

A place is filled with a name, a number, or the words of an exception. A message may be several sentences, one after the
other. Of the flags each has its sentence beside it, in :mod:`course_utils.grading.flags`.
"""

from __future__ import annotations

from course_utils.grading.inside.reports import KernelEnd, Limit

# A submission that cannot be marked. What is seen in each of its notebooks is one of the last two.
NOT_HANDED_IN = "Nothing was handed in."
HANDED_IN_PERHAPS = "Nothing was handed in. {names} may be theirs; the roster does not say so."
AND_MORE_FILES = "{reasons}; and {count} more files"
OF_ANOTHER_LESSON = "no notebook of {lesson} was handed in. {seen}"
HAS_EXERCISES = "it has the exercises {exercises}"
HAS_NO_CELLS = "it has none of the lesson's cells"

# A notebook of which nothing, or no more, is read.
TOO_MUCH_CODE = (
    "Its code cells hold {code:,} characters; at most {most:,} are read. Nothing of it was run. Your teacher decides."
)
TOO_LONG_TO_READ = (
    "Its cells are such that to read them takes more than {seconds:.0f} s. Nothing of it was run. Your teacher decides."
)
TOO_LONG_TO_READ_ON = "Its cells are such that to read them takes more than {seconds:.0f} s. Your teacher decides."

# An exercise that was not asked, or whose question came to nothing.
NO_ANSWER_CELL = "There is no answer cell for this exercise in the notebook."
TIME_WAS_OVER = "The {seconds:.0f} s for one notebook were over."
MARKING_FAILED = "The marking itself failed. {trouble}"
SANDBOX_CHANGED = "While this was marked, files of the sandbox were changed."
NOT_JUDGED = "The answer could not be judged: {error}"
QUESTION_ENDED = "The question about your answer did not run to its end."
NO_VALUES = "No values came that could be compared: {reason}."

# An answer that earns nothing.
NOT_DEFINED = "After your cell has run there is no {name}."
CELL_RAISED = "Your cell raised {error}, so there is no {name}."
CELL_RAISED_UNSEEN = "Your cell raised an exception, so there is no {name}."
WITHHELD = (
    "This calls the course's own solution, which is not to be had while it is marked. "
    "No points for an answer that is not yours."
)
_ENDED_FOR_PROCESSES = "Ended the process that ran it (processes: {used}, at most {allowed} are allowed)."
_ENDED_FOR_MEMORY = "Ended the process that ran it (memory: {used} MiB, at most {allowed} are allowed)."

# A verdict that is open. What follows is the message that the answer would have had.
NOT_REPEATED = "Run twice on the same inputs, it did not do the same. First: {message}"
ENDED_ONCE = "Once it ended the process that ran it, once it did not."
IN_A_CELL_OF_YOUR_OWN = "That was in a cell of your own which it seems to need. Your teacher decides. {message}"
RIGHT_WITH_ALL_CELLS = (
    "Run with all of your cells before its check, and not with those alone that it seems to need, it is right. "
    "Your teacher decides. {message}"
)
LACKS_PACKAGES = "It needs {names}, which is not installed where this was marked. Your teacher decides. {message}"
LACKS_NAMES = "It needs {names}, which the notebook defines elsewhere. Your teacher decides. {message}"
SEVERAL_ANSWERS = (
    "Several cells define it, and another one than the one that was run may be meant. Your teacher decides. {message}"
)

# Which limit of the watch it was, for the teacher.
_TOO_MANY_PROCESSES = "the kernel was ended: processes: {used}, at most {allowed} are allowed"
_TOO_MUCH_MEMORY = "the kernel was ended: memory: {used} MiB, at most {allowed} are allowed"


def kernel_ended(end: KernelEnd) -> str:
    """For the teacher: that a kernel was ended, and for which limit."""
    return _with_numbers(end, _TOO_MANY_PROCESSES, _TOO_MUCH_MEMORY)


def answer_ended(end: KernelEnd) -> str:
    """For the learner: that the answer ended its process, and at which limit."""
    return _with_numbers(end, _ENDED_FOR_PROCESSES, _ENDED_FOR_MEMORY)


def _with_numbers(end: KernelEnd, of_processes: str, of_memory: str) -> str:
    if end.limit is Limit.PROCESSES:
        return of_processes.format(used=end.used, allowed=end.allowed)
    return of_memory.format(used=end.used >> 20, allowed=end.allowed >> 20)
