"""Wrong answers to exercise 7.4."""

from __future__ import annotations

import torch

from course_utils.circuits import queries, query_path, query_paths, sent
from course_utils.model.anatomy import anatomy
from course_utils.patching import logit_difference
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def summed_over_senders(model, clean, corrupted, senders, receiver, answers=NAMES):
    parts = anatomy(model)
    layer, head = receiver
    first, second = ids(model, answers)
    change = sum(sent(model, clean, corrupted, *sender) for sender in senders)
    with model.trace([corrupted] * len(senders)):
        parts.layers[layer].input = parts.layers[layer].input + change
        read = queries(parts, layer)[:, :, head].clone().save()
    with model.trace([corrupted] * len(senders)):
        queries(parts, layer)[:, :, head] = read
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def in_one_run(model, clean, corrupted, senders, receiver, answers=NAMES):
    parts = anatomy(model)
    first, second = ids(model, answers)
    change = torch.stack([sent(model, clean, corrupted, *sender) for sender in senders])
    with model.trace([corrupted] * len(senders)):
        parts.layers[receiver[0]].input = parts.layers[receiver[0]].input + change
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def last_sender_first(model, clean, corrupted, senders, receiver, answers=NAMES):
    return query_paths(model, clean, corrupted, list(reversed(senders)), receiver, answers)


def path_after_path(model, clean, corrupted, senders, receiver, answers=NAMES):
    found = [query_path(model, clean, corrupted, sender, receiver, answers) for sender in senders]
    return torch.tensor(found)


def moved_by_each(model, clean, corrupted, senders, receiver, answers=NAMES):
    before = logit_difference(model, corrupted, answers)
    return query_paths(model, clean, corrupted, senders, receiver, answers) - before


WRONG = [
    Wrong("7.4", moved_by_each, "difference to the corrupted run"),
    Wrong("7.4", summed_over_senders, "all senders together"),
    Wrong("7.4", in_one_run, "everyone reads it"),
    Wrong("7.4", path_after_path, "a run for each sender"),
    Wrong("7.4", last_sender_first, "the wrong order"),
]
