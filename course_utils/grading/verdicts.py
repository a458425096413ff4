"""What the record of a run means: one verdict for each exercise. Every rule stands here, and none of them gives points by default."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from course_utils.exercises import Exercise
from course_utils.grading.lesson import Lesson

VERDICTS = {
    "pass": "right on every hidden input",
    "part": "right in part",
    "fail": "wrong",
    "error": "the answer raised an exception",
    "not tried": "the stub, as it was given",
    "missing": "no such answer in the notebook",
    "time-out": "stopped at the time limit",
    "crashed": "ended the process that ran it",
    "output limit": "printed more than is allowed",
    "not reached": "the time for this notebook was over",
    "flaky": "did not do the same when it was run again: a person decides",
    "examiner error": "the marking itself failed: a person decides",
}
FOR_A_PERSON = ("flaky", "examiner error", "not reached")
WITHHELD = "This calls the course's own solution, which is not to be had while it is marked. No points for an answer that is not yours."


@dataclass(frozen=True)
class Mark:
    """What one exercise of one submission came to.

    Attributes:
        verdict: one of VERDICTS.
        message: what the learner is told, as in the lesson; without the hidden inputs.
        mistake: the name of a known mistake, for the teacher's statistics.
        trace: the learner's own traceback.
        printed: the start of what the answer printed.
        flags: what a person may want to look at.
        source: the answer as it was submitted.
    """

    verdict: str
    points: int
    out_of: int
    message: str = ""
    mistake: str | None = None
    trace: str = ""
    printed: str = ""
    seconds: float = 0.0
    flags: tuple[str, ...] = ()
    source: str = ""

    def flagged(self, *flags: str) -> Mark:
        """The same with more flags."""
        return replace(self, flags=tuple(dict.fromkeys((*self.flags, *flags))))

    def to_json(self) -> dict[str, Any]:
        """Plain data; :meth:`from_json` reads it."""
        return {**asdict(self), "flags": list(self.flags)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mark:
        """The mark that :meth:`to_json` wrote."""
        return cls(**{**data, "flags": tuple(data["flags"])})


def plain(exercise: Exercise, verdict: str, message: str = "", *, trace: str = "", flags: tuple[str, ...] = ()) -> Mark:
    """A mark without points."""
    return Mark(verdict, 0, exercise.points, message or VERDICTS[verdict].capitalize() + ".", trace=trace, flags=flags)


@dataclass
class Reading:
    """What a run's record says.

    Attributes:
        marks: the exercises that were asked and answered.
        culprit: the exercise at which the run ended early, and the verdict that this means for it.
        trouble: why the run says nothing, if it was the examiner's fault.
        flags: what concerns the whole notebook.
    """

    marks: dict[str, Mark] = field(default_factory=dict)
    culprit: tuple[str, str] | None = None
    trouble: str = ""
    flags: list[str] = field(default_factory=list)


def read(lesson: Lesson, entries: list[dict[str, Any]], asked: list[str], kernel_end: str) -> Reading:
    """Read a record.

    Args:
        entries: of :func:`course_utils.grading.examiner.run`.
        asked: the exercises that this run asked for, in order.
        kernel_end: what the kernel's watch said when it ended it, "" if it did not.
    """
    reading = Reading()
    cells = [entry for entry in entries if "kind" in entry]
    for position, entry in enumerate(cells):
        if entry["kind"] == "probe" and not entry["alarm"]:
            id = entry["exercise"]
            own = [cell for cell in cells[:position] if cell["exercise"] == id and cell["kind"] in ("answer", "extra")]
            following = cells[position + 1] if position + 1 < len(cells) else None
            again = following if following and following["kind"] == "again" and following["exercise"] == id else None
            if again is None or not again["alarm"]:
                reading.marks[id] = _mark(lesson.exercise(id), entry, own, again)
        if entry.get("forged"):
            reading.flags.append("a cell sent what only a probe sends")
    _find_end(reading, entries, cells, asked, kernel_end)
    return reading


def _find_end(
    reading: Reading, entries: list[dict[str, Any]], cells: list[dict[str, Any]], asked: list[str], kernel_end: str
) -> None:
    left = [id for id in asked if id not in reading.marks]
    alarm = next((cell for cell in cells if cell["alarm"]), None)
    trouble = next((entry for entry in entries if "trouble" in entry), None)
    if alarm is not None:
        verdict = "output limit" if alarm["alarm"] == "crashed" and kernel_end.startswith("output") else alarm["alarm"]
        reading.culprit = (_owner(alarm, left), verdict)
    elif trouble is not None and trouble["trouble"] == "wall":
        reading.culprit = (left[0], "time-out") if left else None
    elif trouble is not None:
        reading.trouble = f"{trouble['trouble']}: {trouble['told']}"
    elif left:
        reading.trouble = "the record ends before every question was asked"


def _owner(cell: dict[str, Any], left: list[str]) -> str:
    """The exercise to which an early end is put down: that of the cell, else the next that was to be asked."""
    if cell["exercise"] in left or not left:
        return str(cell["exercise"])
    return left[0]


def _mark(exercise: Exercise, probe: dict[str, Any], own: list[dict[str, Any]], again: dict[str, Any] | None) -> Mark:
    result = probe["result"]
    failed = next((cell for cell in own if cell["error"] or not cell["passed"] or cell["reply"] != "ok"), None)
    printed = "".join(cell["text"] for cell in own)
    if "examiner" in result:
        return plain(exercise, "examiner error", f"The answer could not be judged: {result['examiner']}")
    if "undefined" in result:
        if failed is None:
            return plain(exercise, "missing", f"After your cell has run there is no {exercise.name}.")
        return _raised(exercise, failed)
    if "refused" in result:
        if probe["error"]:
            return plain(exercise, "error", "The question about your answer did not run to its end.", trace=probe["error"]["trace"],
                         flags=("the question was disturbed",))  # fmt: skip
        return plain(
            exercise,
            "fail",
            f"No values came that could be compared: {result['refused']}.",
            flags=("the question was disturbed",),
        )
    mark = _judged(exercise, result, probe)
    mark = replace(mark, printed=(printed + mark.printed)[:2000])
    if failed is not None:
        name = failed["error"].get("name", "an exception") if failed["error"] else "an exception"
        mark = mark.flagged(f"a cell of the answer raised {name}, after {exercise.name} was defined")
    if mark.verdict in ("pass", "not tried"):
        return mark
    if again is None or "agrees" not in again.get("result", {}):
        return mark
    if again["result"]["agrees"]:
        return mark
    other = again["result"]["verdict"]
    return replace(
        mark,
        verdict="flaky",
        points=min(mark.points, other["points"]),
        message=f"Run twice on the same inputs, it did not do the same. First: {mark.message}",
    ).flagged("did not repeat itself")


def _judged(exercise: Exercise, result: dict[str, Any], probe: dict[str, Any]) -> Mark:
    verdict, outcomes = result["verdict"], result["outcomes"]
    points, message = verdict["points"], verdict["message"]
    printed = outcomes[0]["printed"] if outcomes else ""
    trace = next((outcome["trace"] for outcome in outcomes if outcome["trace"]), "")

    def mark(word: str, points: int = 0, flags: tuple[str, ...] = ()) -> Mark:
        told = message or VERDICTS[word].capitalize() + "."
        return Mark(word, points, exercise.points, told, verdict["mistake"], trace, printed, probe["seconds"], flags)

    if verdict["status"] == "right":
        return mark("pass", exercise.points)
    if verdict["status"] == "not tried":
        return mark("not tried")
    if any(outcome["error"].startswith("Your code raised ReferenceWithheld") for outcome in outcomes):
        return replace(mark("fail"), message=WITHHELD).flagged("calls the reference solution")
    if any(outcome["out_of_time"] for outcome in outcomes):
        return mark("time-out")
    if 0 < points < exercise.points:
        return mark("part", points)
    if outcomes[0]["kind"] == "error":
        return mark("error")
    return mark("fail")


def _raised(exercise: Exercise, cell: dict[str, Any]) -> Mark:
    name = cell["error"].get("name", "")
    if name == "ReferenceWithheld":
        return plain(exercise, "fail", WITHHELD, flags=("calls the reference solution",))
    what = f"{name}: {cell['error']['text']}" if name else "an exception"
    return plain(
        exercise,
        "error",
        f"Your cell raised {what[:500]}, so there is no {exercise.name}.",
        trace=cell["error"].get("trace", ""),
    )
