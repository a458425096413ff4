"""Right answers to exercise 3.2."""

from __future__ import annotations

import numpy as np
import torch


def refuse(n_new, n_held):
    if n_new <= 0 or n_held < 0:
        raise ValueError(f"{n_new} and {n_held} tokens")


def triangle(n_new, n_held=0):
    refuse(n_new, n_held)
    return torch.ones(n_new, n_held + n_new).tril(n_held).bool()


def not_above(n_new, n_held=0):
    refuse(n_new, n_held)
    return ~torch.triu(torch.full((n_new, n_new + n_held), True), diagonal=n_held + 1)


def beside_the_past(n_new, n_held=0):
    refuse(n_new, n_held)
    return torch.cat([torch.ones(n_new, n_held, dtype=bool), torch.ones(n_new, n_new, dtype=bool).tril()], dim=1)


def cell_by_cell(n_new, n_held=0):
    refuse(n_new, n_held)
    mask = torch.zeros(n_new, n_held + n_new, dtype=torch.bool)
    for i in range(n_new):
        mask[i, : n_held + i + 1] = True
    return mask


def array(n_new, n_held=0):
    refuse(n_new, n_held)
    return np.tri(n_new, n_new + n_held, n_held, dtype=bool)


def lists(n_new, n_held=0):
    refuse(n_new, n_held)
    return [[key <= n_held + query for key in range(n_new + n_held)] for query in range(n_new)]


RIGHT = [triangle, not_above, beside_the_past, cell_by_cell, array, lists]
