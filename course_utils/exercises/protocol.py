"""What an exercise is, and the two steps of judging an answer to it.

An exercise knows its reference solution, how to draw fresh inputs from a seed, and the mistakes that people really
make: each is a wrong answer that runs, with the sentence its author should hear. So a verdict is a comparison of
values, never of source:

1. :func:`attempt` runs an answer on the inputs of one seed and freezes what came back (it never raises);
2. :func:`judge` runs the reference on the same inputs, compares, and names the mistake whose values are the same.

The check cell in a lesson does both in one process. Marking does the first where the learner's code can do no harm, and
the second elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.differences import Difference, first_difference
from course_utils.exercises.messages import say
from course_utils.exercises.running import Outcome, run_safely


@dataclass(frozen=True)
class Model:
    """Stands for a model among a case's arguments; replaced by the model itself when the case is run.

    Without a name it is the model that the lesson runs on. Tiny random models are named, with a seed.
    """

    name: str | None = None
    seed: int = 0

    def load(self) -> Any:
        from course_utils.model.loading import in_use, load_model

        if self.name is None:
            return in_use() or load_model()
        return load_model(self.name, seed=self.seed)


@dataclass(frozen=True)
class Case:
    """One set of inputs: ``answer(*args, **kwargs)``. ``label`` completes the sentence "On ..." for the learner."""

    label: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer: ``answer`` makes it, ``says`` is what its author is told.

    ``name`` is for the teacher's statistics.
    """

    name: str
    answer: Callable[..., Any]
    says: str


@dataclass(frozen=True)
class Hint:
    """One of an exercise's hints. The notebook folds ``text`` under ``title``; ``hint`` prints both.

    Code stands in `backticks`; several lines of it, none of them empty, between two lines of three backticks.
    """

    title: str
    text: str


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    Attributes:
        id: "4.1": the lesson and the exercise's place in it.
        title: stands over the exercise in the notebook, with the minutes, points and difficulty (1 to 3).
        reference: the solution, a function or class of the lesson's module. The stub in the notebook has its signature
            and docstring.
        shows: one sentence that a right answer earns: what was just shown.
        hints: from "where to look" to "nearly the answer"; ``hint`` gives one more at each call.
        draw: inputs from a random source: at least one case on a tiny random model or random data, so that a hard-coded
            answer fails.
        mistakes: known wrong answers, the most specific first.
        drive: how an answer is used on a case's arguments, when calling it is not enough (a class; several calls). The
            value it returns is what is compared.
        axes: what the indices of the value mean, outermost first: ("layer", "position").
        tolerance: relative to the largest expected number.
        diagnose: an optional last word on a wrong value: (case, expected, got) to a sentence or None.
    """

    id: str
    title: str
    minutes: int
    points: int
    difficulty: int
    reference: Callable[..., Any]
    shows: str
    hints: tuple[Hint, ...]
    draw: Callable[[random.Random], Sequence[Case]]
    mistakes: tuple[Mistake, ...] = ()
    drive: Callable[..., Any] | None = None
    axes: tuple[str, ...] = ()
    tolerance: float = 1e-3
    diagnose: Callable[[Case, Any, Any], str | None] | None = None

    def __post_init__(self) -> None:
        for hint in self.hints:
            if not isinstance(hint, Hint):
                raise TypeError(f"Exercise {self.id}: the hint {hint!r} is no Hint; write Hint(title, text).")

    @property
    def name(self) -> str:
        """The name that the learner's function or class must have."""
        return self.reference.__name__

    def cases(self, seed: int) -> list[Case]:
        """The inputs of one seed, the same in every process."""
        return list(self.draw(random.Random(f"{self.id}:{seed}")))


Run = Callable[[Exercise, Callable[..., Any], Case], Outcome]


@dataclass(frozen=True)
class Verdict:
    """What an answer was found to be. ``str(verdict)`` is the line that the learner sees.

    ``status`` is "right", "wrong" or "not tried"; ``mistake`` the name of a known mistake; ``passed`` says of each
    case, by label, if it was right.
    """

    exercise: str
    status: str
    points: int
    out_of: int
    message: str
    mistake: str | None = None
    passed: tuple[tuple[str, bool], ...] = ()

    def __str__(self) -> str:
        if self.status == "not tried":
            return say(messages.NOT_TRIED, exercise=self.exercise)
        template = messages.RIGHT if self.status == "right" else messages.WRONG
        points = {"points": self.points, "out_of": self.out_of}
        return say(template, exercise=self.exercise, message=self.message, **points)


