"""Right answers to exercise 2.5."""

from __future__ import annotations

import contextlib

import nnsight
import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from tests.right_answers.plain_runs import hooked, hooked_before, ids_of, plain, stream_by_hooks


def hooks_on_the_writers(model, prompt):
    parts, kept = anatomy(model), []
    with contextlib.ExitStack() as stack:
        stack.enter_context(hooked_before(parts.layers[0]._module, kept.append))
        for attention, mlp in zip(parts.attention_writers, parts.mlp_writers, strict=True):
            stack.enter_context(hooked(attention._module, kept.append))
            stack.enter_context(hooked(mlp._module, kept.append))
        plain(model, ids_of(model, prompt))
    return torch.cat(kept)


def saves_each(model, prompt):
    parts, kept = anatomy(model), []
    with model.trace(prompt):
        kept.append(parts.layers[0].input[0].save())
        for layer in range(parts.n_layers):
            kept += [parts.attention_written(layer)[0].save(), parts.mlp_written(layer)[0].save()]
    return kept


def mlp_is_what_is_left(model, prompt):
    parts, stream = anatomy(model), residual_stream(model, prompt)
    with model.trace(prompt):
        attention = nnsight.save([parts.attention_written(layer)[0] for layer in range(parts.n_layers)])
    whole = [stream[0]]
    for layer, written in enumerate(attention):
        whole += [written, stream[layer + 1] - stream[layer] - written]
    return torch.stack(whole)


def attention_is_what_is_left(model, prompt):
    parts, stream = anatomy(model), stream_by_hooks(model, ids_of(model, prompt))[:, 0]
    with model.trace(prompt):
        mlps = torch.stack([parts.mlp_written(layer)[0] for layer in range(parts.n_layers)]).save()
    halves = torch.stack([stream.diff(dim=0) - mlps, mlps], dim=1).flatten(0, 1)
    return torch.cat([stream[:1], halves]).double()


def an_array(model, prompt):
    parts, attention, mlp = anatomy(model), [], []
    with model.trace(prompt):
        start = parts.layers[0].input.save()
        for layer in range(parts.n_layers):
            attention.append(parts.attention_written(layer).save())
            mlp.append(parts.mlp_written(layer).save())
    written = np.empty((2 * parts.n_layers + 1, *start.shape[1:]), dtype=np.float32)
    written[0], written[1::2], written[2::2] = start, torch.cat(attention), torch.cat(mlp)
    return written


def a_trace_for_each(model, prompt):
    parts = anatomy(model)
    yield residual_stream(model, prompt)[0]
    for layer in range(parts.n_layers):
        with model.trace(prompt):
            attention = parts.attention_written(layer).squeeze(0).save()
        with model.trace(prompt):
            mlp = parts.mlp_written(layer).squeeze(0).save()
        yield attention
        yield mlp


RIGHT = [
    hooks_on_the_writers,
    saves_each,
    mlp_is_what_is_left,
    attention_is_what_is_left,
    an_array,
    a_trace_for_each,
]
