"""Right answers to exercise 2.9."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import attention_patterns
from tests.right_answers.plain_runs import plain


def patterns_of(model, half):
    """(layer, head, query, key), on the half twice."""
    if len(half) < 2:
        raise ValueError("Nothing to repeat.")
    return attention_patterns(model, list(half) * 2)


def a_diagonal(model, half):
    n = len(half)
    return patterns_of(model, half).diagonal(1 - n, dim1=-2, dim2=-1)[..., -n:].mean(-1)


def the_lower_left_quarter(model, half):
    """The second half's queries, all keys up to the last of the first half: the keys wanted begin one later."""
    n = len(half)
    patterns = patterns_of(model, half)[:, :, n:, 1 : n + 1]
    return patterns.diagonal(dim1=-2, dim2=-1).sum(-1).div(n)


def output_attentions(model, half):
    n = len(half)
    if n < 2 or not all(0 <= token < anatomy(model).vocabulary for token in half):
        raise ValueError(half)
    attentions = plain(model, torch.tensor([*half, *half])[None], output_attentions=True).attentions
    queries = torch.arange(n, 2 * n)
    return [layer[0][:, queries, queries - n + 1].mean(1) for layer in attentions]


def one_trace(model, half):
    n, parts = len(half), anatomy(model)
    if n < 2 or min(half) < 0 or max(half) >= parts.vocabulary:
        raise ValueError
    with model.trace(torch.tensor([half]).repeat(1, 2)):
        saved = torch.cat([parts.pattern(layer) for layer in range(parts.n_layers)]).save()
    return saved[:, :, torch.arange(n, 2 * n), torch.arange(1, n + 1)].double().mean(-1)


def with_numpy(model, half):
    n, patterns = len(half), patterns_of(model, half).numpy()
    return np.diagonal(patterns, 1 - n, 2, 3)[:, :, 1:].mean(-1)


def loops(model, half):
    n, patterns = len(half), patterns_of(model, half)
    scores = torch.zeros(patterns.shape[:2])
    for query in range(n, 2 * n):
        scores += patterns[:, :, query, query - (n - 1)] / n
    return scores


def einsum(model, half):
    n, patterns = len(half), patterns_of(model, half)
    wanted = torch.zeros(2 * n, 2 * n)
    wanted[range(n, 2 * n), range(1, n + 1)] = 1 / n
    return torch.einsum("...qk,qk->...", patterns, wanted).tolist()


RIGHT = [a_diagonal, the_lower_left_quarter, output_attentions, one_trace, with_numpy, loops, einsum]
