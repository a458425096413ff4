"""Wrong answers to exercise 1.7."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def drops_token_that_crosses(probabilities, p):
    values, places = torch.sort(probabilities, descending=True)
    out = torch.zeros_like(probabilities)
    keep = values.cumsum(0) <= p
    out[places[keep]] = values[keep]
    return out / out.sum()


def nucleus_mask(probabilities, p):
    values, places = torch.sort(probabilities, descending=True)
    n = int((values.cumsum(0) < p).sum()) + 1
    mask = torch.zeros_like(probabilities, dtype=torch.bool)
    mask[places[:n]] = True
    return mask


def forgets_rescaling(probabilities, p):
    return probabilities * nucleus_mask(probabilities, p)


def takes_softmax_again(probabilities, p):
    return probabilities.masked_fill(~nucleus_mask(probabilities, p), float("-inf")).softmax(0)


def leaves_sorted(probabilities, p):
    values = probabilities.sort(descending=True).values
    n = int((values.cumsum(0) < p).sum()) + 1
    values[n:] = 0
    return values / values.sum()


def compares_each(probabilities, p):
    out = probabilities * (probabilities >= 1 - p)
    return out / out.sum()


def keeps_while_below_or_at_p(probabilities, p):
    values, places = torch.sort(probabilities, descending=True)
    out = torch.zeros_like(probabilities)
    total = 0.0
    for value, place in zip(values, places):
        if total > p:
            break
        out[place] = value
        total += value.item()
    return out / out.sum()


def from_the_other_end(probabilities, p):
    values, ids = probabilities.sort()
    kept = torch.where(values.cumsum(0) - values < p, values, 0.0)
    return torch.zeros_like(probabilities).scatter(0, ids, kept) / kept.sum()


def down_to_the_last_probability(probabilities, p):
    values = probabilities.sort(descending=True).values
    line = values[int((values.cumsum(0) < p).sum())]
    kept = probabilities * (probabilities >= line)
    return kept / kept.sum()


WRONG = [
    Wrong("1.7", down_to_the_last_probability, "all equal ones"),
    Wrong("1.7", from_the_other_end, "the least probable kept"),
    Wrong("1.7", keeps_while_below_or_at_p, "one too many"),
    Wrong("1.7", drops_token_that_crosses, "crossing token dropped"),
    Wrong("1.7", forgets_rescaling, "not rescaled"),
    Wrong("1.7", takes_softmax_again, "softmax of probabilities"),
    Wrong("1.7", leaves_sorted, "left in sorted order"),
    Wrong("1.7", compares_each, "threshold on each token"),
]
