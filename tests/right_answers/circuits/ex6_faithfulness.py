"""Right answers to exercise 7.6."""

from __future__ import annotations

import statistics

import numpy as np
import torch


def with_numpy(kept, clean, corrupted):
    kept, clean, corrupted = (np.asarray(values) for values in (kept, clean, corrupted))
    return (kept.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean())


def adds_up_lists(kept, clean, corrupted):
    won = sum(k - b for k, b in zip(kept.tolist(), corrupted.tolist(), strict=True))
    return won / sum(c - b for c, b in zip(clean.tolist(), corrupted.tolist(), strict=True))


def gives_a_tensor(kept, clean, corrupted):
    return (kept - corrupted).mean() / (clean - corrupted).mean()


def counts_from_the_clean_run(kept, clean, corrupted):
    return 1 - float((clean - kept).sum() / (clean - corrupted).sum())


def in_double_precision(kept, clean, corrupted):
    kept, clean, corrupted = (values.double().mean() for values in (kept, clean, corrupted))
    return torch.div(kept - corrupted, clean - corrupted).item()


def with_statistics(kept, clean, corrupted):
    low = statistics.fmean(corrupted.tolist())
    return (statistics.fmean(kept.tolist()) - low) / (statistics.fmean(clean.tolist()) - low)


RIGHT = [
    with_numpy,
    adds_up_lists,
    gives_a_tensor,
    counts_from_the_clean_run,
    in_double_precision,
    with_statistics,
]
