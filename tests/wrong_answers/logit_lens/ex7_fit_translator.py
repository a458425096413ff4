"""Wrong answers to 4.7."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def gradient_zero(read, target, ridge, centre):
    """The minimum of |read @ M + b - target|^2 + ridge |M - centre|^2 as one least-squares problem with extra rows."""
    n, width = read.shape
    x = torch.cat(
        [torch.cat([read, torch.ones(n, 1)], 1), torch.cat([ridge**0.5 * torch.eye(width), torch.zeros(width, 1)], 1)]
    )
    y = torch.cat([target, ridge**0.5 * centre])
    solved = torch.linalg.lstsq(x.double(), y.double()).solution.float()
    return solved[:-1], solved[-1]


def fits_towards_zero(read, target, ridge=100.0):
    return gradient_zero(read, target, ridge, torch.zeros(read.shape[1], read.shape[1]))


def fits_without_bias(read, target, ridge=100.0):
    width = read.shape[1]
    x = torch.cat([read, ridge**0.5 * torch.eye(width)])
    y = torch.cat([target, ridge**0.5 * torch.eye(width)])
    return torch.linalg.lstsq(x, y).solution, torch.zeros(width)


def fits_backwards(read, target, ridge=100.0):
    return gradient_zero(target, read, ridge, torch.eye(read.shape[1]))


def fits_transposed(read, target, ridge=100.0):
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(read.shape[1]))
    return matrix.T, bias


def fits_without_ridge(read, target, ridge=100.0):
    return gradient_zero(read, target, 0.0, torch.eye(read.shape[1]))


def fits_the_change_only(read, target, ridge=100.0):
    width = read.shape[1]
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(width))
    return matrix - torch.eye(width), bias


def fits_and_gives_bias_first(read, target, ridge=100.0):
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(read.shape[1]))
    return bias, matrix


def fits_and_adds_the_mean(read, target, ridge=100.0):
    matrix, _ = gradient_zero(read, target, ridge, torch.eye(read.shape[1]))
    return matrix, target.mean(0)


WRONG = [
    Wrong("4.7", fits_and_adds_the_mean, "the target's mean for the bias"),
    Wrong("4.7", fits_towards_zero, "ridge towards zero"),
    Wrong("4.7", fits_without_bias, "no bias"),
    Wrong("4.7", fits_backwards, "backwards"),
    Wrong("4.7", fits_transposed, "transposed"),
    Wrong("4.7", fits_without_ridge, "no ridge"),
    Wrong("4.7", fits_the_change_only, "identity not added"),
    Wrong("4.7", fits_and_gives_bias_first, says="shape"),
]
