"""Right answers to exercise 2.1."""

from __future__ import annotations

import nnsight
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import stream_parts
from tests.right_answers.plain_runs import hooked, hooked_before, ids_of, plain, stream_by_hooks


def hooks(model, prompt):
    return stream_by_hooks(model, ids_of(model, prompt)).squeeze(1)


def output_hidden_states(model, prompt):
    """Transformers' last entry has the final norm in it, so that one is taken with a hook."""
    last = []
    with hooked(anatomy(model).layers[-1]._module, last.append):
        states = plain(model, ids_of(model, prompt), output_hidden_states=True).hidden_states
    return torch.cat([*states[:-1], *last])


def saves_each(model, prompt):
    layers, kept = anatomy(model).layers, []
    with model.trace(prompt):
        kept.append(layers[0].input[0].save())
        for layer in layers:
            kept.append(layer.output[0].save())
    return kept


def fills_an_array(model, prompt):
    layers, ids = anatomy(model).layers, model.tokenizer(prompt)["input_ids"]
    outputs = [None] * len(layers)
    with model.trace([ids]):
        start = layers[0].input.save()
        for i, layer in enumerate(layers):
            outputs[i] = layer.output.save()
    stream = torch.empty(len(layers) + 1, *start.shape[1:], dtype=torch.float64)
    stream[0] = start[0]
    for i, output in enumerate(outputs):
        stream[i + 1] = output[0]
    return stream.numpy()


def what_each_layer_reads(model, prompt):
    """The output of a layer is the input of the next; the final norm reads the last."""
    parts = anatomy(model)
    with model.trace(prompt):
        read = nnsight.save([part.input.clone() for part in (*parts.layers, parts.norm)])
    return torch.stack(read)[:, 0]


def adds_up_what_was_written(model, prompt):
    return stream_parts(model, prompt).cumsum(dim=0)[::2]


def yields_depths(model, prompt):
    parts, ids = anatomy(model), ids_of(model, prompt)
    kept = []
    with hooked_before(parts.layers[0]._module, kept.append):
        plain(model, ids)
    yield kept[0][0]
    for layer in parts.layers:
        with model.trace(ids):
            output = layer.output[0].save()
        yield output


RIGHT = [
    hooks,
    output_hidden_states,
    saves_each,
    fills_an_array,
    what_each_layer_reads,
    adds_up_what_was_written,
    yields_depths,
]
