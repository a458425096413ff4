"""Wrong answers to exercise 5.3, `log_odds`."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def negative_over_positive(logits, positive, negative):
    p = logits.softmax(-1)
    return (p[..., negative].sum(-1) / p[..., positive].sum(-1)).log()


def compares_mean_logits(logits, positive, negative):
    return logits[..., positive].mean(-1) - logits[..., negative].mean(-1)


def averages_probabilities(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].mean(-1).log() - p[..., negative].mean(-1).log()


def gives_odds(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].sum(-1) / p[..., negative].sum(-1)


def subtracts_probabilities(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].sum(-1) - p[..., negative].sum(-1)


def adds_a_little(logits, positive, negative):
    p = logits.softmax(-1)
    return ((p[..., positive].sum(-1) + 1e-9) / (p[..., negative].sum(-1) + 1e-9)).log()


def adds_logarithms(logits, positive, negative):
    p = logits.log_softmax(-1)
    return p[..., positive].sum(-1) - p[..., negative].sum(-1)


WRONG = [
    Wrong("5.3", adds_logarithms, "product for sum"),
    Wrong("5.3", negative_over_positive, "sides swapped"),
    Wrong("5.3", compares_mean_logits, "mean of logits"),
    Wrong("5.3", averages_probabilities, "mean probability"),
    Wrong("5.3", gives_odds, "no logarithm"),
    Wrong("5.3", subtracts_probabilities, "difference of probabilities"),
    Wrong("5.3", adds_a_little, "a number added"),
]
