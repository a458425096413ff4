"""Wrong answers to exercise 5.8, `remove_direction`."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def projects_without_unit(residual, direction):
    return residual - torch.einsum("...w,w->...", residual, direction).unsqueeze(-1) * direction


def divides_once(residual, direction):
    return residual - (residual * direction).sum(-1, keepdim=True) / direction.norm() * direction


def takes_it_off(residual, direction):
    return residual - direction


def takes_unit_off(residual, direction):
    return residual - torch.nn.functional.normalize(direction, dim=0)


def gives_projection(residual, direction):
    return (residual * direction).sum(-1, keepdim=True) / (direction @ direction) * direction


def subtracts_absolute_part(residual, direction):
    unit = direction / direction.norm()
    return residual - torch.abs(residual @ unit).unsqueeze(-1) * unit


def adds_a_little_to_the_length(residual, direction):
    unit = direction / (direction.norm() + 1e-6)
    return residual - (residual @ unit)[..., None] * unit


WRONG = [
    Wrong("5.8", subtracts_absolute_part, "absolute part"),
    Wrong("5.8", projects_without_unit, "length forgotten"),
    Wrong("5.8", divides_once, "length divided once"),
    Wrong("5.8", takes_it_off, "direction subtracted"),
    Wrong("5.8", takes_unit_off, "unit direction subtracted"),
    Wrong("5.8", gives_projection, "the other part"),
    Wrong("5.8", adds_a_little_to_the_length, says="a very short direction"),
]
