"""The exercises of lesson 5, steering, one module for each; what several share is in `drawing` and `sentences`."""

from __future__ import annotations

from course_utils.exercises.steering import (
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

EXERCISES = [
    ex1_concept_direction.EXERCISE,
    ex2_steered_logits.EXERCISE,
    ex3_log_odds.EXERCISE,
    ex4_steered_generate.EXERCISE,
    ex5_llm_steering.EXERCISE,
    ex6_strength_sweep.EXERCISE,
    ex7_slerp.EXERCISE,
    ex8_remove_direction.EXERCISE,
    ex10_not_glad_direction.EXERCISE,
]
