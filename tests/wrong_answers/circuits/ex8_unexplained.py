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


def sorted_below(values, shares, least):
    return [i for i in values.argsort().tolist() if shares[i] < least]


def shares_without_sign(kept, clean, corrupted, least=0.5):
    shares = ((kept - corrupted) / (clean - corrupted)).abs()
    return sorted_below(shares, shares, least)


def shares_between_zero_and_one(kept, clean, corrupted, least=0.5):
    shares = ((kept - corrupted) / (clean - corrupted)).clamp(0, 1)
    return [i for i, share in sorted(enumerate(shares.tolist()), key=lambda one: one[1]) if share < least]


def far_from_one(kept, clean, corrupted, least=0.5):
    shares = (kept - corrupted) / (clean - corrupted)
    return [i for i in (1 - shares).abs().argsort(descending=True).tolist() if abs(1 - shares[i]) > 1 - least]


def fewest_logits_first(kept, clean, corrupted, least=0.5):
    return sorted_below(kept - corrupted, (kept - corrupted) / (clean - corrupted), least)


def most_missing_first(kept, clean, corrupted, least=0.5):
    return sorted_below(kept - clean, (kept - corrupted) / (clean - corrupted), least)


def forgets_the_bound(kept, clean, corrupted, least=0.5):
    shares = (kept - corrupted) / (clean - corrupted)
    return sorted_below(shares, shares, 0.5)


def up_to_the_bound(kept, clean, corrupted, least=0.5):
    return [i for share, i in sorted(shares_of(kept, clean, corrupted)) if share <= least]


def multiplies_across(kept, clean, corrupted, least=0.5):
    """Turns the comparison around where the clean run is the lower one."""
    shares = (kept - corrupted) / (clean - corrupted)
    below = (kept - corrupted < least * (clean - corrupted)).nonzero().flatten().tolist()
    return sorted(below, key=lambda i: float(shares[i]))


def needs_one_at_least(kept, clean, corrupted, least=0.5):
    below = [i for share, i in sorted(shares_of(kept, clean, corrupted)) if share < least]
    return [below[0], *below[1:]]


WRONG = [
    Wrong("7.8", largest_first, "best first"),
    Wrong("7.8", as_they_come, "in the order of the pairs"),
    Wrong("7.8", well_explained, "those that are explained"),
    Wrong("7.8", of_the_mean_distance, "share of the mean"),
    Wrong("7.8", shares_without_sign, "without its sign"),
    Wrong("7.8", shares_between_zero_and_one, "cut off at 0 and 1"),
    Wrong("7.8", far_from_one, says="expected"),
    Wrong("7.8", fewest_logits_first, "sorted by logits"),
    Wrong("7.8", most_missing_first, says="expected"),
    Wrong("7.8", forgets_the_bound, "always at a half"),
    Wrong("7.8", up_to_the_bound, says="right at the bound"),
    Wrong("7.8", multiplies_across, says="expected"),
    Wrong("7.8", needs_one_at_least, says="IndexError"),
]
