"""Wrong answers to exercise 1.5."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.wrong_answers import Wrong
from tests.wrong_answers.tokens.forward import logits_of


def gives_nats(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0, :-1], ids[1:], reduction="none")


def gives_log_probabilities(model, text):
    return -gives_nats(model, text) / torch.tensor(2.0).log()


def scores_tokens_already_seen(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0, 1:], ids[1:], reduction="none") / torch.tensor(2.0).log()


def scores_every_token_already_seen(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0], ids, reduction="none") / torch.tensor(2.0).log()


def looks_up_what_it_read(model, text):
    ids = model.tokenizer.encode(text)
    rows = logits_of(model, text)[0].log_softmax(-1)
    return torch.stack([-rows[i, ids[i]] / math.log(2) for i in range(len(ids) - 1)] or [torch.zeros(0)]).flatten()


WRONG = [
    Wrong("1.5", looks_up_what_it_read, "the token just read"),
    Wrong("1.5", gives_nats, "nats"),
    Wrong("1.5", gives_log_probabilities, "sign"),
    Wrong("1.5", scores_tokens_already_seen, "not shifted"),
    Wrong("1.5", scores_every_token_already_seen, "one entry too many, not shifted"),
]
