"""Wrong answers to exercise 6.3."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def attention_outputs(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for attention in parts.attentions:
            kept.append(attention.output[0][0].save())
    out = torch.stack(kept)
    return out.reshape(out.shape[0], out.shape[1], parts.n_heads, -1)


def width_before_head(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.out_projections[layer].input[0].save())
    out = torch.stack(kept)
    return out.view(*out.shape[:2], parts.head_width, parts.n_heads).permute(0, 1, 3, 2)


def heads_before_positions(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.out_projections[layer].input[0].save())
    out = torch.stack(kept)
    n, t, _ = out.shape
    return out.view(n, parts.n_heads, t, parts.head_width).permute(0, 2, 1, 3)


def last_layer_first(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.heads(layer)[0].save())
    kept.reverse()
    return torch.stack(kept)


def with_the_batch(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.heads(layer).save())
    return torch.stack(kept)


WRONG = [
    Wrong("6.3", attention_outputs, "after the projection"),
    Wrong("6.3", width_before_head, "heads interleaved"),
    Wrong("6.3", heads_before_positions, "positions and heads mixed"),
    Wrong("6.3", last_layer_first, "layers backwards"),
    Wrong("6.3", with_the_batch, says="(layer, position, head, element)"),
]
