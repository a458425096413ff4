"""The exercises of the lessons: ``check``, ``hint`` and ``solution``.

In a lesson, each exercise has an answer cell with a stub and then a check cell::

    top_tokens = check("1.1", top_tokens)

``check`` says in a line how the answer did. It gives back the answer when it is right and the reference solution when
it is not (or was not tried), so every later cell runs. The exercises of lesson N are in the folder of its name here, a
module for each; those of a teacher's own lesson come in through :func:`register`.
"""

from __future__ import annotations

import contextlib
import importlib
import secrets
from collections.abc import Callable
from typing import Any

from course_utils.exercises import in_words, messages
from course_utils.exercises.forms import in_form
from course_utils.exercises.in_words import Question
from course_utils.exercises.judging import ReferenceFailed, attempt, judge, run_case
from course_utils.exercises.lookup import LESSONS, get_prediction, get_quiz, predictions, questions, quizzes
from course_utils.exercises.messages import say
from course_utils.exercises.predicting import Prediction
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model, Verdict
from course_utils.exercises.quizzing import Quiz
from course_utils.exercises.running import Outcome, hand_over
from course_utils.exercises.showing import pasteable

__all__ = [
    "LESSONS",
    "Case",
    "Exercise",
    "Hint",
    "Mistake",
    "Model",
    "Prediction",
    "Question",
    "Quiz",
    "Verdict",
    "attempt",
    "check",
    "exercises",
    "failing_case",
    "get_exercise",
    "get_prediction",
    "get_quiz",
    "hint",
    "judge",
    "predictions",
    "questions",
    "quizzes",
    "register",
    "solution",
    "watch",
]

_registered: dict[str, Exercise] = {}
_hints_given: dict[str, int] = {}
_failed: dict[str, tuple[int, int]] = {}  # by exercise, the seed and the place of the case that went wrong last
_watchers: list[Callable[[str, str, Any], None]] = []


def watch(watcher: Callable[[str, str, Any], None]) -> None:
    """Have ``watcher(event, id, value)`` called after each event, once however often it is asked for.

    Events: "checked" with the Verdict, "hint" with how many were given, "solution" with None. What a watcher raises is
    its own affair: a check says what it says all the same.
    """
    if watcher not in _watchers:
        _watchers.append(watcher)


def _tell(event: str, id: str, value: Any = None) -> None:
    for watcher in _watchers:
        with contextlib.suppress(Exception):
            watcher(event, id, value)


def register(*exercises: Exercise) -> None:
    """Make exercises of your own known to ``check``, ``hint``, ``solution`` and to marking. A known id is replaced."""
    for exercise in exercises:
        _registered[exercise.id] = exercise


def exercises(lesson: str | int) -> list[Exercise]:
    """A lesson's exercises in order: ``exercises(4)`` or ``exercises("4")``.

    Raises:
        KeyError: there is no such lesson.
    """
    number = str(lesson)
    own = [exercise for exercise in _registered.values() if exercise.id.split(".")[0] == number]
    if number in LESSONS:
        try:
            module = importlib.import_module(f"course_utils.exercises.{LESSONS[number]}")
        except ModuleNotFoundError as error:
            if error.name != f"course_utils.exercises.{LESSONS[number]}":
                raise
            return own
        replaced = {exercise.id for exercise in own}
        return own + [exercise for exercise in module.EXERCISES if exercise.id not in replaced]
    if not own:
        raise KeyError(say(messages.NO_LESSON, lesson=number, known=", ".join(LESSONS)))
    return own


def get_exercise(id: str) -> Exercise:
    """The exercise with this id.

    Raises:
        KeyError: there is none; the message lists those of the lesson.
    """
    known = exercises(str(id).split(".")[0])
    for exercise in known:
        if exercise.id == id:
            return exercise
    raise KeyError(say(messages.NO_EXERCISE, exercise=id, known=", ".join(exercise.id for exercise in known)))


