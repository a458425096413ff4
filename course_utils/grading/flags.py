"""What a person may want to know of a submission: each flag with its sentence, and whether somebody must look.

A flag is raised where something is seen and travels as its name and details; the sentence is put together where it is
shown. So what a flag means hangs on the flag and never on a word of its sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from course_utils.grading.inside.reports import Attempt


class Severity(Enum):
    """What a flag asks of the teacher."""

    NOTE = "note"
    LOOK = "look"


class Flag(Enum):
    """All flags: the name under which one is stored, its severity, its sentence with the details in braces."""

    severity: Severity
    sentence: str

    def __new__(cls, name: str, severity: Severity, sentence: str) -> Flag:
        member = object.__new__(cls)
        member._value_ = name
        member.severity, member.sentence = severity, sentence
        return member

    # how it was handed in
    NOT_READ = "not-read", Severity.NOTE, "not read: {reason}"
    SEVERAL_NOTEBOOKS = (
        "several-notebooks",
        Severity.NOTE,
        "{count} notebooks of this lesson; {marked} was marked, not {others}",
    )
    WHOSE = "whose", Severity.LOOK, "the roster does not say for certain whose {owner} is; it may be {students}"
    NOT_ON_ROSTER = "not-on-roster", Severity.LOOK, "nobody on the roster is called {owner}"
    # what was done to the notebook
    OWN_CELLS = "own-cells", Severity.NOTE, "{cells} of the learner's own"
    LESSON_EDITED = "lesson-edited", Severity.NOTE, "{cells} of the lesson edited (as given when marked)"
    ADDITIONS_KEPT = (
        "additions-kept",
        Severity.NOTE,
        "what was added to the lesson's cells (imports, functions) is kept",
    )
    LESSON_DELETED = "lesson-deleted", Severity.NOTE, "{cells} of the lesson deleted (there again when marked)"
    LESSON_REORDERED = (
        "lesson-reordered",
        Severity.NOTE,
        "the lesson's cells are in another order (in the lesson's own when marked)",
    )
    WORDS_GONE = "words-gone", Severity.NOTE, "the cell for the answer in words is gone"
    # where the answer was found
    FOUND_BY_NAME = (
        "found-by-name",
        Severity.NOTE,
        "the answer was found by its name, {name}, in a cell that is not the lesson's",
    )
    SEVERAL_DEFINITIONS = (
        "several-definitions",
        Severity.NOTE,  # one that is not right is open, and then somebody looks
        "{count} cells define {name}; the last one before the check was marked",
    )
    BELOW_ITS_CHECK = "below-its-check", Severity.NOTE, "the cell that defines {name} stands below the check"
    ANSWER_GONE = "answer-gone", Severity.NOTE, "the answer cell is gone"
    ANSWER_IS_NO_CODE = "answer-is-no-code", Severity.NOTE, "the answer cell is not a code cell any more"
    # what happened when it was run
    RAISED_AFTER = "raised-after", Severity.NOTE, "a cell of the answer raised {error}, after {name} was defined"
    NOT_REPEATED = "not-repeated", Severity.NOTE, "did not repeat itself"
    DISTURBED = "disturbed", Severity.LOOK, "the question was disturbed"
    FORGED = "forged", Severity.LOOK, "a cell sent what only a probe sends"
    TRIED = "tried", Severity.LOOK, "tried to reach {what}, which the sandbox does not allow"
    SANDBOX_CHANGED = (
        "sandbox-changed",
        Severity.LOOK,
        "files of the sandbox were changed while it was marked, by it or by another that was marked at the same time",
    )
    STARTED_A_PROGRAM = "started-a-program", Severity.NOTE, "started another program or process"
    # whose work it is
    CALLS_REFERENCE = "calls-reference", Severity.LOOK, "calls the reference solution"
    USES_UNSHOWN = "uses-unshown", Severity.LOOK, "uses {function}, which the solution does not"
    NOT_ALL_READ = (
        "not-all-read",
        Severity.LOOK,
        "takes long to read; whether it uses what the solution does not was not looked at",
    )
    SAME_AS_REFERENCE = "same-as-reference", Severity.LOOK, "same code as the reference solution, names aside"
    SAME_AS_OTHERS = "same-as-others", Severity.LOOK, "same code as {students}, names aside"
    SAME_AS_MANY = "same-as-many", Severity.LOOK, "same code as {students} and {more} more, names aside"

    def raised(self, **details: str | int) -> Raised:
        """Raise it; ``details`` fill the braces of its sentence."""
        return Raised(self, {name: str(value) for name, value in details.items()})


@dataclass(frozen=True)
class Raised:
    """A flag that was raised, with what its sentence needs."""

    flag: Flag
    details: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.flag.sentence.format_map(self.details)

    @property
    def must_look(self) -> bool:
        """Whether a person must look before the marks go out."""
        return self.flag.severity is Severity.LOOK


_REACHED = {
    Attempt.KEYRING: "the keyring",
    Attempt.SYSTEM: "a door into the system's kernel",
    Attempt.NAMESPACES: "namespaces and mounts",
    Attempt.PROCESS: "another process",
    Attempt.MEMORY: "memory that outlives it",
    Attempt.NETWORK: "the network",
    Attempt.SOCKET: "another program's socket",
    Attempt.RIGHTS: "the owner, the rights or the length of a file",
    Attempt.OTHER: "a call that is refused",
}


def tried(attempt: Attempt) -> Raised:
    """The flag of what a kernel tried. To start a program is allowed, and only told."""
    if attempt is Attempt.PROGRAM:
        return Flag.STARTED_A_PROGRAM.raised()
    return Flag.TRIED.raised(what=_REACHED[attempt])


def cells(count: int) -> str:
    """A number of cells, in words for a sentence."""
    return "1 cell" if count == 1 else f"{count} cells"
