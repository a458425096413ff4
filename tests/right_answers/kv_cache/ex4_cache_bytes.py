"""Right answers to exercise 3.4."""

from __future__ import annotations

import numpy as np
import torch


def refuse(n_tokens, batch, bytes_per_number):
    if n_tokens < 0:
        raise ValueError("tokens")
    if not (batch >= 1 and bytes_per_number >= 1):
        raise ValueError("sizes")


def loops(shape, n_tokens, batch=1, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    total = 0
    for window in shape.windows:
        kept = n_tokens
        if window is not None and window - 1 < n_tokens:
            kept = window - 1
        total += kept * shape.n_kv_heads * shape.head_width * 2
    return total * batch * bytes_per_number


def counts_numbers_first(shape, n_tokens, batch=1, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    widths = [min(w - 1 if w else n_tokens, n_tokens) for w in shape.windows]
    return 2 * shape.head_width * shape.n_kv_heads * sum(widths) * bytes_per_number * batch


def whole_and_windowed_apart(shape, n_tokens, batch=1, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    one = 2 * batch * shape.n_kv_heads * shape.head_width * bytes_per_number
    windows = [w for w in shape.windows if w is not None]
    return one * (n_tokens * (len(shape.windows) - len(windows)) + sum(min(n_tokens, w - 1) for w in windows))


def with_numpy(shape, n_tokens, batch=1, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    kept = np.array([np.inf if w is None else w - 1 for w in shape.windows]).clip(max=n_tokens)
    return int(kept.sum()) * 2 * shape.n_kv_heads * shape.head_width * bytes_per_number * batch


def measures_a_tensor(shape, n_tokens, batch=1, bytes_per_number=4):
    refuse(n_tokens, batch, bytes_per_number)
    total = 0
    for w in shape.windows:
        n = n_tokens if w is None else min(n_tokens, w - 1)
        total += 2 * torch.empty(batch, shape.n_kv_heads, n, shape.head_width, device="meta").numel()
    return total * bytes_per_number


def signature_with_other_hints(shape: object, n_tokens: float, batch: float = 1, bytes_per_number: float = 4) -> float:
    refuse(n_tokens, batch, bytes_per_number)
    return float(loops(shape, n_tokens, batch, bytes_per_number))


RIGHT = [
    loops,
    counts_numbers_first,
    whole_and_windowed_apart,
    with_numpy,
    measures_a_tensor,
    signature_with_other_hints,
]
