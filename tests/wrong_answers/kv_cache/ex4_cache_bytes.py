"""Wrong answers to 3.4."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def half(shape, n_tokens, batch=1, bytes_per_number=4):
    total = 0
    for window in shape.windows:
        kept = n_tokens if window is None else min(window - 1, n_tokens)
        total += batch * shape.n_kv_heads * kept * shape.head_width * bytes_per_number
    return total


def with_query_heads(shape, n_tokens, batch=1, bytes_per_number=4):
    return half(shape, n_tokens, batch, bytes_per_number) * 2 // shape.n_kv_heads * shape.n_heads


def full_length_everywhere(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * len(shape.windows) * batch * shape.n_kv_heads * n_tokens * shape.head_width * bytes_per_number


def one_too_many(shape, n_tokens, batch=1, bytes_per_number=4):
    kept = [n_tokens if not window else min(window, n_tokens) for window in shape.windows]
    return 2 * batch * sum(kept) * shape.n_kv_heads * shape.head_width * bytes_per_number


def counts_numbers(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * half(shape, n_tokens, batch, 1)


def forgets_batch(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * half(shape, n_tokens, 1, bytes_per_number)


def single_layer(shape, n_tokens, batch=1, bytes_per_number=4):
    return full_length_everywhere(shape, n_tokens, batch, bytes_per_number) // len(shape.windows)


def refuse(n_tokens, batch, bytes_per_number):
    if n_tokens < 0 or batch < 1 or bytes_per_number < 1:
        raise ValueError


def two_texts_unless_said(shape, n_tokens, batch=2, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    return 2 * half(shape, n_tokens, batch, bytes_per_number)


def half_precision_unless_said(shape, n_tokens, batch=1, bytes_per_number=2):
    refuse(n_tokens, batch, bytes_per_number)
    return 2 * half(shape, n_tokens, batch, bytes_per_number)


def minus_one_is_the_only_negative(shape, n_tokens, batch=1, bytes_per_number=4):
    if n_tokens == -1 or batch == 0 or bytes_per_number == 0:
        raise ValueError
    return 2 * half(shape, n_tokens, batch, bytes_per_number)


def refuses_a_negative_product(shape, n_tokens, batch=1, bytes_per_number=4):
    if n_tokens < 0 or batch * bytes_per_number < 1:
        raise ValueError
    return 2 * half(shape, n_tokens, batch, bytes_per_number)


def window_less_one(shape, n_tokens, batch=1, bytes_per_number=4):
    """Takes what a window has room for as what is in it."""
    refuse(n_tokens, batch, bytes_per_number)
    kept = sum(n_tokens if window is None else window - 1 for window in shape.windows)
    return 2 * kept * batch * shape.n_kv_heads * shape.head_width * bytes_per_number


WRONG = [
    Wrong("3.4", half, "values forgotten"),
    Wrong("3.4", with_query_heads, "query heads counted"),
    Wrong("3.4", full_length_everywhere, "windows ignored"),
    Wrong("3.4", one_too_many, "whole window kept"),
    Wrong("3.4", counts_numbers, "numbers, not bytes"),
    Wrong("3.4", forgets_batch, "batch forgotten"),
    Wrong("3.4", single_layer, "one layer"),
    Wrong("3.4", two_texts_unless_said, "another batch by itself"),
    Wrong("3.4", half_precision_unless_said, "another number of bytes by itself"),
    Wrong("3.4", minus_one_is_the_only_negative, says="a negative number of tokens: the docstring promises"),
    Wrong("3.4", refuses_a_negative_product, says="and of bytes: the docstring promises a ValueError"),
    Wrong("3.4", window_less_one, says="expected"),
]
