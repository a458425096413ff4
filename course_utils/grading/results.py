"""What marking finds: one set of types from the worker to the report, and the one place where they are written and
read.

``Result`` is a student's; in it a ``Mark`` for each exercise, and a ``Run`` for each kernel with the record of its
cells. A stored result carries the number ``FORMAT``; one of another number is marked again, never half understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from course_utils.exercises import Verdict
from course_utils.exercises.running import KEEP_NAME, KEEP_PRINTED, Outcome, outcome_from_json, outcome_to_json
from course_utils.grading.flags import Raised
from course_utils.grading.inside.reports import Attempt, KernelEnd
from course_utils.grading.inside.settings import Protections
from course_utils.grading.roster import Student

FORMAT = 5


class Status(StrEnum):
    """What became of a submission."""

    MARKED = "marked"
    IN_PART = "in part"
    UNREADABLE = "unreadable"
    WRONG_NOTEBOOK = "wrong notebook"
    EXAMINER_ERROR = "examiner error"
    NOTHING = "nothing handed in"


class Ruling(StrEnum):
    """What an answer came to: the word, what it means in a sentence, and whether it is left to a person."""

    meaning: str
    open: bool

    def __new__(cls, word: str, meaning: str, open: bool = False) -> Ruling:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning, member.open = meaning, open
        return member

    PASS = "pass", "Right on every hidden input."
    PART = "part", "Right in part."
    FAIL = "fail", "Wrong."
    ERROR = "error", "The answer raised an exception."
    NOT_TRIED = "not tried", "The stub, as it was given."
    MISSING = "missing", "No such answer in the notebook."
    TIME_OUT = "time-out", "Stopped at the time limit."
    CRASHED = "crashed", "Ended the process that ran it."
    OUTPUT_LIMIT = "output limit", "Printed more than is allowed."
    NOT_REACHED = "not reached", "The time for this notebook was over.", True
    FLAKY = "flaky", "Did not do the same when it was run again: a person decides.", True
    UNCLEAR = "unclear", "Which of the notebook's cells are the answer is not certain: a person decides.", True
    EXAMINER_ERROR = "examiner error", "The marking itself failed: a person decides.", True

    @property
    def tried(self) -> bool:
        """Whether the learner wrote an answer at all."""
        return self not in (Ruling.NOT_TRIED, Ruling.MISSING)


@dataclass(frozen=True)
class Mark:
    """What one exercise of one submission came to.

    Attributes:
        message: what the learner is told, as in the lesson; without the hidden inputs.
        mistake: the name of a known mistake, for the teacher's statistics.
        trace: the learner's own traceback.
        printed: the start of what the answer printed.
        flags: what a person may want to look at.
        source: the answer as it was submitted.
    """

    verdict: Ruling
    points: int
    out_of: int
    message: str = ""
    mistake: str | None = None
    trace: str = ""
    printed: str = ""
    seconds: float = 0.0
    flags: tuple[Raised, ...] = ()
    source: str = ""

    def flagged(self, *flags: Raised) -> Mark:
        """The same with more flags; one that is there already is not put twice."""
        new = [flag for index, flag in enumerate(flags) if flag not in self.flags and flag not in flags[:index]]
        return replace(self, flags=(*self.flags, *new))


@dataclass(frozen=True)
class CellError:
    """The exception of a cell; ``trace`` shows the frames in the learner's own cells only, ``missing`` is as in an
    :class:`Outcome`.
    """

    name: str
    text: str
    trace: str = ""
    missing: str = ""


_Told = Annotated[str, msgspec.Meta(max_length=2 * KEEP_PRINTED)]
_Name = Annotated[str, msgspec.Meta(max_length=KEEP_NAME)]


class SentOutcome(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An :class:`Outcome` as it travels out of the sandbox: fields typed and limited, the value still plain data."""

    kind: Literal["value", "error", "not tried"]
    error: _Told
    harm: _Told
    printed: _Told
    final: bool
    trace: _Told
    out_of_time: bool
    raised: _Name
    missing: _Name
    value: Any

    @classmethod
    def of(cls, outcome: Outcome) -> SentOutcome:
        """The outcome, made to travel."""
        return msgspec.convert(outcome_to_json(outcome), cls)

    def opened(self) -> Outcome:
        """The outcome with its value thawed. Raises ValueError where the value is not one that answers send."""
        return outcome_from_json(msgspec.structs.asdict(self))


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the probe sends for one question; ``outcomes`` is None where nothing of the exercise's name was defined,
    ``used`` names the functions of the course that the answer called.
    """

    exercise: str
    nonce: str
    outcomes: Annotated[list[SentOutcome], msgspec.Meta(min_length=1, max_length=100)] | None
    used: Annotated[list[_Name], msgspec.Meta(max_length=100)] = []


@dataclass(frozen=True)
class Answer:
    """What came of one question: a verdict, or why there is none.

    Attributes:
        undefined: the notebook had nothing of the exercise's name.
        refused: why what was sent cannot be compared.
        failure: why judging itself failed; not the learner's fault.
        agrees: of a question that was asked again: whether the same came.
        used: the functions of the course that it says the answer called. Not to be believed without a look.
    """

    verdict: Verdict | None = None
    outcomes: tuple[SentOutcome, ...] = ()
    undefined: bool = False
    refused: str = ""
    failure: str = ""
    agrees: bool | None = None
    used: tuple[str, ...] = ()


class CellKind(StrEnum):
    """What a cell of a run is there for."""

    LESSON = "lesson"
    EXTRA = "extra"
    ANSWER = "answer"
    PROBE = "probe"
    AGAIN = "again"
    SUPPLY = "supply"

    @property
    def learners(self) -> bool:
        """Whether the learner wrote it."""
        return self in (CellKind.EXTRA, CellKind.ANSWER)

    @property
    def asks(self) -> bool:
        """Whether values are sent by it."""
        return self in (CellKind.PROBE, CellKind.AGAIN)


class Alarm(StrEnum):
    """What makes worthless all that comes after it in a run."""

    TIME_OUT = "time-out"
    CRASHED = "crashed"
    OUTPUT_LIMIT = "output limit"


class Stop(StrEnum):
    """Why a run was stopped between two cells: after an alarm, for want of a kernel, or in front of a reference whose
    exercise needs a cell of the lesson that was left out; another run follows with all cells.
    """

    ALARM = "alarm"
    NO_KERNEL = "no kernel"
    LACKS_A_CELL = "lacks a cell"


class Failure(StrEnum):
    """What broke a run: no kernel came, its time was over ("wall"), or the examiner failed."""

    NO_KERNEL = "no kernel"
    WALL = "wall"
    EXAMINER = "examiner"


@dataclass(frozen=True)
class CellRecord:
    """One cell of a run.

    Attributes:
        passed: whether nbval found nothing wrong with it.
        reply: how the kernel answered: "ok", "error", "aborted", or "" where it did not.
        forged: values that it sent, though no question was asked of it.
    """

    kind: CellKind
    exercise: str
    seconds: float = 0.0
    passed: bool = True
    reply: str = "ok"
    alarm: Alarm | None = None
    source: str = ""
    text: str = ""
    error: CellError | None = None
    answer: Answer | None = None
    forged: int = 0

    @property
    def failed(self) -> bool:
        """Whether anything at all says that it did not run to its end."""
        return self.error is not None or not self.passed or self.reply != "ok"


@dataclass(frozen=True)
class Trouble:
    """Why a run says nothing, or no more."""

    what: Failure
    told: str


@dataclass(frozen=True)
class Run:
    """The record of one kernel: which exercises it was asked for, what each cell came to, why it was ended.

    ``kernel_end``: None if by no limit of the watch. ``tried``: what it tried that the filter of system calls refuses
    or tells. ``whole``: all of the lesson's cells were run. ``everything``: all of the learner's own were, to see
    whether an answer that was not right is so with them.
    """

    asked: tuple[str, ...]
    cells: tuple[CellRecord, ...] = ()
    trouble: Trouble | None = None
    stopped: Stop | None = None
    kernel_end: KernelEnd | None = None
    tried: tuple[Attempt, ...] = ()
    whole: bool = False
    everything: bool = False


class RecordLine(msgspec.Struct, omit_defaults=True):
    """One line of the file that the examiner writes while a run goes on; ``ended``: the last one."""

    cell: CellRecord | None = None
    trouble: Trouble | None = None
    stopped: Stop | None = None
    ended: bool = False


@dataclass(frozen=True)
class Marked:
    """Everything that is found out about one notebook.

    Attributes:
        prose: by question, the learner's words ("" if untouched).
        seed: of the hidden inputs.
        level: of the sandbox.
        protections: what shut each kernel in besides.
    """

    marks: dict[str, Mark]
    flags: tuple[Raised, ...] = ()
    prose: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    level: str = ""
    protections: Protections = field(default_factory=Protections)
    seconds: float = 0.0
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Broken:
    """A notebook that could not be marked, and why: the worker's fault until proven."""

    reason: str


