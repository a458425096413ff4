"""Wrong answers to the exercises of lesson 3."""

from tests.wrong_answers.kv_cache import (
    ex1_scaled_dot_product_attention,
    ex2_causal_mask,
    ex3_scaled_dot_product_attention_with_cache,
    ex4_cache_bytes,
    ex5_greedy_with_cache,
    ex6_score_endings,
    ex7_preallocated_cache,
)

WRONG = [
    *ex1_scaled_dot_product_attention.WRONG,
    *ex2_causal_mask.WRONG,
    *ex3_scaled_dot_product_attention_with_cache.WRONG,
    *ex4_cache_bytes.WRONG,
    *ex5_greedy_with_cache.WRONG,
    *ex6_score_endings.WRONG,
    *ex7_preallocated_cache.WRONG,
]
