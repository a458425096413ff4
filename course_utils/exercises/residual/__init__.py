"""The exercises of lesson 2, the residual stream, in the order of the lesson."""

from __future__ import annotations

from course_utils.exercises.residual import (
    ex1_residual_stream,
    ex2_stream_change,
    ex3_word_similarity,
    ex4_stream_parts,
    ex5_count_parameters,
    ex6_previous_token_scores,
    ex7_induction_scores,
    ex8_layer_output_with_hook,
)

EXERCISES = [
    ex1_residual_stream.EXERCISE,
    ex2_stream_change.EXERCISE,
    ex3_word_similarity.EXERCISE,
    ex4_stream_parts.EXERCISE,
    ex5_count_parameters.EXERCISE,
    ex6_previous_token_scores.EXERCISE,
    ex7_induction_scores.EXERCISE,
    ex8_layer_output_with_hook.EXERCISE,
]
