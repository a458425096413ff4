"""Wrong answers to exercise 7.5."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def sorted_places(sizes, count):
    places = [(float(sizes[r, s]), r, s) for r in range(len(sizes)) for s in range(sizes.shape[1])]
    known = [place for place in places if place[0] == place[0]]
    return [(r, s) for _, r, s in sorted(known, reverse=True)[:count]]


def positive_ones(effects, count):
    return sorted_places(effects.mean(0), count)


def sizes_averaged(effects, count):
    return sorted_places(effects.abs().mean(0), count)


def of_the_first_pair(effects, count):
    return sorted_places(effects[0].abs(), count)


def sender_first(effects, count):
    return [(s, r) for r, s in sorted_places(effects.mean(0).abs(), count)]


def a_negative_count(effects, count):
    edges = int((~effects[0].isnan()).sum())
    if count == 0 or count > edges:
        raise ValueError(f"{count} of {edges}")
    return sorted_places(effects.mean(0).abs(), count)


def zeros_are_no_edges(effects, count):
    sizes = effects.nan_to_num(0).mean(0).abs()
    if not 0 < count <= int((~effects[0].isnan()).sum()):
        raise ValueError
    return sorted_places(sizes, count)


WRONG = [
    Wrong("7.5", positive_ones, "signed"),
    Wrong("7.5", sizes_averaged, "mean of sizes"),
    Wrong("7.5", of_the_first_pair, "one pair"),
    Wrong("7.5", sender_first, "ends swapped"),
    Wrong("7.5", a_negative_count, says="less than none: the docstring promises a ValueError"),
    Wrong("7.5", zeros_are_no_edges, says="expected"),
]