@dataclass(frozen=True)
class ByHand:
    """The points that a teacher gave an exercise or an answer in words, why (for the student), and when (ISO 8601)."""

    points: float
    because: str
    when: str


@dataclass(frozen=True)
class ExerciseInfo:
    """What a report says of an exercise."""

    title: str
    points: int


@dataclass(frozen=True)
class Result:
    """One student's result: who, what was handed in, what became of it.

    Attributes:
        fingerprint: of the notebook, the lesson and the rules; another one means that it has to be marked again.
        digest: sha256 of the file that was marked.
        reason: why it could not be marked, for the student and the teacher.
        notes: how it was handed in.
        by_hand: by exercise or question, what the teacher gave instead of what marking found.
        in_words: by question, the points that its rubric has: one for each thing that a right answer says.
    """

    format: int
    fingerprint: str
    student: Student
    files: tuple[str, ...]
    digest: str
    lesson: str
    exercises: dict[str, ExerciseInfo]
    status: Status
    reason: str
    notes: tuple[Raised, ...]
    marked: Marked
    by_hand: dict[str, ByHand] = field(default_factory=dict)
    in_words: dict[str, int] = field(default_factory=dict)

    @property
    def marks(self) -> dict[str, Mark]:
        """By exercise; empty if the notebook could not be marked."""
        return self.marked.marks

    @property
    def has_points(self) -> bool:
        """Whether there is anything to add up: what could not be marked has no points, which is not 0."""
        return bool(self.marks or self.by_hand)

    def points_of(self, exercise: str) -> float:
        """The points of an exercise: the teacher's, where they gave some, else those that marking found."""
        if exercise in self.by_hand:
            return _plain(self.by_hand[exercise].points)
        return self.marks[exercise].points if exercise in self.marks else 0

    @property
    def points(self) -> float:
        """All points that were had."""
        return _plain(sum(self.points_of(id) for id in {**self.exercises, **self.by_hand}))

    @property
    def out_of(self) -> int:
        """All points that could be had; those of an answer in words once a teacher has given it some."""
        words = sum(self.in_words.get(id, 0) for id in self.by_hand)
        return sum(exercise.points for exercise in self.exercises.values()) + words

    @property
    def is_open(self) -> bool:
        """Whether a part of the points is for a person to decide, so that their sum is no mark yet."""
        return bool(self.open_exercises)

    @property
    def open_exercises(self) -> list[str]:
        """The exercises whose verdict is open and whose points nobody has given."""
        return [id for id, mark in self.marks.items() if mark.verdict.open and id not in self.by_hand]

    @property
    def all_flags(self) -> list[tuple[str, Raised]]:
        """Every flag, with the exercise that it concerns, or ""."""
        general = [("", flag) for flag in (*self.notes, *self.marked.flags)]
        return general + [(id, flag) for id, mark in self.marks.items() for flag in mark.flags]

    @property
    def flags_told(self) -> list[str]:
        """Every flag as a sentence, that of an exercise with its number in front."""
        return [f"{id}: {flag}" if id else str(flag) for id, flag in self.all_flags]

    @property
    def needs_a_person(self) -> bool:
        """Whether someone should look before the marks go out: it could not be marked, a verdict is open, or a flag
        asks for it; and not where someone has looked, and given the points by hand.
        """
        if self.status == Status.NOTHING or self.exercises.keys() <= self.by_hand.keys():
            return False
        if not self.marks:
            return True
        return self.is_open or any(flag.must_look for id, flag in self.all_flags if id not in self.by_hand)


