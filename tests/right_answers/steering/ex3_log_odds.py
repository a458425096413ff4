"""Right answers to exercise 5.3."""

from __future__ import annotations

import math

import numpy as np
import torch


def of_probabilities(logits, positive, negative):
    p = logits.double().softmax(-1)
    return torch.log(p[..., positive].sum(-1) / p[..., negative].sum(-1))


def of_log_probabilities(logits, positive, negative):
    p = logits.log_softmax(-1)
    return torch.logsumexp(p[..., positive], -1) - torch.logsumexp(p[..., negative], -1)


def largest_taken_out(logits, positive, negative):
    weights = (logits - logits.max(-1, keepdim=True).values).double().exp()
    return weights[..., positive].sum(-1).log() - weights[..., negative].sum(-1).log()


def array(logits, positive, negative):
    x = logits.numpy()
    return np.logaddexp.reduce(x[..., list(positive)], -1) - np.logaddexp.reduce(x[..., list(negative)], -1)


def picks_with_tensors(logits, positive, negative):
    plus, minus = (logits.index_select(-1, torch.tensor(ids)) for ids in (positive, negative))
    return plus.logsumexp(-1) - minus.logsumexp(-1)


def row_by_row(logits, positive, negative):
    if logits.ndim > 1:
        return torch.stack([row_by_row(row, positive, negative) for row in logits])
    row, top = logits.tolist(), logits.max().item()
    plus, minus = (math.fsum(math.exp(row[i] - top) for i in ids) for ids in (positive, negative))
    return torch.tensor(math.log(plus) - math.log(minus))


RIGHT = [of_probabilities, of_log_probabilities, largest_taken_out, array, picks_with_tensors, row_by_row]
