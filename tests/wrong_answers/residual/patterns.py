"""Attention patterns and token ids, with which wrong answers to the later exercises of lesson 2 begin."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy


def patterns_of(model, ids):
    parts = anatomy(model)
    with model.trace([list(ids)]):
        layers = [parts.pattern(i)[0] for i in range(parts.n_layers)]
        found = torch.stack(layers).save()
    return found


def ids_of(model, prompt):
    return model.tokenizer(prompt)["input_ids"]