def check(id: str, answer: Any, seed: int | None = None) -> Any:
    """Say how ``answer`` does on exercise ``id``, and return what the lesson goes on with.

    That is the answer if it is right, else the reference. A right answer that returns its values in another form than
    the reference (an array for a tensor, a tuple for a list) comes back so that it returns them in the reference's.

    Args:
        id: as in the lesson, "4.1".
        answer: the learner's function or class, itself and not a call of it.
        seed: of the inputs; fresh at each call unless given.

    Raises:
        KeyError: there is no exercise of that id. Nothing that the answer does is ever raised.
    """
    exercise = get_exercise(id)
    if answer is exercise.reference:
        print(say(messages.IS_THE_REFERENCE, exercise=id, name=exercise.name))
        return answer
    seed = secrets.randbelow(2**31) if seed is None else seed
    outcomes = attempt(exercise, answer, seed)
    expected: list[Outcome] = []

    def run(exercise: Exercise, answer: Any, case: Case) -> Outcome:
        outcome = run_case(exercise, answer, case)
        if answer is exercise.reference:
            expected.append(outcome)
        return outcome

    verdict, failure = None, None
    try:
        verdict = judge(exercise, outcomes, seed, run)
    except ReferenceFailed as error:
        failure = error
    if any(outcome.raised == "KeyboardInterrupt" for outcome in [*outcomes, *expected]):
        print(say(messages.CHECK_INTERRUPTED, exercise=id, name=exercise.name))
        return exercise.reference
    if verdict is None:
        print(say(messages.NO_REFERENCE, exercise=id, reason=failure))
        return exercise.reference
    print(verdict)
    _tell("checked", id, verdict)
    printed = outcomes[0].printed.strip() if outcomes and verdict.status == "wrong" else ""
    if printed:
        lines = "\n".join(f"  {line[:110]}" for line in printed.splitlines()[:10])
        print(say(messages.PRINTED, lines=lines))
    if verdict.status == "wrong":
        _failed[id] = (seed, [ok for _, ok in verdict.passed].index(False))
        print(say(messages.INPUTS, exercise=id))
    if verdict.status != "right":
        return exercise.reference
    if exercise.returns:
        return in_form(answer, exercise.returns)
    wanted = [outcome.form for outcome in expected]
    if exercise.drive is not None or wanted[0] is None or [outcome.form for outcome in outcomes] == wanted:
        return answer
    return in_form(answer, wanted[0])


def failing_case(id: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs on which the last check of exercise ``id`` found an answer wrong: its arguments, and those by name.

    Run the cell with your answer again first (the check put the reference in its place), then
    ``args, kwargs = failing_case("4.1")`` and call it: ``logit_lens(*args, **kwargs)``.

    Raises:
        KeyError: there is no exercise of that id, or no check has found an answer to it wrong.
    """
    exercise = get_exercise(id)
    if id not in _failed:
        raise KeyError(say(messages.NOTHING_FAILED, exercise=id))
    seed, place = _failed[id]
    case = exercise.cases(seed)[place]
    return tuple(map(hand_over, case.args)), {name: hand_over(value) for name, value in case.kwargs.items()}


def hint(id: str) -> None:
    """Print one hint more each time it is called; after the last one, where the solution is."""
    exercise = get_exercise(id)
    given = _hints_given.get(id, 0)
    if given < len(exercise.hints):
        next_one = exercise.hints[given]
        place = {"number": given + 1, "count": len(exercise.hints)}
        print(say(messages.HINT, title=next_one.title, text=next_one.text, **place))
        _hints_given[id] = given + 1
        _tell("hint", id, given + 1)
    else:
        print(say(messages.NO_MORE_HINTS, exercise=id))


def solution(id: str, words: str = "") -> None:
    """Print the reference solution with the imports that it needs, ready to paste.

    For a question in words it is an answer to compare with, once there are words of your own: in the notebook as it was
    last saved, or in ``words``.

    Raises:
        KeyError: there is neither an exercise nor a question of that id.
    """
    for question in questions(str(id).split(".")[0]):
        if question.id == id:
            written = words.strip() or in_words.words_in(in_words.own_notebook() or {}, id)
            print(question.answer if written else say(messages.WRITE_FIRST, question=id))
            return
    print(pasteable(get_exercise(id).reference), end="")
    _tell("solution", id)
