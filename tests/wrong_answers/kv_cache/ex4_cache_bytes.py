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


WRONG = [
    Wrong("3.4", half, "values forgotten"),
    Wrong("3.4", with_query_heads, "query heads counted"),
    Wrong("3.4", full_length_everywhere, "windows ignored"),
    Wrong("3.4", one_too_many, "whole window kept"),
    Wrong("3.4", counts_numbers, "numbers, not bytes"),
    Wrong("3.4", forgets_batch, "batch forgotten"),
    Wrong("3.4", single_layer, "one layer"),
]
