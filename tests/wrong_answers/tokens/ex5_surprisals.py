"""Wrong answers to exercise 1.5."""

from __future__ import annotations

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


WRONG = [
    Wrong("1.5", gives_nats, "nats"),
    Wrong("1.5", gives_log_probabilities, "sign"),
    Wrong("1.5", scores_tokens_already_seen, "not shifted"),
    Wrong("1.5", scores_every_token_already_seen, "one entry too many, not shifted"),
]
