"""Wrong answers to exercise 7.6."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def averaged_shares(kept, clean, corrupted):
    shares = [(k - b) / (c - b) for k, c, b in zip(kept.tolist(), clean.tolist(), corrupted.tolist(), strict=True)]
    return sum(shares) / len(shares)


def over_clean(kept, clean, corrupted):
    return float(kept.sum() / clean.sum())


def distance_from_clean(kept, clean, corrupted):
    return float((clean - kept).mean() / (clean - corrupted).mean())


WRONG = [
    Wrong("7.6", averaged_shares, "mean of the shares"),
    Wrong("7.6", over_clean, "share of the clean run"),
    Wrong("7.6", distance_from_clean, "what is missing"),
]
