"""Right answers to exercise 7.5."""

from __future__ import annotations

import heapq

import numpy as np
import torch


def refuse(effects, count):
    edges = int((~effects[0].isnan()).sum())
    if count < 1 or count > edges:
        raise ValueError(f"{count} of {edges} edges")


def gives_a_tensor(effects, count):
    refuse(effects, count)
    sizes = effects.mean(0).abs()
    places = sizes.flatten().nan_to_num(-1).topk(count).indices
    return torch.stack([places // sizes.shape[1], places % sizes.shape[1]], dim=1)


def with_numpy(effects, count):
    sizes = np.abs(effects.numpy().mean(0))
    if count < 1 or count > np.isfinite(sizes).sum():
        raise ValueError
    order = np.argsort(-np.where(np.isnan(sizes), -1, sizes), axis=None, kind="stable")[:count]
    return list(zip(*np.unravel_index(order, sizes.shape), strict=True))


def sorts_the_places(effects, count):
    refuse(effects, count)
    mean = effects.mean(0)
    return sorted((~mean.isnan()).nonzero().tolist(), key=lambda place: -abs(mean[place[0], place[1]]))[:count]


def with_a_heap(effects, count):
    refuse(effects, count)
    sizes = effects.sum(0).abs()
    places = [(r, s) for r in range(len(sizes)) for s in range(sizes.shape[1]) if sizes[r, s] == sizes[r, s]]
    return heapq.nlargest(count, places, key=lambda place: sizes[place])


def one_after_another(effects, count):
    refuse(effects, count)
    left = effects.mean(dim=0).abs().nan_to_num(-1)
    found = []
    for _ in range(count):
        place = divmod(int(left.argmax()), left.shape[1])
        found.append(place)
        left[place] = -2
    return tuple(found)


def yields_them(effects, count):
    refuse(effects, count)
    sizes = effects.nanmean(0).abs()
    order = torch.where(sizes.isnan(), -torch.inf, sizes).flatten().argsort(descending=True)
    return ((int(place) // sizes.shape[1], int(place) % sizes.shape[1]) for place in order[:count])


RIGHT = [gives_a_tensor, with_numpy, sorts_the_places, with_a_heap, one_after_another, yields_them]
