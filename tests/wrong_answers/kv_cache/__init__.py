"""Wrong answers to the exercises of lesson 3."""

from tests.wrong_answers.kv_cache.ex3_scaled_dot_product_attention_with_cache import WRONG

__all__ = ["WRONG"]
