"""Right answers to exercise 3.9."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch


def differs(layer, x, cut):
    layer.clear_cache()
    whole, _ = layer(x, is_causal=True)
    pieces = x.split([int(n) for n in cut], dim=1)
    outputs = [layer(piece, is_causal=True, use_cache=True)[0] for piece in pieces]
    layer.clear_cache()
    return not torch.allclose(torch.cat(outputs, 1), whole, atol=1e-3)


def at_random_places(layer, x):
    n = x.shape[1]
    source = np.random.default_rng(0)
    for _ in range(60):
        ends = np.sort(source.choice(np.arange(1, n), source.integers(1, 4), replace=False))
        cut = np.diff([0, *ends, n])
        if differs(layer, x, cut):
            return list(cut)
    return None


def gives_an_array(layer, x):
    found = at_random_places(layer, x)
    return None if found is None else np.array(found)


def gives_a_tensor(layer, x):
    for cut in ([3, 4, 2], [3, 2, 1, 3], [2, 5, 1, 1]):
        if differs(layer, x, cut):
            return torch.tensor(cut)


def gives_a_tuple(layer, x):
    return next((cut for cut in ((3, 4, 2), (3, 2, 1, 3)) if differs(layer, x, cut)), None)


def two_chunks_then_tokens(layer, x):
    cut = [2, 3] + [1] * (x.shape[1] - 5)
    return cut if differs(layer, x, cut) else None


def all_cuts_in_three(layer, x):
    n = x.shape[1]
    for i, j in itertools.combinations(range(1, n), 2):
        if differs(layer, x, (i, j - i, n - j)):
            return i, j - i, n - j
    return None


def shuffled_lengths(layer, x):
    source = random.Random(3)
    for _ in range(10):
        cut = source.sample([1, 2, 3, x.shape[1] - 6], 4)
        if differs(layer, x, cut):
            return map(int, cut)


RIGHT = [
    at_random_places,
    gives_an_array,
    gives_a_tensor,
    gives_a_tuple,
    two_chunks_then_tokens,
    all_cuts_in_three,
    shuffled_lengths,
]
