"""Right answers to exercise 5.7."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F


def turns_in_the_plane(first, second, t):
    n, m = first.norm().item(), second.norm().item()
    if n == 0 or m == 0:
        raise ValueError("zero")
    a, b = first / n, second / m
    across = b - (a @ b) * a
    if across.norm() < 1e-3:
        if a @ b < 0:
            raise ValueError("opposite")
        between = F.normalize((1 - t) * a + t * b, dim=0)
    else:
        angle = math.atan2(float(across.norm()), float(a @ b))
        between = math.cos(t * angle) * a + math.sin(t * angle) * across / across.norm()
    return ((1 - t) * n + t * m) * between


def in_double_precision(first, second, t):
    a, b = first.double(), second.double()
    if not a.any() or not b.any():
        raise ValueError("zero")
    angle = 2 * torch.atan2((a / a.norm() - b / b.norm()).norm(), (a / a.norm() + b / b.norm()).norm())
    if math.pi - angle < 1e-3:
        raise ValueError("opposite")
    if angle < 1e-6:
        unit = a / a.norm()
    else:
        unit = torch.sin((1 - t) * angle) / torch.sin(angle) * a / a.norm()
        unit = unit + torch.sin(t * angle) / torch.sin(angle) * b / b.norm()
    return (unit * torch.lerp(a.norm(), b.norm(), t)).float()


def array(first, second, t):
    a, b = first.numpy().astype(float), second.numpy().astype(float)
    n, m = np.linalg.norm(a), np.linalg.norm(b)
    if min(n, m) == 0:
        raise ValueError("zero")
    cosine = float(np.clip(a @ b / (n * m), -1, 1))
    if cosine < -1 + 1e-7:
        raise ValueError("opposite")
    angle = np.arccos(cosine)
    shares = (1 - t, t) if angle < 1e-4 else np.sin([(1 - t) * angle, t * angle]) / np.sin(angle)
    return (n + t * (m - n)) * (shares[0] * a / n + shares[1] * b / m)


def halves_the_arc(first, second, t):
    """By halving: the middle of an arc is the normalised sum."""
    if not first.any() or not second.any():
        raise ValueError("zero")
    low, high = (F.normalize(v.double(), dim=0) for v in (first, second))
    if (low + high).norm() < 1e-3:
        raise ValueError("opposite")
    left, right = 0.0, 1.0
    for _ in range(40):
        middle, unit = (left + right) / 2, F.normalize(low + high, dim=0)
        low, left, high, right = (unit, middle, high, right) if middle < t else (low, left, unit, middle)
    length = (1 - t) * first.norm() + t * second.norm()
    return F.normalize(low + high, dim=0).to(first) * length


def rotation_matrix(first, second, t):
    a, b = (v / v.norm() if v.norm() else None for v in (first.double(), second.double()))
    if a is None or b is None:
        raise ValueError("zero")
    c = float((a @ b).clamp(-1, 1))
    if c < -0.9999999:
        raise ValueError("opposite")
    other = b - c * a
    other = other / other.norm() if other.norm() > 1e-9 else torch.zeros_like(a)
    angle = math.acos(c) * t
    plane = torch.stack([a, other], dim=1)
    return (
        plane @ torch.tensor([math.cos(angle), math.sin(angle)]).double() * first.norm().lerp(second.norm(), t)
    ).float()


def numbers_in_a_list(first, second, t):
    return in_double_precision(first, second, t).tolist()


RIGHT = [turns_in_the_plane, in_double_precision, array, halves_the_arc, rotation_matrix, numbers_in_a_list]
