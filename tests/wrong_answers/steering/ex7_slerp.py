"""Wrong answers to exercise 5.7, `slerp`."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def lerp(first, second, t):
    return torch.lerp(first, second, t)


def normalised_lerp(first, second, t):
    line = torch.lerp(first / first.norm(), second / second.norm(), t)
    return line / line.norm() * torch.lerp(first.norm(), second.norm(), t)


def rotation(first, second, t):
    """The right direction by another formula: first, turned towards the part of second that is orthogonal to it."""
    a, b = first / first.norm(), second / second.norm()
    angle = torch.arccos(a @ b)
    other = (b - (a @ b) * a) / (b - (a @ b) * a).norm()
    return torch.cos(t * angle) * a + torch.sin(t * angle) * other


def runs_backwards(first, second, t):
    return rotation(first, second, 1 - t) * torch.lerp(second.norm(), first.norm(), t)


def forgets_length(first, second, t):
    return rotation(first, second, t)


def weighs_whole_vectors(first, second, t):
    omega = torch.arccos(torch.cosine_similarity(first, second, dim=0))
    return (torch.sin((1 - t) * omega) * first + torch.sin(t * omega) * second) / torch.sin(omega)


def straight_too_soon(first, second, t):
    """As much code on the net has it, with a larger threshold."""
    lengths = first.norm(), second.norm()
    if not lengths[0] * lengths[1]:
        raise ValueError("zeros")
    a, b = first / lengths[0], second / lengths[1]
    cosine = (a @ b).clamp(-1, 1)
    if cosine < -0.9999:
        raise ValueError("opposite")
    if cosine > 0.95:
        return torch.lerp(a, b, t) * torch.lerp(*lengths, t)
    angle = cosine.acos()
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin() * torch.lerp(*lengths, t)


WRONG = [
    Wrong("5.7", lerp, "straight line"),
    Wrong("5.7", normalised_lerp, "straight line, stretched"),
    Wrong("5.7", runs_backwards, "ends swapped"),
    Wrong("5.7", forgets_length, "unit length"),
    Wrong("5.7", weighs_whole_vectors, "arc of the whole vectors"),
    Wrong("5.7", straight_too_soon, says="a narrow angle"),
]
