"""What a lesson has besides its exercises, by the lesson's number or the id: predictions, questions to choose in and in
words.
"""

from __future__ import annotations

import importlib
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.in_words import Question
from course_utils.exercises.messages import say
from course_utils.exercises.predicting import Prediction
from course_utils.exercises.quizzing import Quiz

LESSONS = {
    "1": "tokens",
    "2": "residual",
    "3": "kv_cache",
    "4": "logit_lens",
    "5": "steering",
    "6": "patching",
    "7": "circuits",
}
"""The number of each lesson and the name that its notebook, module, exercises and tests share."""


def questions(lesson: str | int) -> tuple[Question, ...]:
    """A lesson's questions in words, in order; none for a lesson that is not the course's own."""
    return _listed_in("in_words", "QUESTIONS", lesson)


def predictions(lesson: str | int) -> tuple[Prediction, ...]:
    """What a lesson has its reader predict, in order; none for a lesson that is not the course's own."""
    return _listed_in("predictions", "PREDICTIONS", lesson)


def get_prediction(id: str) -> Prediction:
    """The prediction with this id.

    Raises:
        KeyError: there is none; the message lists those of the lesson.
    """
    known = predictions(str(id).split(".")[0])
    for prediction in known:
        if prediction.id == id:
            return prediction
    listed = ", ".join(prediction.id for prediction in known) or "none"
    raise KeyError(say(messages.NO_PREDICTION, prediction=id, known=listed))


def quizzes(lesson: str | int) -> tuple[Quiz, ...]:
    """A lesson's questions with answers to choose from, in order; none for a lesson that is not the course's own."""
    return _listed_in("quizzes", "QUIZZES", lesson)


def get_quiz(id: str) -> Quiz:
    """The question with answers to choose from that has this id.

    Raises:
        KeyError: there is none; the message lists those of the lesson.
    """
    known = quizzes(str(id).split(".")[0])
    for quiz in known:
        if quiz.id == id:
            return quiz
    raise KeyError(say(messages.NO_QUIZ, quiz=id, known=", ".join(quiz.id for quiz in known) or "none"))


def _listed_in(module: str, name: str, lesson: str | int) -> tuple[Any, ...]:
    """The tuple ``name`` of a module of a lesson's exercises; empty if the lesson has no such module."""
    full = f"course_utils.exercises.{LESSONS.get(str(lesson))}.{module}"
    try:
        return tuple(getattr(importlib.import_module(full), name))
    except ModuleNotFoundError as error:
        if not full.startswith(str(error.name)):
            raise
        return ()
