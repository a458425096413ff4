"""Wrong answers to exercise 2.7."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong
from tests.wrong_answers.residual.patterns import ids_of, patterns_of


def previous_upside_down(model, prompt):
    return patterns_of(model, ids_of(model, prompt)).diagonal(1, dim1=-2, dim2=-1).mean(-1)


def previous_is_self(model, prompt):
    return patterns_of(model, ids_of(model, prompt)).diagonal(dim1=-2, dim2=-1).mean(-1)


def previous_over_n(model, prompt):
    p = patterns_of(model, ids_of(model, prompt))
    return p.diagonal(-1, dim1=-2, dim2=-1).sum(-1) / p.shape[-1]


def previous_from_zero(model, prompt):
    p = patterns_of(model, ids_of(model, prompt))
    return torch.stack([p[:, :, q, q - 1] for q in range(p.shape[-1])]).mean(0)


def previous_summed(model, prompt):
    return patterns_of(model, ids_of(model, prompt)).diagonal(-1, dim1=-2, dim2=-1).sum(-1)


def previous_of_the_last(model, prompt):
    p = patterns_of(model, ids_of(model, prompt))
    return p[..., -1, -2]


def previous_head_by_layer(model, prompt):
    return patterns_of(model, ids_of(model, prompt)).diagonal(-1, dim1=-2, dim2=-1).mean(-1).T


WRONG = [
    Wrong("2.7", previous_upside_down, "query and key swapped"),
    Wrong("2.7", previous_is_self, "own token"),
    Wrong("2.7", previous_over_n, "divided by all positions"),
    Wrong("2.7", previous_from_zero, "divided by all positions"),
    Wrong("2.7", previous_summed, "sum for mean"),
    Wrong("2.7", previous_of_the_last, "last position only"),
    Wrong("2.7", previous_head_by_layer, says="(layer, head)"),
]
