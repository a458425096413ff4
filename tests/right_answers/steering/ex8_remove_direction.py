"""Right answers to exercise 5.8."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def projection_matrix(residual, direction):
    unit = direction / direction.norm()
    return residual @ (torch.eye(len(unit)) - torch.outer(unit, unit))


def sums_and_keeps_the_axis(residual, direction):
    part = (residual * direction).sum(-1, keepdim=True) / direction.pow(2).sum()
    return residual - part * direction


def einsum(residual, direction):
    unit = F.normalize(direction, dim=0)
    return residual - torch.einsum("...w,w,v->...v", residual, unit, unit)


def array(residual, direction):
    d = direction.numpy().astype(np.float64)
    x = residual.numpy()
    return x - (x @ d / (d @ d))[..., None] * d


def solves_least_squares(residual, direction):
    flat = residual.reshape(-1, residual.shape[-1]).T
    share = torch.linalg.lstsq(direction[:, None], flat).solution
    return (flat - direction[:, None] @ share).T.reshape(residual.shape)


def row_by_row(residual, direction):
    if residual.ndim == 1:
        return residual - torch.dot(residual, direction) / torch.dot(direction, direction) * direction
    return torch.stack([row_by_row(row, direction) for row in residual])


RIGHT = [projection_matrix, sums_and_keeps_the_axis, einsum, array, solves_least_squares, row_by_row]
