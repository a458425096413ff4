"""Right answers to exercise 1.4."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.right_answers.plain_runs import ids_of, plain


def parts(model, prompt, continuation):
    """The ids of both, (1, position) each."""
    rest = model.tokenizer(continuation, add_special_tokens=False, return_tensors="pt")["input_ids"]
    return ids_of(model, prompt), rest


def cross_entropy(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    logits = plain(model, torch.cat([start, rest], 1)).logits[0, start.shape[1] - 1 : -1]
    return -torch.nn.functional.cross_entropy(logits, rest[0], reduction="sum")


def the_models_own_loss(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    labels = torch.cat([torch.full_like(start, -100), rest], dim=1)
    loss = plain(model, torch.cat([start, rest], dim=1), labels=labels).loss
    return -loss.item() * rest.numel()


def a_run_for_each_token(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    ids, total = start[0].tolist(), 0.0
    for token in rest[0].tolist():
        with model.trace([ids]):
            last = model.output.logits[0, -1].save()
        total += last.log_softmax(-1)[token]
        ids.append(token)
    return total


def with_a_cache(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    before = plain(model, start, use_cache=True)
    after = plain(model, rest, past_key_values=before.past_key_values)
    rows = torch.cat([before.logits[:, -1:], after.logits[:, :-1]], dim=1).log_softmax(-1)
    return rows.gather(-1, rest[..., None]).sum()


def product_of_probabilities(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    rows = plain(model, torch.cat([start, rest], 1)).logits[0, start.numel() - 1 :].double().softmax(-1)
    return math.log(math.prod(float(row[token]) for row, token in zip(rows, rest[0], strict=False)))


def an_array_of_one_number(model, prompt, continuation):
    start, rest = parts(model, prompt, continuation)
    rows = plain(model, torch.cat([start, rest], 1)).logits[0, start.shape[1] - 1 : -1].numpy().astype(np.float64)
    picked = rows[np.arange(len(rows)), rest[0].numpy()] - np.logaddexp.reduce(rows, axis=-1)
    return picked.sum(keepdims=True)


def token_after_token(model, prompt, continuation):
    def rest_of(ids, rest):
        if not rest.shape[1]:
            return 0.0
        first = plain(model, ids).logits[0, -1].log_softmax(0)[rest[0, 0]]
        return float(first) + rest_of(torch.cat([ids, rest[:, :1]], dim=1), rest[:, 1:])

    return rest_of(*parts(model, prompt, continuation))


RIGHT = [
    cross_entropy,
    the_models_own_loss,
    a_run_for_each_token,
    with_a_cache,
    product_of_probabilities,
    an_array_of_one_number,
    token_after_token,
]