def _plain(points: float) -> float:
    """Whole points without a decimal point."""
    return int(points) if points == int(points) else round(points, 2)


class NotUsable(ValueError):
    """A stored result that cannot be used; the text says why, in a sentence for the teacher."""


class OtherFormat(NotUsable):
    """One that another version wrote."""


class Damaged(NotUsable):
    """One that is no result, or not any more."""


def encode(value: Result | Marked | Broken) -> bytes:
    """As JSON, on one line."""
    return msgspec.json.encode(value)


def decode_result(data: bytes) -> Result:
    """The stored result.

    Raises:
        OtherFormat: it has another format number.
        Damaged: it is not a result at all.
    """
    try:
        found = msgspec.json.decode(data, type=_Numbered).format
        if found == FORMAT:
            return msgspec.json.decode(data, type=Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"it is damaged ({error})") from None
    raise OtherFormat(f"it was written in format {found}, and this version reads format {FORMAT}")


def decode_marked(data: bytes) -> Marked | Broken:
    """What a worker said. Raises ValueError where it is neither."""
    if msgspec.json.decode(data, type=dict[str, msgspec.Raw]).keys() == {"reason"}:
        return msgspec.json.decode(data, type=Broken)
    return msgspec.json.decode(data, type=Marked)


class _Numbered(msgspec.Struct):
    format: int
