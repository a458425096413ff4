"""Wrong answers to exercise 3.9."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def tests_decoding_only(layer, x):
    whole, _ = layer(x, is_causal=True)
    layer.clear_cache()
    pieces = [4] + [1] * (x.shape[1] - 4)
    outputs = torch.cat([layer(part, is_causal=True, use_cache=True)[0] for part in x.split(pieces, dim=1)], dim=1)
    return None if torch.allclose(outputs, whole, atol=1e-4) else pieces


def says_one_by_one(layer, x):
    return [1 for _ in range(x.shape[1])]


def says_too_few(layer, x):
    return [1, 2]


def gives_positions(layer, x):
    return [0, 4, 7]


WRONG = [
    Wrong("3.9", tests_decoding_only, "nothing found"),
    Wrong("3.9", says_one_by_one, "always the same pieces"),
    Wrong("3.9", says_too_few, "not the whole text"),
    Wrong("3.9", gives_positions, "not the whole text"),
]
