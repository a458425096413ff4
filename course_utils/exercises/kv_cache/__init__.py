"""The exercises of lesson 3, the key/value cache.

The answers to 3.1, 3.3 and 3.7 are classes. Each is built, given known weights, and taken through a scenario; what came
out of each step is compared, and how much was computed, since a cache that is never used gives the same numbers.
"""

from course_utils.exercises.kv_cache import (
    ex1_scaled_dot_product_attention,
    ex2_causal_mask,
    ex3_scaled_dot_product_attention_with_cache,
    ex4_cache_bytes,
    ex5_greedy_with_cache,
    ex6_score_endings,
    ex7_preallocated_cache,
)

EXERCISES = [
    ex1_scaled_dot_product_attention.EXERCISE,
    ex2_causal_mask.EXERCISE,
    ex3_scaled_dot_product_attention_with_cache.EXERCISE,
    ex4_cache_bytes.EXERCISE,
    ex5_greedy_with_cache.EXERCISE,
    ex6_score_endings.EXERCISE,
    ex7_preallocated_cache.EXERCISE,
]
