"""Wrong answers to the exercises of lesson 4."""

from tests.wrong_answers.logit_lens import (
    ex1_logit_lens,
    ex2_lens_table,
    ex3_follow_token,
    ex4_kl_from_last,
    ex5_settled_depth,
    ex6_logit_attribution,
    ex7_fit_translator,
    ex8_counterexample,
)

WRONG = [
    *ex1_logit_lens.WRONG,
    *ex2_lens_table.WRONG,
    *ex3_follow_token.WRONG,
    *ex4_kl_from_last.WRONG,
    *ex5_settled_depth.WRONG,
    *ex6_logit_attribution.WRONG,
    *ex7_fit_translator.WRONG,
    *ex8_counterexample.WRONG,
]
