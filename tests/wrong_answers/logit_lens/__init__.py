"""Wrong answers to the exercises of lesson 4."""

from tests.wrong_answers.logit_lens.ex1_logit_lens import WRONG

__all__ = ["WRONG"]
