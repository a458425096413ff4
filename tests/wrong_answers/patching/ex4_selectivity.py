"""Wrong answers to exercise 6.4."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def only_distance(outputs, first, second):
    return ((outputs[:, second] - outputs[:, first]) ** 2).sum(-1).sqrt()


def lengths_compared(outputs, first, second):
    n = (outputs**2).sum(-1).sqrt()
    return n[:, second] / n[:, first]


def all_positions(outputs, first, second):
    n_layers, n, n_heads, _ = outputs.shape
    total = torch.zeros(n_layers, n_heads)
    for i in range(n):
        for j in range(n):
            if i != j:
                total += (outputs[:, i] - outputs[:, j]).norm(dim=-1)
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1) / (total / (n * (n - 1)))


def diagonal_counted(outputs, first, second):
    x = outputs[:, 1:].permute(0, 2, 1, 3)
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1) / torch.cdist(x, x).mean((-1, -2))


def inverse_ratio(outputs, first, second):
    x = outputs[:, 1:].permute(0, 2, 1, 3)
    n = x.shape[2]
    mean = torch.cdist(x, x).sum((-1, -2)) / (n * (n - 1))
    return mean / (outputs[:, second] - outputs[:, first]).norm(dim=-1)


def one_number_for_each_layer(outputs, first, second):
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1).mean(dim=-1)


WRONG = [
    Wrong("6.4", only_distance, "not divided"),
    Wrong("6.4", lengths_compared, "ratio of norms"),
    Wrong("6.4", all_positions, "position 0 included"),
    Wrong("6.4", diagonal_counted, "pairs with itself"),
    Wrong("6.4", inverse_ratio, "upside down"),
    Wrong("6.4", one_number_for_each_layer, says="(layer, head)"),
]
