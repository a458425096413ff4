"""Right answers to exercise 7.3."""

from __future__ import annotations

import torch

from course_utils.circuits import queries, query_paths, sent
from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from tests.right_answers.circuits.query_hooks import (
    difference,
    logits_with_query,
    own_columns,
    q_proj,
    queries_read,
)
from tests.right_answers.plain_runs import hooked, ids_of, plain

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, sender, receiver, answers=NAMES):
    (layer, head), ids = receiver, ids_of(model, corrupted)
    read = queries_read(model, ids, layer, sent(model, clean, corrupted, *sender))
    return difference(model, logits_with_query(model, ids, layer, head, read), answers).item()


def one_batch_of_two(model, clean, corrupted, sender, receiver, answers=NAMES):
    """Row 1 reads the message and gives its query to row 0."""
    (layer, head), parts = receiver, anatomy(model)
    change = sent(model, clean, corrupted, *sender)
    with model.trace([corrupted] * 2):
        parts.layers[layer].input = parts.layers[layer].input + torch.stack([torch.zeros_like(change), change])
        found = queries(parts, layer)
        found[0, :, head] = found[1, :, head]
        logits = model.output.logits[0, -1].save()
    return float(difference(model, logits, answers))


def one_of_many(model, clean, corrupted, sender, receiver, answers=NAMES):
    return query_paths(model, clean, corrupted, [sender], receiver, answers)


def adds_to_the_query(model, clean, corrupted, sender, receiver, answers=NAMES):
    """The difference that the message makes in the query, added in an untouched run."""
    (layer, head), parts = receiver, anatomy(model)
    change = sent(model, clean, corrupted, *sender)
    with model.trace(corrupted):
        before = queries(parts, layer)[:, :, head].clone().save()
    with model.trace(corrupted):
        parts.layers[layer].input[:] += change
        after = queries(parts, layer)[:, :, head].clone().save()
    with model.trace(corrupted):
        queries(parts, layer)[:, :, head] += after - before
        logits = model.output.logits[0, -1].save()
    return difference(model, logits.double(), answers)


def the_layers_own_norm(model, clean, corrupted, sender, receiver, answers=NAMES):
    """The query of the stream before the layer, made by hand: its norm and its q_proj, no run."""
    layer, head = receiver
    stream = residual_stream(model, corrupted)[layer] + sent(model, clean, corrupted, *sender)
    block = anatomy(model).layers[layer]._module
    read = q_proj(model, layer)(block.input_layernorm(stream))
    return difference(model, logits_with_query(model, ids_of(model, corrupted), layer, head, read), answers).numpy()


def position_by_position(model, clean, corrupted, sender, receiver, answers=NAMES):
    (layer, head), ids = receiver, ids_of(model, corrupted)
    read, own = queries_read(model, ids, layer, sent(model, clean, corrupted, *sender)), own_columns(model, head)

    def put(output):
        for place in range(ids.shape[1]):
            output[0, place, own] = read[0, place, own]

    with hooked(q_proj(model, layer), put):
        logits = plain(model, ids).logits[0, -1]
    return difference(model, logits, answers)


RIGHT = [
    hooks,
    one_batch_of_two,
    one_of_many,
    adds_to_the_query,
    the_layers_own_norm,
    position_by_position,
]
