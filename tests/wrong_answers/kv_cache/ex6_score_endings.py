"""Wrong answers to 3.6."""

from __future__ import annotations

import copy

import torch
from transformers import DynamicCache

from tests.wrong_answers import Wrong


def prefix_run(model, prefix):
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([model.tokenizer(prefix).input_ids])
    with model.trace(ids, past_key_values=cache, use_cache=True):
        last = model.output.logits[0, -1].save()
    return cache, last


def ending_run(model, ending, cache):
    ids = model.tokenizer(ending, add_special_tokens=False).input_ids
    with model.trace(torch.tensor([ids]), past_key_values=cache, use_cache=True):
        logits = model.output.logits[0].save()
    return ids, logits


def total(ids, predictions, of=sum):
    return of(float(torch.log_softmax(row, 0)[i]) for i, row in zip(ids, predictions))


def one_cache_for_all(model, prefix, endings):
    cache, last = prefix_run(model, prefix)
    scores = []
    for ending in endings:
        ids, logits = ending_run(model, ending, cache)
        scores.append(total(ids, [last, *logits]))
    return scores


def prefix_each_time(model, prefix, endings):
    scores = []
    for ending in endings:
        cache, last = prefix_run(model, prefix)
        ids, logits = ending_run(model, ending, cache)
        scores.append(total(ids, [last, *logits]))
    return scores


def each_ending_alone(model, prefix, endings):
    _, last = prefix_run(model, prefix)
    scores = []
    for ending in endings:
        ids, logits = ending_run(model, ending, DynamicCache(config=model.config))
        scores.append(total(ids, [last, *logits]))
    return scores


def with_shared_prefix(score):
    def answer(model, prefix, endings):
        cache, last = prefix_run(model, prefix)
        return [score(last, *ending_run(model, ending, copy.deepcopy(cache))) for ending in endings]

    answer.__name__ = score.__name__
    return answer


@with_shared_prefix
def own_logits(last, ids, logits):
    return total(ids, logits)


@with_shared_prefix
def skips_first(last, ids, logits):
    return total(ids[1:], logits)


@with_shared_prefix
def first_token_only(last, ids, logits):
    return total(ids[:1], [last])


@with_shared_prefix
def averages(last, ids, logits):
    return total(ids, [last, *logits]) / len(ids)


@with_shared_prefix
def sums_logits(last, ids, logits):
    return sum(float(row[i]) for i, row in zip(ids, [last, *logits]))


@with_shared_prefix
def multiplies(last, ids, logits):
    product = 1.0
    for i, row in zip(ids, [last, *logits]):
        product *= float(row.softmax(0)[i])
    return product


def feeds_all_but_the_last(model, prefix, endings):
    """The last token need not be read, but an ending of one token is then a run of none."""
    cache, last = prefix_run(model, prefix)
    scores = []
    for ending in endings:
        ids = torch.tensor([model.tokenizer(ending, add_special_tokens=False).input_ids])
        with model.trace(ids[:, :-1], past_key_values=copy.deepcopy(cache), use_cache=True):
            logits = model.output.logits[0].save()
        scores.append(total(ids[0].tolist(), [last, *logits]))
    return scores


WRONG = [
    Wrong("3.6", one_cache_for_all, "endings see each other"),
    Wrong("3.6", prefix_each_time, "the prefix read again"),
    Wrong("3.6", each_ending_alone, "endings without the prefix"),
    Wrong("3.6", own_logits, "token scored by its own logits"),
    Wrong("3.6", skips_first, "first token left out"),
    Wrong("3.6", first_token_only, "only the first token"),
    Wrong("3.6", averages, "mean, not sum"),
    Wrong("3.6", sums_logits, "logits, not log-probabilities"),
    Wrong("3.6", multiplies, "probability, not its logarithm"),
    Wrong("3.6", feeds_all_but_the_last, says="raised"),
]
