"""Right answers to exercise 7.8."""

from __future__ import annotations

import numpy as np
import torch


def with_numpy(kept, clean, corrupted, least=0.5):
    shares = np.asarray((kept - corrupted) / (clean - corrupted))
    order = np.argsort(shares)
    return order[shares[order] < least]


def gives_a_tensor(kept, clean, corrupted, least=0.5):
    shares = torch.div(kept - corrupted, clean - corrupted)
    order = shares.argsort()
    return order[shares[order] < least]


def sorts_pairs_of_values(kept, clean, corrupted, least=0.5):
    runs = zip(kept, clean, corrupted, strict=True)
    return tuple(i for share, i in sorted(((k - b) / (c - b), i) for i, (k, c, b) in enumerate(runs)) if share < least)


def in_double_precision(kept, clean, corrupted, least=0.5):
    runs = zip(kept.tolist(), clean.tolist(), corrupted.tolist(), strict=True)
    shares = [(k - b) / (c - b) for k, c, b in runs]
    return sorted([i for i in range(len(shares)) if shares[i] < least], key=shares.__getitem__)


def by_what_is_missing(kept, clean, corrupted, least=0.5):
    missing = (clean - kept) / (clean - corrupted)
    return [i for i in missing.argsort(descending=True).tolist() if missing[i] > 1 - least]


def yields_them(kept, clean, corrupted, least=0.5):
    shares = (kept - corrupted) / (clean - corrupted)
    return (i for i in shares.argsort() if shares[i] < least)


RIGHT = [with_numpy, gives_a_tensor, sorts_pairs_of_values, in_double_precision, by_what_is_missing, yields_them]
