"""Wrong answers to exercise 7.8."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def shares_of(kept, clean, corrupted):
    return [(float(k - b) / float(c - b), i) for i, (k, c, b) in enumerate(zip(kept, clean, corrupted, strict=True))]


def largest_first(kept, clean, corrupted, least=0.5):
    return [i for share, i in sorted(shares_of(kept, clean, corrupted), reverse=True) if share < least]


def as_they_come(kept, clean, corrupted, least=0.5):
    return [i for share, i in shares_of(kept, clean, corrupted) if share < least]


def well_explained(kept, clean, corrupted, least=0.5):
    return [i for share, i in sorted(shares_of(kept, clean, corrupted)) if share >= least]


def of_the_mean_distance(kept, clean, corrupted, least=0.5):
    mean = float((clean - corrupted).mean())
    shares = sorted((float(k - b) / mean, i) for i, (k, b) in enumerate(zip(kept, corrupted, strict=True)))
    return [i for share, i in shares if share < least]


WRONG = [
    Wrong("7.8", largest_first, "best first"),
    Wrong("7.8", as_they_come, "in the order of the pairs"),
    Wrong("7.8", well_explained, "those that are explained"),
    Wrong("7.8", of_the_mean_distance, "share of the mean"),
]
