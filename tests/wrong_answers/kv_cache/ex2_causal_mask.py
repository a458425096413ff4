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


WRONG = [
    Wrong("3.2", plain_tril, "aligned to the start"),
    Wrong("3.2", earlier_only, "a token cannot see itself"),
    Wrong("3.2", one_ahead, "sees one token ahead"),
    Wrong("3.2", true_is_hidden, "inverted"),
    Wrong("3.2", past_hidden, "held tokens hidden"),
    Wrong("3.2", new_tokens_only, says="expected"),
]
