"""Right answers to exercise 2.7."""

from __future__ import annotations

import nnsight
import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.residual import attention_patterns
from tests.right_answers.plain_runs import ids_of, plain


def patterns_of(model, prompt):
    """(layer, head, query, key)."""
    ids = token_ids(model, prompt)
    if len(ids) == 1:
        raise ValueError("A single token has none before it.")
    return attention_patterns(model, ids)


def a_diagonal(model, prompt):
    return patterns_of(model, prompt).diagonal(-1, dim1=-2, dim2=-1).mean(-1)


def output_attentions(model, prompt):
    ids = ids_of(model, prompt)
    if ids.numel() < 2:
        raise ValueError
    patterns = torch.cat(plain(model, ids, output_attentions=True).attentions)
    return patterns[..., 1:, :-1].diagonal(dim1=2, dim2=3).sum(-1) / (ids.numel() - 1)


def one_trace(model, prompt):
    parts, n = anatomy(model), len(token_ids(model, prompt))
    if n < 2:
        raise ValueError(f"{n} token")
    with model.trace(prompt):
        scores = nnsight.save([parts.pattern(layer)[0].diagonal(-1, 1, 2).mean(1) for layer in range(parts.n_layers)])
    return scores


def einsum_with_a_shifted_identity(model, prompt):
    patterns = patterns_of(model, prompt)
    n = patterns.shape[-1]
    return torch.einsum("lhqk,qk->lh", patterns, torch.eye(n).roll(-1, 1).tril()) / (n - 1)


def with_numpy(model, prompt):
    patterns = patterns_of(model, prompt).numpy()
    return np.trace(patterns, offset=-1, axis1=2, axis2=3) / (patterns.shape[-1] - 1)


def loops(model, prompt):
    patterns = patterns_of(model, prompt).tolist()
    n = len(patterns[0][0])
    return [[sum(rows[q][q - 1] for q in range(1, n)) / (n - 1) for rows in heads] for heads in patterns]


def gathers_in_double_precision(model, prompt):
    patterns = patterns_of(model, prompt).double()
    before = torch.arange(patterns.shape[-1] - 1)[:, None].expand(*patterns.shape[:2], -1, 1)
    return patterns[:, :, 1:].gather(-1, before)[..., 0].mean(dim=-1)


def yields_layers(model, prompt):
    """It raises only when it is run through."""
    yield from a_diagonal(model, prompt)


RIGHT = [
    a_diagonal,
    output_attentions,
    one_trace,
    einsum_with_a_shifted_identity,
    with_numpy,
    loops,
    gathers_in_double_precision,
    yields_layers,
]
