"""Right answers to exercise 6.3."""

from __future__ import annotations

import nnsight
import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from tests.right_answers.patching.heads_by_hooks import columns, joined_heads


def hooks(model, prompt):
    return anatomy(model).split_heads(joined_heads(model, prompt))


def an_array(model, prompt):
    joined = joined_heads(model, prompt).numpy()
    return joined.reshape(*joined.shape[:2], anatomy(model).n_heads, -1)


def cuts_columns(model, prompt):
    joined = joined_heads(model, prompt)
    return torch.stack([joined[..., columns(model, head)] for head in range(anatomy(model).n_heads)], dim=2).double()


def one_save_for_all(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        outputs = nnsight.save([parts.heads(layer).squeeze(0) for layer in range(parts.n_layers)])
    return outputs


def splits_the_projections_input(model, prompt):
    parts, outputs = anatomy(model), []
    with model.trace([model.tokenizer(prompt)["input_ids"]]):
        for projection in parts.out_projections:
            outputs.append(projection.input.save())
    return torch.cat(outputs).unflatten(-1, (parts.n_heads, parts.head_width))


def fills_an_array(model, prompt):
    parts = anatomy(model)
    n = len(model.tokenizer(prompt)["input_ids"])
    outputs = np.zeros((parts.n_layers, n, parts.n_heads, parts.head_width))
    for layer, joined in enumerate(joined_heads(model, prompt)):
        for head, own in enumerate(joined.chunk(parts.n_heads, dim=-1)):
            outputs[layer, :, head] = own
    return outputs


def yields_layers(model, prompt):
    parts = anatomy(model)
    for layer in range(parts.n_layers):
        with model.trace(prompt):
            heads = parts.heads(layer)[0].save()
        yield heads


RIGHT = [
    hooks,
    an_array,
    cuts_columns,
    one_save_for_all,
    splits_the_projections_input,
    fills_an_array,
    yields_layers,
]
