"""The exercises of lesson 6, IOI patching, in the order of the lesson."""

from __future__ import annotations

from course_utils.exercises.patching import (
    ex1_logit_difference,
    ex2_permute_head,
    ex3_head_outputs,
    ex4_selectivity,
    ex5_patch_head,
    ex6_patch_layer,
    ex7_attention_to,
    ex8_patch_together,
    ex9_patch_and_hold,
)

EXERCISES = [
    ex1_logit_difference.EXERCISE,
    ex2_permute_head.EXERCISE,
    ex3_head_outputs.EXERCISE,
    ex4_selectivity.EXERCISE,
    ex5_patch_head.EXERCISE,
    ex6_patch_layer.EXERCISE,
    ex7_attention_to.EXERCISE,
    ex8_patch_together.EXERCISE,
    ex9_patch_and_hold.EXERCISE,
]
