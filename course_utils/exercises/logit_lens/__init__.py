"""The exercises of lesson 4, the logit lens."""

from course_utils.exercises.logit_lens import (
    ex1_logit_lens,
    ex2_lens_table,
    ex3_follow_token,
    ex4_kl_from_last,
    ex5_settled_depth,
    ex6_logit_attribution,
    ex7_fit_translator,
    ex8_counterexample,
)

EXERCISES = [
    ex1_logit_lens.EXERCISE,
    ex2_lens_table.EXERCISE,
    ex3_follow_token.EXERCISE,
    ex4_kl_from_last.EXERCISE,
    ex5_settled_depth.EXERCISE,
    ex6_logit_attribution.EXERCISE,
    ex7_fit_translator.EXERCISE,
    ex8_counterexample.EXERCISE,
]
