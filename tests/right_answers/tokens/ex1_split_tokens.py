"""Right answers to exercise 1.1."""

from __future__ import annotations

import torch


def decodes_all_at_once(model, text):
    ids = model.tokenizer.encode(text)
    return list(zip(ids, model.tokenizer.batch_decode([[i] for i in ids]), strict=True))


def yields_pairs(model, text):
    for token in model.tokenizer(text).input_ids:
        yield token, model.tokenizer.decode(token)


def lists_of_two(model, text):
    return [[i, model.tokenizer.decode([i])] for i in model.tokenizer(text)["input_ids"]]


def ids_without_axes(model, text):
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"][0]
    return [(i, model.tokenizer.decode(i)) for i in ids]


def with_the_tokenizers_library(model, text):
    backend = model.tokenizer.backend_tokenizer
    return tuple((i, backend.decode([i], skip_special_tokens=False)) for i in backend.encode(text).ids)


def from_the_vocabulary(model, text):
    names = model.tokenizer.convert_ids_to_tokens(model.tokenizer(text)["input_ids"])
    ids = model.tokenizer.convert_tokens_to_ids(names)
    return [(i, model.tokenizer.convert_tokens_to_string([name])) for i, name in zip(ids, names, strict=True)]


def one_after_another(model, text):
    def rest(ids):
        return [] if not len(ids) else [(int(ids[0]), model.tokenizer.decode(ids[:1])), *rest(ids[1:])]

    return rest(torch.tensor(model.tokenizer(text)["input_ids"]))


RIGHT = [
    decodes_all_at_once,
    yields_pairs,
    lists_of_two,
    ids_without_axes,
    with_the_tokenizers_library,
    from_the_vocabulary,
    one_after_another,
]
