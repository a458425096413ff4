"""Wrong answers to 3.2."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def plain_tril(n_new, n_held=0):
    return torch.tril(torch.ones((n_new, n_new + n_held))).bool()


def earlier_only(n_new, n_held=0):
    return torch.stack([torch.arange(n_new + n_held) < n_held + i for i in range(n_new)])


def one_ahead(n_new, n_held=0):
    return torch.stack([torch.arange(n_new + n_held) <= n_held + i + 1 for i in range(n_new)])


def true_is_hidden(n_new, n_held=0):
    return torch.triu(torch.ones(n_new, n_new + n_held), 1 + n_held) > 0


def past_hidden(n_new, n_held=0):
    return torch.cat([torch.zeros(n_new, n_held), torch.ones(n_new, n_new).tril()], 1) == 1


def new_tokens_only(n_new, n_held=0):
    return torch.ones(n_new, n_new).tril() == 1


def mask(n_new, n_held):
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril(n_held)


def nothing_new_is_zero_alone(n_new, n_held=0):
    if n_new == 0 or n_held < 0:
        raise ValueError
    return mask(n_new, n_held)


def minus_one_is_the_only_negative(n_new, n_held=0):
    if n_new < 1 or n_held == -1:
        raise ValueError
    return mask(n_new, n_held)


def multiplies_the_sizes(n_new, n_held=0):
    if n_new * (n_held + 1) < 1:
        raise ValueError
    return mask(n_new, n_held)


def zeros_and_ones(n_new, n_held=0):
    if n_new < 1 or n_held < 0:
        raise ValueError
    return torch.ones(n_new, n_held + n_new).tril(n_held)


WRONG = [
    Wrong("3.2", plain_tril, "aligned to the start"),
    Wrong("3.2", earlier_only, "a token cannot see itself"),
    Wrong("3.2", one_ahead, "sees one token ahead"),
    Wrong("3.2", true_is_hidden, "inverted"),
    Wrong("3.2", past_hidden, "held tokens hidden"),
    Wrong("3.2", new_tokens_only, says="expected"),
    Wrong("3.2", nothing_new_is_zero_alone, says="less than no new token: the docstring promises a ValueError"),
    Wrong("3.2", minus_one_is_the_only_negative, says="a negative number of held ones: the docstring promises"),
    Wrong("3.2", multiplies_the_sizes, says="both below none: the docstring promises a ValueError"),
    Wrong("3.2", zeros_and_ones, says="expected torch.bool"),
]
