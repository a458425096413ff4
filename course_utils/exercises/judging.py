"""Judging an answer to an exercise: a comparison of values, never of source, in two steps.

1. :func:`attempt` runs an answer on the inputs of one seed and freezes what came back (it never raises);
2. :func:`judge` runs the reference on the same inputs, compares, and names the mistake whose values are the same.

The check cell in a lesson does both in one process. Marking does the first where the learner's code can do no harm, and
the second elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.differences import Difference, first_difference
from course_utils.exercises.forms import Form, conform, in_form
from course_utils.exercises.messages import say
from course_utils.exercises.protocol import Case, Exercise, Mistake, Verdict
from course_utils.exercises.relations import relation
from course_utils.exercises.running import Outcome, is_stub, run_safely
from course_utils.exercises.values import freeze


class ReferenceFailed(RuntimeError):
    """The reference solution itself fails on a case: it was written for another model than the one in use."""


Run = Callable[[Exercise, Callable[..., Any], Case], Outcome]


def attempt(exercise: Exercise, answer: Any, seed: int) -> list[Outcome]:
    """Run ``answer`` on each case of ``seed``; never raises.

    Stops at the first case that was not tried or ran out of time.
    """
    outcomes: list[Outcome] = []
    if is_stub(answer):  # drawing may load a model
        return [Outcome("not tried", final=True)]
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

    Raises:
        ReferenceFailed: there is nothing to compare with.
    """
    run = run or run_case
    if not outcomes or any(outcome.kind == "not tried" for outcome in outcomes):
        return Verdict(exercise.id, "not tried", points=0, out_of=exercise.points, message="")
    cases = exercise.cases(seed)
    expected = [run(exercise, exercise.reference, case) for case in cases]
    for case, reference in zip(cases, expected, strict=True):
        if reference.kind != "value":
            raise ReferenceFailed(f"The reference of exercise {exercise.id} failed on {case.label}: {reference.error}")

    faults = [fault(exercise, *pair) for pair in zip(expected, outcomes, strict=False)]
    faults += [Difference("", messages.NOT_RUN, True)] * (len(cases) - len(outcomes))
    passed = tuple((case.label, one is None) for case, one in zip(cases, faults, strict=True))
    right = sum(ok for _, ok in passed)
    if right == len(cases):
        full = exercise.points
        return Verdict(exercise.id, "right", points=full, out_of=full, message=exercise.shows, passed=passed)

    points = 0
    if not any(one and one.form for one in faults):
        points = int(exercise.points * (1 + 2 * right / len(cases)) / 3)
    where = next(i for i, one in enumerate(faults) if one)
    found, case = faults[where], cases[where]
    assert found is not None
    mistakes = _known_mistakes(exercise, cases, faults, outcomes, run)
    told = found.told
    if case.raises and outcomes[where].kind == "value":
        told = say(messages.MUST_RAISE, raised=outcomes[where].value["raised"])
    sentences = [told if outcomes[where].kind == "error" else say(messages.ON_CASE, case=case.label, message=told)]
    if mistakes:
        sentences += [mistake.says for mistake in mistakes]
    elif outcomes[where].kind == "value" and not case.raises:
        sentences.append(_said_of(exercise, cases, expected, outcomes, faults, where))
    if outcomes[where].harm not in ("", found.told, messages.INPUT_CHANGED):
        sentences.append(outcomes[where].harm)
    message = " ".join(sentence for sentence in sentences if sentence)
    return Verdict(
        exercise.id,
        "wrong",
        points=points,
        out_of=exercise.points,
        message=message,
        mistake=mistakes[0].name if mistakes else None,
        passed=passed,
    )