def attempt(exercise: Exercise, answer: Any, seed: int) -> list[Outcome]:
    """Run ``answer`` on each case of ``seed``; never raises.

    Stops at the first case that was not tried or ran out of time.
    """
    outcomes: list[Outcome] = []
    for case in exercise.cases(seed):
        outcomes.append(run_case(exercise, answer, case))
        if outcomes[-1].final:
            break
    return outcomes


def judge(exercise: Exercise, outcomes: Sequence[Outcome], seed: int, run: Run | None = None) -> Verdict:
    """Compare the outcomes of :func:`attempt` with the reference's on the same seed.

    A third of the points is for the right form (type, shape, dtype, keys) in every case, the rest for right values, by
    case. ``run`` runs the reference and the known mistakes, :func:`run_case` unless another is given: who judges many
    answers to one exercise need not run those again for each.
    """
    run = run or run_case
    if not outcomes or any(outcome.kind == "not tried" for outcome in outcomes):
        return Verdict(exercise.id, "not tried", 0, exercise.points, "")
    cases = exercise.cases(seed)
    expected = [run(exercise, exercise.reference, case) for case in cases]
    for case, reference in zip(cases, expected, strict=True):
        if reference.kind != "value":
            raise RuntimeError(f"The reference of exercise {exercise.id} failed on {case.label}: {reference.error}")

    faults = [_fault(exercise, *pair) for pair in zip(expected, outcomes, strict=False)]
    faults += [Difference("", messages.NOT_RUN, True)] * (len(cases) - len(outcomes))
    passed = tuple((case.label, fault is None) for case, fault in zip(cases, faults, strict=True))
    right = sum(ok for _, ok in passed)
    if right == len(cases):
        return Verdict(exercise.id, "right", exercise.points, exercise.points, exercise.shows, passed=passed)

    points = 0
    if not any(fault and fault.form for fault in faults):
        points = int(exercise.points * (1 + 2 * right / len(cases)) / 3)
    where = next(i for i, fault in enumerate(faults) if fault)
    fault, case = faults[where], cases[where]
    assert fault is not None
    mistake = _known_mistake(exercise, cases, faults, outcomes, run)
    told = fault.told
    sentences = [told if outcomes[where].kind == "error" else say(messages.ON_CASE, case=case.label, message=told)]
    if mistake:
        sentences.append(mistake.says)
    elif exercise.diagnose and outcomes[where].kind == "value":
        sentences.append(exercise.diagnose(case, expected[where].value, outcomes[where].value) or "")
    message = " ".join(sentence for sentence in sentences if sentence)
    return Verdict(exercise.id, "wrong", points, exercise.points, message, mistake.name if mistake else None, passed)


def run_case(exercise: Exercise, answer: Any, case: Case) -> Outcome:
    """What ``answer`` does on one case; never raises."""
    return run_safely(exercise.drive or _call, answer, case.args, case.kwargs)


def _call(answer: Any, *args: Any, **kwargs: Any) -> Any:
    return answer(*args, **kwargs)


def _fault(exercise: Exercise, expected: Outcome, got: Outcome) -> Difference | None:
    if got.kind == "error":
        return Difference("", got.error, True)
    found = first_difference(expected.value, got.value, exercise.axes, exercise.tolerance)
    if found is None and got.harm:
        return Difference("", got.harm, False)
    return found


def _known_mistake(
    exercise: Exercise,
    cases: Sequence[Case],
    faults: Sequence[Difference | None],
    outcomes: Sequence[Outcome],
    run: Run,
) -> Mistake | None:
    """The first mistake that gives the learner's values wherever the learner's are wrong."""
    wrong = [i for i, outcome in enumerate(outcomes) if faults[i] is not None and outcome.kind == "value"]
    if not wrong:
        return None
    for mistake in exercise.mistakes:
        if all(_same(exercise, run(exercise, mistake.answer, cases[i]), outcomes[i]) for i in wrong):
            return mistake
    return None


def _same(exercise: Exercise, wrong: Outcome, got: Outcome) -> bool:
    if wrong.kind != "value":
        return False
    return (
        first_difference(wrong.value, got.value, exercise.axes, exercise.tolerance) is None and wrong.harm == got.harm
    )
