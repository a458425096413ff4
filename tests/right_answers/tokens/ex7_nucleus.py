"""Right answers to exercise 1.7."""

from __future__ import annotations

import numpy as np
import torch
from transformers import TopPLogitsWarper


def one_by_one(probabilities, p):
    out, total = torch.zeros_like(probabilities), 0.0
    for i in probabilities.argsort(descending=True):
        if total >= p:
            break
        out[i] = probabilities[i]
        total += probabilities[i].item()
    return out / out.sum()


def counts_with_searchsorted(probabilities, p):
    values, places = probabilities.sort(descending=True)
    n = int(torch.searchsorted(values.cumsum(0), p)) + 1
    keep = torch.zeros(len(values), dtype=torch.bool)
    keep[places[:n]] = True
    return torch.where(keep, probabilities, 0.0) / probabilities[keep].sum()


def in_numpy(probabilities, p):
    values = probabilities.numpy()
    order = np.argsort(-values, kind="stable")
    before = np.concatenate([[0], np.cumsum(values[order])[:-1]])
    out = np.where(before < p, values[order], 0)
    back = np.empty_like(out)
    back[order] = out
    return back / back.sum()


def transformers_own(probabilities, p):
    return TopPLogitsWarper(p)(None, probabilities.log()[None])[0].softmax(-1)


def sorts_back(probabilities, p):
    values, places = probabilities.sort(descending=True)
    shifted = torch.cat([torch.zeros(1), values.cumsum(0)[:-1]])
    kept = (values * (shifted < p))[places.argsort()]
    return kept / kept.sum()


def plain_python(probabilities, p):
    values = probabilities.tolist()
    kept, total = set(), 0.0
    while total < p and len(kept) < len(values):
        best = max((i for i in range(len(values)) if i not in kept), key=values.__getitem__)
        kept.add(best)
        total += values[best]
    return [value / total if i in kept else 0.0 for i, value in enumerate(values)]


RIGHT = [one_by_one, counts_with_searchsorted, in_numpy, transformers_own, sorts_back, plain_python]
