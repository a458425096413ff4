"""The exercises of lesson 1, tokens and logits, in the order of the lesson."""

from __future__ import annotations

from course_utils.exercises.tokens import (
    ex1_split_tokens,
    ex2_top_next_tokens,
    ex3_next_token_probabilities,
    ex4_continuation_log_probability,
    ex5_surprisals,
    ex6_greedy,
    ex7_nucleus,
)

EXERCISES = [
    ex1_split_tokens.EXERCISE,
    ex2_top_next_tokens.EXERCISE,
    ex3_next_token_probabilities.EXERCISE,
    ex4_continuation_log_probability.EXERCISE,
    ex5_surprisals.EXERCISE,
    ex6_greedy.EXERCISE,
    ex7_nucleus.EXERCISE,
]
