"""Wrong answers to exercise 6.7."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def looks_at_the_last(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept)[:, :, positions][:, :, :, -1]


def from_token_zero(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept)[:, :, 0][..., positions]


def softmax_of_softmax(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0, :, -1].save())
    return torch.softmax(torch.stack(kept)[..., positions], dim=-1)


def averaged_over_queries(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept).mean(2)[:, :, positions]


def heads_averaged(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.pattern(layer)[0, :, -1].mean(0).save())
    return torch.stack(kept)[:, positions]


WRONG = [
    Wrong("6.7", looks_at_the_last, "looks ahead"),
    Wrong("6.7", from_token_zero, "looks ahead"),
    Wrong("6.7", softmax_of_softmax, "normalised twice"),
    Wrong("6.7", averaged_over_queries, "mean over queries"),
    Wrong("6.7", heads_averaged, says="(layer, head, entry)"),
]
