"""Wrong answers to exercise 2.9."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong
from tests.wrong_answers.residual.patterns import patterns_of


def induction_same_token(model, half):
    n = len(half)
    p = patterns_of(model, half + half)
    return torch.stack([p[:, :, q, q - n] for q in range(n, 2 * n)]).mean(0)


def induction_before(model, half):
    n = len(half)
    p = patterns_of(model, half + half)
    return p.diagonal(-(n + 1), dim1=-2, dim2=-1).mean(-1)


def induction_whole_diagonal(model, half):
    return patterns_of(model, half + half).diagonal(1 - len(half), dim1=-2, dim2=-1).mean(-1)


def induction_over_everything(model, half):
    n = len(half)
    p = patterns_of(model, half + half)
    return p.diagonal(1 - n, dim1=-2, dim2=-1)[..., 1:].sum(-1) / (2 * n)


def induction_once(model, half):
    n = len(half)
    p = patterns_of(model, half)
    return p.diagonal(1 - n, dim1=-2, dim2=-1).mean(-1)


def induction_head_by_layer(model, half):
    n = len(half)
    return patterns_of(model, half + half).diagonal(1 - n, dim1=-2, dim2=-1)[..., 1:].mean(-1).T


WRONG = [
    Wrong("2.9", induction_same_token, "the same token"),
    Wrong("2.9", induction_before, "the token before"),
    Wrong("2.9", induction_whole_diagonal, "one query too many"),
    Wrong("2.9", induction_over_everything, "first half in the mean"),
    Wrong("2.9", induction_once, "not repeated"),
    Wrong("2.9", induction_head_by_layer, says="(layer, head)"),
]
