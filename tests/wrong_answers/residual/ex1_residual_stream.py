"""Wrong answers to exercise 2.1."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def stream_from_the_embedding_module(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.embedding.output[0]]
        for layer in parts.layers:
            rows.append(layer.output[0])
        stream = torch.stack(rows).save()
    return stream


def stream_of_inputs(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for layer in parts.layers:
            rows.append(layer.input)
        stream = torch.cat(rows).save()
    return stream


def stream_from_transformers(model, prompt):
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    out = model._module(ids, output_hidden_states=True)
    return torch.cat(out.hidden_states)


def stream_backwards(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for layer in parts.layers:
            rows.insert(0, layer.output[0])
        stream = torch.stack(rows).save()
    return stream


def stream_of_additions(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for layer in parts.layers:
            before = layer.input[0]
            rows.append(layer.output[0] - before)
        stream = torch.stack(rows).save()
    return stream


def stream_without_embedding(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [layer.output[0] for layer in parts.layers]
        stream = torch.stack(rows).save()
    return stream


def stream_of_the_first_token(model, prompt):
    # The layer's output taken for a tuple: [0] is the batch row, and the next [0] the first position.
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0][0]]
        for layer in parts.layers:
            rows.append(layer.output[0][0])
        stream = torch.stack(rows).save()
    return stream


def stream_never_saved(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for layer in parts.layers:
            rows.append(layer.output)
        stream = torch.cat(rows)
    return stream


WRONG = [
    Wrong("2.1", stream_from_the_embedding_module, "embedding without positions"),
    Wrong("2.1", stream_of_inputs, "inputs for outputs"),
    Wrong("2.1", stream_from_transformers, "last depth normalised"),
    Wrong("2.1", stream_backwards, "deepest first"),
    Wrong("2.1", stream_of_additions, "what was added for what is there"),
    Wrong("2.1", stream_without_embedding, says="expected (4,"),
    Wrong("2.1", stream_of_the_first_token, says="(depth, position, dimension)"),
    Wrong("2.1", stream_never_saved, says="save it there"),
]
