"""Wrong answers to the exercises of lesson 2."""

from __future__ import annotations

from tests.wrong_answers.residual import (
    ex1_residual_stream,
    ex2_stream_change,
    ex3_word_similarity,
    ex4_another_break,
    ex5_stream_parts,
    ex6_count_parameters,
    ex7_previous_token_scores,
    ex8_ordinary_vector,
    ex9_induction_scores,
    ex10_layer_output_with_hook,
)

WRONG = [
    *ex1_residual_stream.WRONG,
    *ex2_stream_change.WRONG,
    *ex3_word_similarity.WRONG,
    *ex4_another_break.WRONG,
    *ex5_stream_parts.WRONG,
    *ex6_count_parameters.WRONG,
    *ex7_previous_token_scores.WRONG,
    *ex8_ordinary_vector.WRONG,
    *ex9_induction_scores.WRONG,
    *ex10_layer_output_with_hook.WRONG,
]