def _said_of(
    exercise: Exercise,
    cases: Sequence[Case],
    expected: Sequence[Outcome],
    outcomes: Sequence[Outcome],
    faults: Sequence[Difference | None],
    where: int,
) -> str:
    """Of a wrong value that no known mistake gives, what can be said all the same; "" if nothing."""
    if exercise.diagnose:
        said = exercise.diagnose(cases[where], expected[where].value, outcomes[where].value)
        if said:
            return said
    wrong = [i for i, one in enumerate(outcomes) if faults[i] and one.kind == "value" and not cases[i].raises]
    return relation([(expected[i].value, outcomes[i].value) for i in wrong], exercise.axes, exercise.tolerance)


def run_case(exercise: Exercise, answer: Any, case: Case) -> Outcome:
    """What ``answer`` does on one case; never raises."""
    drive = exercise.drive or _call
    if exercise.returns:
        drive = _with_form(drive, exercise.returns)
    return run_safely(_refusal(drive) if case.raises else drive, answer, case.args, case.kwargs)


def _call(answer: Any, *args: Any, **kwargs: Any) -> Any:
    return answer(*args, **kwargs)


def _with_form(drive: Callable[..., Any], form: Form) -> Callable[..., Any]:
    """A driver that gets what an answer returns in ``form``, in the precision in which it came."""
    form = replace(form, dtype=None)
    return lambda answer, *args, **kwargs: drive(in_form(answer, form), *args, **kwargs)


def _refusal(drive: Callable[..., Any]) -> Callable[..., Any]:
    """A driver that tells what was raised, of a case on which an answer must raise a ValueError."""

    def told(answer: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        try:
            freeze(drive(answer, *args, **kwargs))  # a generator raises only when it is run through
        except NotImplementedError:
            raise
        except ValueError:
            return {"raised": "ValueError"}
        except Exception as error:
            return {"raised": type(error).__name__}
        return {"raised": "nothing"}

    return told


def fault(exercise: Exercise, expected: Outcome, got: Outcome) -> Difference | None:
    """What is wrong with an answer's outcome on a case, beside the reference's; None if it is right."""
    if got.kind == "error":
        return Difference("", got.error, True)
    found = _difference(exercise, expected.value, got.value)
    if found is None and got.harm:
        return Difference("", got.harm, False)
    return found


def _known_mistakes(
    exercise: Exercise,
    cases: Sequence[Case],
    faults: Sequence[Difference | None],
    outcomes: Sequence[Outcome],
    run: Run,
) -> list[Mistake]:
    """The first mistake that gives the learner's values wherever the learner's are wrong.

    Else one that does where they first went wrong and on half of the cases at least, with one that explains the others,
    if there is one: people make several. An exception that is not raised is told as it is.
    """
    wrong = [i for i, outcome in enumerate(outcomes) if faults[i] is not None and outcome.kind == "value"]
    wrong = [i for i in wrong if not cases[i].raises]
    if not wrong:
        return []
    known: dict[tuple[int, int], bool] = {}

    def explains(number: int, i: int) -> bool:
        if (number, i) not in known:
            outcome = run(exercise, exercise.mistakes[number].answer, cases[i])
            known[number, i] = _same(exercise, outcome, outcomes[i])
        return known[number, i]

    numbers = range(len(exercise.mistakes))
    for one in numbers:
        if all(explains(one, i) for i in wrong):
            return [exercise.mistakes[one]]
    for one in (number for number in numbers if explains(number, wrong[0])):
        rest = [i for i in wrong if not explains(one, i)]
        others = [number for number in numbers if all(explains(number, i) for i in rest)]
        if others or 2 * len(rest) <= len(wrong):
            return [exercise.mistakes[number] for number in (one, *others[:1])]
    return []


def _same(exercise: Exercise, wrong: Outcome, got: Outcome) -> bool:
    if wrong.kind != "value":
        return False
    return _difference(exercise, wrong.value, got.value) is None and wrong.harm == got.harm


def _difference(exercise: Exercise, expected: Any, got: Any) -> Difference | None:
    # What a driver makes of an answer is not what later cells get from it: there the form has to be right itself.
    if exercise.drive is None:
        got = conform(expected, got)
    return first_difference(expected, got, exercise.axes, exercise.tolerance)
