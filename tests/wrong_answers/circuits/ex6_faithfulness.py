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


def share(kept, clean, corrupted):
    return (kept.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean())


def between_zero_and_one(kept, clean, corrupted):
    return share(kept, clean, corrupted).clamp(0, 1).item()


def sizes(kept, clean, corrupted):
    return float((kept.mean() - corrupted.mean()).abs() / (clean.mean() - corrupted.mean()).abs())


def one_minus_the_distance(kept, clean, corrupted):
    return float(1 - (clean.mean() - kept.mean()).abs() / (clean.mean() - corrupted.mean()).abs())


def only_what_helps(kept, clean, corrupted):
    return float((kept - corrupted).clamp(min=0).sum() / (clean - corrupted).sum())


def of_medians(kept, clean, corrupted):
    return float((kept.median() - corrupted.median()) / (clean.median() - corrupted.median()))


WRONG = [
    Wrong("7.6", averaged_shares, "mean of the shares"),
    Wrong("7.6", over_clean, "share of the clean run"),
    Wrong("7.6", distance_from_clean, "what is missing"),
    Wrong("7.6", between_zero_and_one, "cut off at 0 and 1"),
    Wrong("7.6", sizes, "without its sign"),
    Wrong("7.6", one_minus_the_distance, "nearness to the clean run"),
    Wrong("7.6", only_what_helps, says="expected"),
    Wrong("7.6", of_medians, says="expected"),
]
