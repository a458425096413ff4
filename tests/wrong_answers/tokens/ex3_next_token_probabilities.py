"""Wrong answers to exercise 1.3."""

from __future__ import annotations

import torch.nn.functional as F

from tests.wrong_answers import Wrong
from tests.wrong_answers.tokens.forward import logits_of


def softmax_down_the_positions(model, text):
    return F.softmax(logits_of(model, text), dim=1)[0]


def keeps_batch(model, text):
    return F.softmax(logits_of(model, text), dim=-1)


def gives_last_row(model, text):
    return F.softmax(logits_of(model, text)[0, -1], dim=-1)


def forgets_save(model, text):
    with model.trace(text):
        logits = model.output.logits
    return logits[0].softmax(-1)


WRONG = [
    Wrong("1.3", softmax_down_the_positions, "softmax over positions"),
    Wrong("1.3", keeps_batch, "batch kept"),
    Wrong("1.3", gives_last_row, "last position only"),
    Wrong("1.3", forgets_save, says="'logits' was made inside a trace, it does not outlive it"),
]
