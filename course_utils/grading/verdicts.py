"""What the record of a run means: one verdict for each exercise. Every rule stands here, and none of them gives points
by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from course_utils.exercises import Exercise
from course_utils.grading import messages
from course_utils.grading.flags import Flag, Raised, tried
from course_utils.grading.inside.withheld import ReferenceWithheld
from course_utils.grading.lesson import Lesson
from course_utils.grading.results import Alarm, Answer, CellKind, CellRecord, Failure, Mark, Ruling, Run, Stop

_WITHHELD_ERROR = ReferenceWithheld.__name__
_ALARMS = {
    Alarm.TIME_OUT: Ruling.TIME_OUT,
    Alarm.CRASHED: Ruling.CRASHED,
    Alarm.OUTPUT_LIMIT: Ruling.OUTPUT_LIMIT,
}


def without_points(
    exercise: Exercise, verdict: Ruling, message: str = "", *, trace: str = "", flags: tuple[Raised, ...] = ()
) -> Mark:
    """A mark without points."""
    return Mark(verdict, 0, exercise.points, message or verdict.meaning, trace=trace, flags=flags)


@dataclass
class Reading:
    """What a run's record says.

    Attributes:
        marks: the exercises that were asked and answered.
        culprit: the exercise at which the run ended early, and the verdict that this means for it.
        beside: it ended in a cell of the learner's own that stands beside the answer.
        trouble: why the run says nothing, if it was the examiner's fault.
        flags: what concerns the whole notebook.
        lacks_a_cell: it stopped at an answer that needs a cell of the lesson which was left out.
    """

    marks: dict[str, Mark] = field(default_factory=dict)
    culprit: tuple[str, Ruling] | None = None
    beside: bool = False
    trouble: str = ""
    flags: list[Raised] = field(default_factory=list)
    lacks_a_cell: bool = False


def read(lesson: Lesson, run: Run) -> Reading:
    """Read the record of :func:`course_utils.grading.examiner.run`."""
    reading = Reading(lacks_a_cell=run.stopped is Stop.LACKS_A_CELL)
    for position, cell in enumerate(run.cells):
        if cell.kind is CellKind.PROBE and cell.alarm is None:
            id = cell.exercise
            own = [one for one in run.cells[:position] if one.exercise == id and one.kind.learners]
            following = run.cells[position + 1] if position + 1 < len(run.cells) else None
            again = following if following and (following.kind, following.exercise) == (CellKind.AGAIN, id) else None
            # An alarm in the second round says that the first one's values cannot be trusted either.
            if again is None or again.alarm is None:
                reading.marks[id] = _mark(lesson.exercise(id), cell, own, again)
        if cell.forged:
            reading.flags.append(Flag.FORGED.raised())
    reading.flags += [tried(attempt) for attempt in run.tried]
    if reading.lacks_a_cell:
        reading.marks.pop(run.cells[-1].exercise, None)  # it was stopped there, before the reference was shown
        return reading
    _find_end(reading, run)
    return reading


def _find_end(reading: Reading, run: Run) -> None:
    left = [id for id in run.asked if id not in reading.marks]
    alarmed = next(((cell, cell.alarm) for cell in run.cells if cell.alarm is not None), None)
    if alarmed is not None:
        cell, alarm = alarmed
        reading.culprit = (_owner(cell, left), _ALARMS[alarm])
        reading.beside = cell.kind is CellKind.EXTRA
    elif run.trouble is not None and run.trouble.what is Failure.WALL:
        reading.culprit = (left[0], Ruling.TIME_OUT) if left else None
    elif run.trouble is not None:
        reading.trouble = f"{run.trouble.what}: {run.trouble.told}"
    elif left:
        reading.trouble = "the record ends before every question was asked"


def _owner(cell: CellRecord, left: list[str]) -> str:
    """The exercise to which an early end is put down: that of the cell, else the next that was to be asked."""
    if cell.exercise in left or not left:
        return cell.exercise
    return left[0]


def _mark(exercise: Exercise, probe: CellRecord, own: list[CellRecord], again: CellRecord | None) -> Mark:
    answer = probe.answer or Answer(refused="nothing was recorded of it")
    failed = next((cell for cell in own if cell.failed), None)
    if answer.failure:
        return without_points(exercise, Ruling.EXAMINER_ERROR, messages.NOT_JUDGED.format(error=answer.failure))
    if answer.undefined:
        if failed is None:
            return without_points(exercise, Ruling.MISSING, messages.NOT_DEFINED.format(name=exercise.name))
        return _raised(exercise, failed)
    if answer.verdict is None:
        disturbed = (Flag.DISTURBED.raised(),)
        if probe.error:
            trace = probe.error.trace
            return without_points(exercise, Ruling.ERROR, messages.QUESTION_ENDED, trace=trace, flags=disturbed)
        told = messages.NO_VALUES.format(reason=answer.refused)
        return without_points(exercise, Ruling.FAIL, told, flags=disturbed)
    mark = _judged(exercise, answer, probe.seconds)
    mark = replace(mark, printed=("".join(cell.text for cell in own) + mark.printed)[:2000])
    if failed is not None:
        name = failed.error.name if failed.error else "an exception"
        mark = mark.flagged(Flag.RAISED_AFTER.raised(error=name, name=exercise.name))
    if mark.verdict in (Ruling.PASS, Ruling.NOT_TRIED):
        return mark
    second = again.answer if again is not None else None
    if second is None or second.agrees is not False:
        return mark
    points = second.verdict.points if second.verdict else 0
    return replace(
        mark,
        verdict=Ruling.FLAKY,
        points=min(mark.points, points),
        message=messages.NOT_REPEATED.format(message=mark.message),
    ).flagged(Flag.NOT_REPEATED.raised())


def _judged(exercise: Exercise, answer: Answer, seconds: float) -> Mark:
    verdict, outcomes = answer.verdict, answer.outcomes
    assert verdict is not None
    ruling = _ruling(exercise, answer)
    points = {Ruling.PASS: exercise.points, Ruling.PART: verdict.points}.get(ruling, 0)
    mark = Mark(
        ruling,
        points,
        exercise.points,
        verdict.message or ruling.meaning,
        verdict.mistake,
        trace=next((outcome.trace for outcome in outcomes if outcome.trace), ""),
        printed=outcomes[0].printed if outcomes else "",
        seconds=seconds,
    )
    if ruling == Ruling.FAIL and _called_the_reference(answer):
        return replace(mark, message=messages.WITHHELD).flagged(Flag.CALLS_REFERENCE.raised())
    return mark


def _ruling(exercise: Exercise, answer: Answer) -> Ruling:
    verdict, outcomes = answer.verdict, answer.outcomes
    assert verdict is not None
    if verdict.status == "right":
        return Ruling.PASS
    if verdict.status == "not tried":
        return Ruling.NOT_TRIED
    if _called_the_reference(answer):
        return Ruling.FAIL
    if any(outcome.out_of_time for outcome in outcomes):
        return Ruling.TIME_OUT
    if 0 < verdict.points < exercise.points:
        return Ruling.PART
    return Ruling.ERROR if outcomes[0].kind == "error" else Ruling.FAIL


def _called_the_reference(answer: Answer) -> bool:
    return any(outcome.raised == _WITHHELD_ERROR for outcome in answer.outcomes)


def _raised(exercise: Exercise, cell: CellRecord) -> Mark:
    error = cell.error
    if error is not None and error.name == _WITHHELD_ERROR:
        return without_points(exercise, Ruling.FAIL, messages.WITHHELD, flags=(Flag.CALLS_REFERENCE.raised(),))
    if error is None:
        return without_points(exercise, Ruling.ERROR, messages.CELL_RAISED_UNSEEN.format(name=exercise.name))
    told = messages.CELL_RAISED.format(error=f"{error.name}: {error.text}"[:500], name=exercise.name)
    return without_points(exercise, Ruling.ERROR, told, trace=error.trace)
