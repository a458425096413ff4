"""``quiz``: a question with a few answers; what is right in the chosen one, or misunderstood."""

from __future__ import annotations

import textwrap
from typing import Any

from course_utils.exercises import get_quiz, messages
from course_utils.exercises.messages import say
from course_utils.exercises.quizzing import Option
from course_utils.learner import record
from course_utils.learner.own_progress import greet


def quiz(id: str, answer: Any = ...) -> None:
    """Print a question, and what is to be said of an answer to it.

    Args:
        id: as in the lesson, "1.a".
        answer: a letter; left as ``...`` the question alone is printed.

    Raises:
        KeyError: there is no question of that id.
    """
    question = get_quiz(id)
    greet(id)
    _print(say(messages.QUESTION, quiz=id, asks=question.asks))
    for letter, option in question.lettered.items():
        _print(f"   {letter}  {option.text}", "      ")
    if answer is ... or answer is None:
        return
    letter = str(answer).strip().casefold()
    chosen = question.lettered.get(letter)
    if chosen is None:
        print(say(messages.NO_SUCH_ANSWER, letters=", ".join(question.lettered), answer=repr(answer)[:60]))
        return
    template = messages.ANSWER_RIGHT if chosen.right else messages.ANSWER_WRONG
    _print(say(template, letter=letter, says=chosen.says), "  ")
    tried = _try(chosen)
    if tried:
        _print(tried, "  ")
    record.note("questions", id, lambda entry: _keep(entry, letter, chosen.right))


def _keep(entry: dict[str, Any], letter: str, right: bool) -> None:
    entry["tries"] = entry.get("tries", 0) + (entry.get("answer") != letter)
    entry["answer"] = letter
    entry["right"] = bool(entry.get("right")) or right


def _try(option: Option) -> str:
    """What the option's experiment showed on the model in use; "" where there is none of either, or it fails."""
    from course_utils.model.loading import in_use

    model = in_use() if option.tries else None
    if option.tries is None or model is None:
        return ""
    try:
        as_said, line = option.tries(model)
    except Exception:  # another architecture, no memory: the explanation has been given all the same
        return ""
    return say(messages.TRIED if as_said else messages.TRIED_OTHERWISE, line=line)


def _print(text: str, indent: str = "") -> None:
    print(textwrap.fill(text, 118, subsequent_indent=indent or "   "))
