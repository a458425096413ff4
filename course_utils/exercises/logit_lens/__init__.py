"""The exercises of lesson 4."""

from course_utils.exercises.logit_lens.ex1_logit_lens import EXERCISES

__all__ = ["EXERCISES"]
