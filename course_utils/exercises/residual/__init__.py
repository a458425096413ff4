"""The exercises of lesson 2, the residual stream, in the order of the lesson."""

from __future__ import annotations

from course_utils.exercises.residual import (
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

EXERCISES = [
    ex1_residual_stream.EXERCISE,
    ex2_stream_change.EXERCISE,
    ex3_word_similarity.EXERCISE,
    ex4_another_break.EXERCISE,
    ex5_stream_parts.EXERCISE,
    ex6_count_parameters.EXERCISE,
    ex7_previous_token_scores.EXERCISE,
    ex8_ordinary_vector.EXERCISE,
    ex9_induction_scores.EXERCISE,
    ex10_layer_output_with_hook.EXERCISE,
]
