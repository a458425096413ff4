"""What a learner has besides the exercises: guesses that are answered, questions that explain, and a record of it all.

``from course_utils.learner import doctor, predict, progress, quiz, reveal``
"""

from __future__ import annotations

from course_utils.exercises import watch
from course_utils.learner.guesses import predict, reveal
from course_utils.learner.own_progress import note_event, progress
from course_utils.learner.questions import quiz
from course_utils.learner.set_up import doctor

__all__ = ["doctor", "predict", "progress", "quiz", "reveal"]

watch(note_event)
