"""Wrong answers to the exercises of lesson 1."""

from __future__ import annotations

from tests.wrong_answers.tokens import (
    ex1_split_tokens,
    ex2_top_next_tokens,
    ex3_next_token_probabilities,
    ex4_continuation_log_probability,
    ex5_surprisals,
    ex6_greedy,
    ex7_nucleus,
)

WRONG = [
    *ex1_split_tokens.WRONG,
    *ex2_top_next_tokens.WRONG,
    *ex3_next_token_probabilities.WRONG,
    *ex4_continuation_log_probability.WRONG,
    *ex5_surprisals.WRONG,
    *ex6_greedy.WRONG,
    *ex7_nucleus.WRONG,
]
