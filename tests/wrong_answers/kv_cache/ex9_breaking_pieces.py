"""Wrong answers to exercise 3.9."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def breaks(layer, x, pieces):
    whole, _ = layer(x, is_causal=True)
    outputs = [layer(part, is_causal=True, use_cache=True)[0] for part in x.split(pieces, dim=1)]
    return not torch.allclose(torch.cat(outputs, dim=1)[:, -x.shape[1] :], whole, atol=1e-3)


def tests_decoding_only(layer, x):
    layer.clear_cache()
    pieces = [4] + [1] * (x.shape[1] - 4)
    return pieces if breaks(layer, x, pieces) else None


def tests_two_pieces(layer, x):
    for first in range(1, x.shape[1]):
        layer.clear_cache()
        if breaks(layer, x, [first, x.shape[1] - first]):
            return [first, x.shape[1] - first]
    return None


def says_one_by_one(layer, x):
    return [1 for _ in range(x.shape[1])]


def never_clears(layer, x):
    for pieces in ([5, 3, 1], [3, 5, 1]):
        if breaks(layer, x, pieces):
            return pieces
    return None


def says_too_few(layer, x):
    return [1, 2]


def gives_places(layer, x):
    for pieces in ([4, 5], [4, 4, 1]):
        layer.clear_cache()
        if breaks(layer, x, pieces):
            return [sum(pieces[:i]) for i in range(len(pieces))]
    return None


WRONG = [
    Wrong("3.9", tests_decoding_only, "nothing found"),
    Wrong("3.9", tests_two_pieces, "ends with the chunk"),
    Wrong("3.9", says_one_by_one, "pieces that do not break it"),
    Wrong("3.9", never_clears, "pieces that do not break it"),
    Wrong("3.9", gives_places, "not the whole text"),
    Wrong("3.9", says_too_few, "not the whole text, for every layer"),
]
