"""``predict`` and ``reveal``: a guess before anything runs, and how near it was once the lesson shows the answer.

Nothing depends on a guess. Left as ``...`` it is no guess; one that cannot be read is told so in a line; neither stops
the lesson.
"""

from __future__ import annotations

from typing import Any

from course_utils.exercises import get_prediction, messages
from course_utils.exercises.guess_kinds import Unreadable, read_guess
from course_utils.exercises.messages import say
from course_utils.exercises.predicting import Prediction
from course_utils.learner import record, tracebacks
from course_utils.learner.own_progress import greet

_guesses: dict[str, Any] = {}  # as they were read
_shown: set[str] = set()


def predict(id: str, guess: Any = ...) -> None:
    """Keep a guess until the lesson reveals the answer.

    Args:
        id: as in the lesson, "1.1".
        guess: in the form that the lesson asks for: a number, one of several words, a token as a text, a short list.

    Raises:
        KeyError: there is no prediction of that id.
    """
    prediction = get_prediction(id)
    greet(id)
    if guess is ... or guess is None:
        _guesses.pop(id, None)
        print(say(messages.NO_GUESS, prediction=id))
        return
    try:
        read = read_guess(prediction.kind, guess)
    except Unreadable as error:
        _guesses.pop(id, None)
        print(error.told(id, _briefly(guess)))
        return
    _guesses[id] = read
    before = record.entry("predictions", id)
    shown = prediction.kind.show(read)
    # Run again, as after a restart, the guess is the one that was made, and not one that comes late.
    late = before.get("guess") != shown and (id in _shown or "shown" in before)
    print(say(messages.KEPT_LATE if late else messages.KEPT, prediction=id, guess=shown))
    record.note("predictions", id, lambda entry: _keep(entry, read, shown, late))


def own_guess(id: str) -> Any:
    """The guess that was made, for the picture that shows the answer: ``guess=(own_guess("2.3"), ...)``.

    Returns a number, a text or a tuple of these, as the prediction asks for; None where no guess was made.

    Raises:
        KeyError: there is no prediction of that id.
    """
    prediction = get_prediction(id)
    return _guesses.get(id, _guess_on_record(prediction))


def reveal(id: str, truth: Any) -> None:
    """Show the answer, how near the guess was, and what a wrong guess overlooks.

    Args:
        id: that of the prediction.
        truth: what the lesson has computed, in the form of a guess.

    Raises:
        KeyError: there is no prediction of that id.
    """
    prediction = get_prediction(id)
    try:
        answer = prediction.kind.settle(read_guess(prediction.kind, truth))
    except Unreadable:
        print(say(messages.NOT_TO_BE_READ, prediction=id, truth=_briefly(truth)))
        return
    _shown.add(id)
    guess = own_guess(id)
    shown = prediction.kind.show(answer)
    right = False
    if guess is None:
        print(say(messages.TRUTH_ALONE, prediction=id, truth=shown))
    else:
        right, off = prediction.kind.distance(guess, answer)
        said = {"prediction": id, "truth": shown, "guess": prediction.kind.show(guess)}
        said["remark"] = prediction.remark(guess, answer, right)
        template = messages.GUESS_RIGHT if right else messages.GUESS_OFF
        print(" ".join(say(template, **said, off=off).split()))
    record.note("predictions", id, lambda entry: entry.update({"shown": shown, "right": right}))


def _keep(entry: dict[str, Any], read: Any, shown: str, late: bool) -> None:
    entry["guess"] = shown
    entry["given"] = read  # numbers and texts, whatever was given: its form reads it again
    entry["late"] = late or bool(entry.get("late"))


def _guess_on_record(prediction: Prediction) -> Any:
    """The guess of another day, where the cell with it was not run again."""
    given = record.entry("predictions", prediction.id).get("given")
    try:
        return None if given is None else read_guess(prediction.kind, given)
    except Unreadable:  # the file was edited, or the prediction is another by now
        return None


def _briefly(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


tracebacks.install()
