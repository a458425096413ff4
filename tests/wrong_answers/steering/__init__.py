"""Wrong answers to the exercises of lesson 5, one module for each exercise."""

from __future__ import annotations

from tests.wrong_answers.steering import (
    ex1_concept_direction,
    ex2_steered_logits,
    ex3_log_odds,
    ex4_steered_generate,
    ex5_llm_steering,
    ex6_strength_sweep,
    ex7_slerp,
    ex8_remove_direction,
    ex10_not_glad_direction,
)

WRONG = [
    *ex1_concept_direction.WRONG,
    *ex2_steered_logits.WRONG,
    *ex3_log_odds.WRONG,
    *ex4_steered_generate.WRONG,
    *ex5_llm_steering.WRONG,
    *ex6_strength_sweep.WRONG,
    *ex7_slerp.WRONG,
    *ex8_remove_direction.WRONG,
    *ex10_not_glad_direction.WRONG,
]
