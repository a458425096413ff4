"""Right answers to exercise 3.6."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch.nn import functional as F
from transformers import DynamicCache

from course_utils.kv_cache import encode, new_cache
from tests.right_answers.plain_runs import plain


def encoded(model, endings):
    if not endings:
        raise ValueError("Nothing to score.")
    return [encode(model, ending, beginning=False) for ending in endings]


def read(model, prefix):
    """The prefix's cache, and the logits (1, vocabulary) after it."""
    cache = new_cache(model)
    return cache, plain(model, encode(model, prefix), past_key_values=cache, use_cache=True).logits[0, -1:]


def crops_the_cache(model, prefix, endings):
    rows = encoded(model, endings)
    cache, first = read(model, prefix)
    scores = []
    for ids in rows:
        logits = torch.cat([first, plain(model, ids, past_key_values=cache).logits[0, :-1]])
        cache.crop(-ids.shape[1])
        scores.append(-F.cross_entropy(logits, ids[0], reduction="sum"))
    return scores


def one_padded_batch(model, prefix, endings):
    rows = [ids[0] for ids in encoded(model, endings)]
    cache, first = read(model, prefix)
    cache.batch_repeat_interleave(len(rows))
    longest = max(map(len, rows))
    logits = plain(model, torch.stack([F.pad(ids, (0, longest - len(ids))) for ids in rows]), past_key_values=cache)
    scores = torch.cat([first.expand(len(rows), 1, -1), logits.logits[:, :-1]], dim=1).log_softmax(-1)
    return torch.stack([scores[i, range(len(ids)), ids].sum() for i, ids in enumerate(rows)])


def a_cache_of_pairs(model, prefix, endings):
    rows = encoded(model, endings)
    cache, first = read(model, prefix)
    pairs = [(layer.keys, layer.values) for layer in cache.layers]
    scores = np.zeros(len(rows))
    for i, ids in enumerate(rows):
        own = DynamicCache(copy.deepcopy(pairs))
        logits = torch.cat([first, plain(model, ids, past_key_values=own).logits[0, :-1]]).double().numpy()
        picked = logits[np.arange(ids.shape[1]), ids[0].numpy()] - np.logaddexp.reduce(logits, axis=1)
        scores[i] = picked.sum()
    return scores


def without_the_last_token(model, prefix, endings):
    """What follows an ending is not asked for, so its last token need not be read."""
    rows = encoded(model, endings)
    cache, first = read(model, prefix)

    def score(ids):
        predictions = first
        if ids.shape[1] > 1:
            with model.trace(ids[:, :-1], past_key_values=copy.deepcopy(cache), use_cache=True):
                logits = model.output.logits[0].save()
            predictions = torch.cat([first, logits])
        return predictions.log_softmax(-1).gather(1, ids.mT).sum().item()

    return tuple(map(score, rows))


def token_by_token(model, prefix, endings):
    rows = encoded(model, endings)
    cache, first = read(model, prefix)
    scores = []
    for ids in rows:
        own, last, total = copy.deepcopy(cache), first[0], 0.0
        for token in ids[0]:
            total += last.log_softmax(0)[token]
            last = plain(model, token.reshape(1, 1), past_key_values=own).logits[0, -1]
        scores.append(total.numpy())
    return scores


def yields_after_it_has_looked(model, prefix, endings):
    rows = encoded(model, endings)
    cache, first = read(model, prefix)

    def one(ids):
        logits = plain(model, ids, past_key_values=cache).logits[0]
        cache.crop(-ids.shape[1])
        before = torch.cat([first, logits])[:-1].double().softmax(-1)
        return before[range(len(before)), ids[0]].log().sum()

    return (one(ids) for ids in rows)


RIGHT = [
    crops_the_cache,
    one_padded_batch,
    a_cache_of_pairs,
    without_the_last_token,
    token_by_token,
    yields_after_it_has_looked,
]
