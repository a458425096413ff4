"""Wrong answers to the exercises of lesson 2."""

from __future__ import annotations

from tests.wrong_answers.residual import (
    ex1_residual_stream,
    ex2_stream_change,
    ex3_word_similarity,
    ex4_stream_parts,
    ex5_count_parameters,
    ex6_previous_token_scores,
    ex7_induction_scores,
    ex8_layer_output_with_hook,
)

WRONG = [
    *ex1_residual_stream.WRONG,
    *ex2_stream_change.WRONG,
    *ex3_word_similarity.WRONG,
    *ex4_stream_parts.WRONG,
    *ex5_count_parameters.WRONG,
    *ex6_previous_token_scores.WRONG,
    *ex7_induction_scores.WRONG,
    *ex8_layer_output_with_hook.WRONG,
]
