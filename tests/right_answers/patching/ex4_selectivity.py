"""Right answers to exercise 6.4."""

from __future__ import annotations

import itertools

import numpy as np
import torch


def pairs(outputs, first, second):
    n = outputs.shape[1]
    apart = [(outputs[:, i] - outputs[:, j]).norm(dim=-1) for i, j in itertools.combinations(range(1, n), 2)]
    return (outputs[:, first] - outputs[:, second]).norm(dim=-1) / torch.stack(apart).mean(0)


def cdist(outputs, first, second):
    heads = outputs.permute(0, 2, 1, 3)
    distances = torch.cdist(heads[:, :, 1:], heads[:, :, 1:], compute_mode="donot_use_mm_for_euclid_dist")
    n = distances.shape[-1]
    mean = distances.flatten(2).sum(-1) / (n * n - n)
    return torch.linalg.vector_norm(heads[:, :, first] - heads[:, :, second], dim=-1) / mean


def pdist(outputs, first, second):
    result = torch.zeros(outputs.shape[0], outputs.shape[2])
    for layer in range(outputs.shape[0]):
        for head in range(outputs.shape[2]):
            own = outputs[layer, :, head]
            result[layer, head] = torch.dist(own[first], own[second]) / torch.pdist(own[1:]).mean()
    return result


def array(outputs, first, second):
    x = outputs.numpy().astype(np.float64)
    distances = np.sqrt(((x[:, 1:, None] - x[:, None, 1:]) ** 2).sum(-1))  # (layer, position, position, head)
    n = x.shape[1] - 1
    return np.linalg.norm(x[:, first] - x[:, second], axis=-1) / (distances.sum((1, 2)) / (n * (n - 1)))


def off_the_diagonal(outputs, first, second):
    x = outputs[:, 1:].movedim(1, 2)
    distances = (x[:, :, :, None] - x[:, :, None]).square().sum(-1).sqrt()
    other = ~torch.eye(x.shape[2], dtype=torch.bool)
    return (outputs[:, second] - outputs[:, first]).square().sum(-1).sqrt() / distances[:, :, other].mean(-1)


def lists(outputs, first, second):
    return [[float(value) for value in row] for row in pairs(outputs.double(), first, second)]


RIGHT = [pairs, cdist, pdist, array, off_the_diagonal, lists]
