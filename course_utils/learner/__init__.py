"""What a learner has besides the exercises: guesses that are answered, questions that explain.

``from course_utils.learner import predict, quiz, reveal``
"""

from __future__ import annotations

from course_utils.learner.predict import predict, reveal
from course_utils.learner.quiz import quiz

__all__ = ["predict", "quiz", "reveal"]
