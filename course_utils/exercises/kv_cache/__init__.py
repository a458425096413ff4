"""The exercises of lesson 3."""

from course_utils.exercises.kv_cache.ex3_scaled_dot_product_attention_with_cache import EXERCISES

__all__ = ["EXERCISES"]
