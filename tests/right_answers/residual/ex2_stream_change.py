"""Right answers to exercise 2.2."""

from __future__ import annotations

import math

import numpy as np
import torch

from course_utils.model.prompts import token_ids
from course_utils.residual import residual_stream
from tests.right_answers.plain_runs import stream_by_hooks


def both(model, prompt, changed):
    one, other = residual_stream(model, prompt), residual_stream(model, changed)
    if one.shape != other.shape:
        raise ValueError("The prompts have different numbers of tokens.")
    return one, other


def square_roots(model, prompt, changed):
    one, other = both(model, prompt, changed)
    return ((other - one) ** 2).sum(-1).sqrt() / (one**2).sum(-1).sqrt()


def one_root(model, prompt, changed):
    one, other = (stream.double() for stream in both(model, prompt, changed))
    return ((one - other).square().mean(-1) / one.square().mean(-1)) ** 0.5


def with_numpy(model, prompt, changed):
    one, other = (stream.numpy() for stream in both(model, prompt, changed))
    return np.linalg.norm(other - one, axis=-1) / np.linalg.norm(one, axis=-1)


def einsum(model, prompt, changed):
    one, other = both(model, prompt, changed)
    moved = other - one
    squares = torch.einsum("dpw,dpw->dp", moved, moved), torch.einsum("dpw,dpw->dp", one, one)
    return (squares[0] / squares[1]).sqrt()


def one_batch(model, prompt, changed):
    rows = [token_ids(model, text) for text in (prompt, changed)]
    if len(rows[0]) != len(rows[1]):
        raise ValueError("unequal lengths")
    one, other = stream_by_hooks(model, torch.tensor(rows)).unbind(dim=1)
    return torch.nn.functional.pairwise_distance(one, other, eps=0.0) / torch.linalg.vector_norm(one, dim=2)


def cell_by_cell(model, prompt, changed):
    one, other = both(model, prompt, changed)
    return [[math.dist(a, b) / math.hypot(*a) for a, b in zip(*rows)] for rows in zip(one.tolist(), other.tolist())]


def yields_depths(model, prompt, changed):
    """It raises only when it is run through."""
    for a, b in zip(*both(model, prompt, changed), strict=True):
        yield torch.stack([(y - x).norm() / x.norm() for x, y in zip(a, b, strict=True)])


def refuses_at_once(model, prompt, changed):
    """A generator that is made where the lengths are known: it raises when it is called."""
    both(model, prompt, changed)
    return yields_depths(model, prompt, changed)


RIGHT = [square_roots, one_root, with_numpy, einsum, one_batch, cell_by_cell, refuses_at_once, yields_depths]
