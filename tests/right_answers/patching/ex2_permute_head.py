"""Right answers to exercise 6.2."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.right_answers.patching.heads_by_hooks import columns, difference, run_with

NAMES = (" Mike", " Emma")


def a_hook(model, prompt, layer, head, order, answers=NAMES):
    def scramble(joined):
        joined = joined.clone()
        joined[..., columns(model, head)] = joined[..., columns(model, head)][..., order]
        return joined

    return difference(model, run_with(model, prompt, {layer: scramble})[0], answers).item()


def one_order_for_all_columns(model, prompt, layer, head, order, answers=NAMES):
    parts = anatomy(model)
    places = torch.arange(parts.n_heads * parts.head_width)
    places[columns(model, head)] = places[columns(model, head)][order]
    return difference(model, run_with(model, prompt, {layer: lambda joined: joined[..., places]}), answers)


def a_matrix_of_zeros_and_ones(model, prompt, layer, head, order, answers=NAMES):
    moves = torch.eye(len(order))[order]
    parts = anatomy(model)
    with model.trace(prompt):
        heads = parts.heads(layer)
        heads[:, :, head] = torch.einsum("ij,bpj->bpi", moves, heads[:, :, head])
        logits = model.output.logits[0, -1].save()
    return float(difference(model, logits, answers))


def assigns_the_whole_input(model, prompt, layer, head, order, answers=NAMES):
    parts = anatomy(model)
    with model.trace(prompt):
        joined = parts.out_projections[layer].input.clone()
        heads = parts.split_heads(joined)
        heads[:, :, head] = heads[:, :, head, order]
        parts.out_projections[layer].input = joined
        logits = model.output.logits[0, -1].save()
    return difference(model, logits.double(), answers)


def number_by_number(model, prompt, layer, head, order, answers=NAMES):
    parts = anatomy(model)
    with model.trace(prompt):
        heads = parts.heads(layer)
        old = heads[0, :, head].clone()
        for new_place, old_place in enumerate(order.tolist()):
            heads[0, :, head, new_place] = old[:, old_place]
        logits = model.output.logits[0, -1].save()
    return difference(model, logits, answers).numpy()


def gathers(model, prompt, layer, head, order, answers=NAMES):
    parts = anatomy(model)
    with model.trace([model.tokenizer(prompt)["input_ids"]]):
        own = parts.heads(layer).select(2, head)
        own.copy_(own.gather(-1, order.expand_as(own)))
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers).tolist()[0]


RIGHT = [
    a_hook,
    one_order_for_all_columns,
    a_matrix_of_zeros_and_ones,
    assigns_the_whole_input,
    number_by_number,
    gathers,
]
