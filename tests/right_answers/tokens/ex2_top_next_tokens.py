"""Right answers to exercise 1.2."""

from __future__ import annotations

import heapq

import numpy as np
import torch


def sorts_everything(model, prompt, k=5):
    with model.trace(prompt):
        out = model.output.logits.save()
    p = torch.softmax(out[0, -1], -1)
    order = p.argsort(descending=True)[:k]
    return [(model.tokenizer.decode(int(i)), p[i].item()) for i in order]


def calls_transformers(model, prompt, k=5):
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model._module(ids).logits[0, -1]
    values, ids = torch.topk(logits.softmax(0), k)
    return list(zip(model.tokenizer.batch_decode(ids[:, None]), values.tolist(), strict=True))


def uses_numpy(model, prompt, k=5):
    with model.trace(prompt):
        logits = model.output.logits[0, -1].detach().save()
    scores = np.exp(logits.numpy() - logits.max().item())
    scores /= scores.sum()
    return [(model.tokenizer.decode([int(i)]), scores[i]) for i in np.argsort(-scores)[:k]]


def uses_a_heap(model, prompt, k=5):
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()
    p = logits.log_softmax(-1).exp().tolist()
    return [(model.tokenizer.decode([i]), p[i]) for i in heapq.nlargest(k, range(len(p)), key=p.__getitem__)]


def in_double_precision(model, prompt, k=5):
    with model.trace(prompt):
        logits = model.output.logits[0, -1].double().save()
    top = logits.softmax(-1).topk(k)
    return [[model.tokenizer.decode([i]), p] for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def gives_tensors_and_a_tuple(model, prompt, k=5):
    with model.trace(prompt):
        logits = model.output.logits[:, -1].save()
    top = logits.softmax(dim=1).topk(k)
    return tuple((model.tokenizer.decode([i]), p) for p, i in zip(top.values[0], top.indices[0], strict=True))


def items_of_a_dictionary(model, prompt, k=5):
    pairs = sorts_everything(model, prompt, k)
    # Halves of a character are tokens of one text, of which a dictionary keeps one.
    return dict(pairs).items() if len(dict(pairs)) == len(pairs) else pairs


RIGHT = [
    sorts_everything,
    calls_transformers,
    uses_numpy,
    uses_a_heap,
    in_double_precision,
    gives_tensors_and_a_tuple,
    items_of_a_dictionary,
]
