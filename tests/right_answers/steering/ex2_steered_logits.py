"""Right answers to exercise 5.2."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.steering import steered_residuals, strength_sweep
from tests.right_answers.plain_runs import hooked, hooked_before, ids_of, plain


def in_place(model, prompt, layer, vector):
    with model.trace(prompt):
        anatomy(model).layers[layer].output[:] += vector
        logits = model.output.logits[0, -1].save()
    return logits


def a_hook(model, prompt, layer, vector):
    with hooked(anatomy(model).layers[layer]._module, lambda output: output + vector):
        return plain(model, ids_of(model, prompt)).logits[0][-1].numpy()


def where_the_next_layer_reads(model, prompt, layer, vector):
    parts = anatomy(model)
    reader = parts.norm if layer == parts.n_layers - 1 else parts.layers[layer + 1]
    with hooked_before(reader._module, lambda stream: stream + vector):
        return plain(model, ids_of(model, prompt)).logits[:, -1].squeeze(0).double()


def position_by_position(model, prompt, layer, vector):
    n = ids_of(model, prompt).shape[1]
    with model.trace(prompt):
        stream = anatomy(model).layers[layer].output
        for place in range(n):
            stream[:, place] = stream[:, place] + vector
        logits = model.output.logits[:, -1].save()
    return logits[0]


def one_row_of_a_sweep(model, prompt, layer, vector):
    return strength_sweep(model, prompt, layer, vector, [1.0])[0]


def unembeds_the_last_layer(model, prompt, layer, vector):
    parts = anatomy(model)
    stream = steered_residuals(model, prompt, vector[None, None], [layer])
    return parts.unembed(stream[1, -1]).tolist()


def beside_an_untouched_row(model, prompt, layer, vector):
    """Row 0 as it is, row 1 steered."""
    rows = torch.stack([torch.zeros_like(vector), vector])[:, None]
    with model.trace([model.tokenizer(prompt)["input_ids"]] * 2):
        anatomy(model).layers[layer].output = anatomy(model).layers[layer].output + rows
        logits = model.output.logits.save()
    return logits[1, -1]


RIGHT = [
    in_place,
    a_hook,
    where_the_next_layer_reads,
    position_by_position,
    one_row_of_a_sweep,
    unembeds_the_last_layer,
    beside_an_untouched_row,
]
