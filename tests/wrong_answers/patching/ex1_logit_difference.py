"""Wrong answers to exercise 6.1."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def second_minus_first(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    a, b = ids(model, answers)
    return (logits[0, -1, b] - logits[0, -1, a]).item()


def with_softmax(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    p = torch.softmax(logits[0, -1], dim=0)
    a, b = ids(model, answers)
    return (p[a] - p[b]).item()


def stripped_names(model, prompt, answers=NAMES):
    a, b = ids(model, [answer.replace(" ", "") for answer in answers])
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def at_position_zero(model, prompt, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace(prompt):
        logits = model.output.logits.save()
    row = logits[0][0]
    return float(row[a] - row[b])


def one_too_early(model, prompt, answers=NAMES):
    length = len(model.tokenizer.encode(prompt))
    a, b = ids(model, answers)
    with model.trace(prompt):
        logits = model.output.logits.save()
    row = logits[0, length - 2]
    return float(row[a] - row[b])


WRONG = [
    Wrong("6.1", second_minus_first, "answers reversed"),
    Wrong("6.1", with_softmax, "probabilities"),
    Wrong("6.1", stripped_names, "answer without its space"),
    Wrong("6.1", at_position_zero, "first position"),
    Wrong("6.1", one_too_early, "one position early"),
]
