"""Wrong answers to the exercises of lesson 6."""

from __future__ import annotations

from tests.wrong_answers.patching import (
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

WRONG = [
    *ex1_logit_difference.WRONG,
    *ex2_permute_head.WRONG,
    *ex3_head_outputs.WRONG,
    *ex4_selectivity.WRONG,
    *ex5_patch_head.WRONG,
    *ex6_patch_layer.WRONG,
    *ex7_attention_to.WRONG,
    *ex8_patch_together.WRONG,
    *ex9_patch_and_hold.WRONG,
]
