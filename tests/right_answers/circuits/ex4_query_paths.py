"""Right answers to exercise 7.4."""

from __future__ import annotations

import torch

from course_utils.circuits import queries, sent
from course_utils.model.anatomy import anatomy
from course_utils.patching import through_output
from course_utils.residual import residual_stream
from tests.right_answers.circuits.query_hooks import difference, logits_with_query, q_proj, queries_read
from tests.right_answers.plain_runs import ids_of

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, senders, receiver, answers=NAMES):
    layer, head = receiver
    change = torch.stack([sent(model, clean, corrupted, *sender) for sender in senders])
    ids = ids_of(model, corrupted).repeat(len(senders), 1)
    return difference(
        model, logits_with_query(model, ids, layer, head, queries_read(model, ids, layer, change)), answers
    ).numpy()


def all_in_one_trace(model, clean, corrupted, senders, receiver, answers=NAMES):
    """The first half of the batch is as it is, the second reads the messages."""
    (layer, head), parts, n = receiver, anatomy(model), len(senders)
    change = torch.stack([sent(model, clean, corrupted, place, own) for place, own in senders])
    with model.trace([corrupted] * (2 * n)):
        parts.layers[layer].input[n:] += change
        found = queries(parts, layer)
        found[:n, :, head] = found[n:, :, head]
        logits = model.output.logits[:n, -1].save()
    return difference(model, logits, answers)


def the_layers_own_norm(model, clean, corrupted, senders, receiver, answers=NAMES):
    (layer, head), parts = receiver, anatomy(model)
    before = residual_stream(model, corrupted)[layer]
    streams = torch.stack([before + sent(model, clean, corrupted, *sender) for sender in senders])
    read = parts.split_heads(q_proj(model, layer)(parts.layers[layer]._module.input_layernorm(streams)))
    with model.trace([corrupted] * len(senders)):
        queries(parts, layer)[:, :, head] = read[:, :, head]
        logits = model.output.logits.save()
    return difference(model, logits[:, -1], answers).tolist()


def row_by_row(model, clean, corrupted, senders, receiver, answers=NAMES):
    (layer, head), parts = receiver, anatomy(model)
    changes = [sent(model, clean, corrupted, *sender) for sender in senders]
    with model.trace([corrupted] * len(senders)):
        for row, change in enumerate(changes):
            parts.layers[layer].input[row] += change
        read = queries(parts, layer).clone().save()
    with model.trace([corrupted] * len(senders)):
        found = queries(parts, layer)
        for row in range(len(changes)):
            found[row, :, head] = read[row, :, head]
        logits = model.output.logits[:, -1].save()
    return [float(value) for value in difference(model, logits, answers)]


def invokes(model, clean, corrupted, senders, receiver, answers=NAMES):
    """An invoke for each sender, in two traces."""
    (layer, head), parts, read, found = receiver, anatomy(model), [], []
    changes = [sent(model, clean, corrupted, *sender) for sender in senders]
    with model.trace() as tracer:
        for change in changes:
            with tracer.invoke(corrupted):
                parts.layers[layer].input = parts.layers[layer].input + change
                read.append(queries(parts, layer)[0, :, head].clone().save())
    with model.trace() as tracer:
        for query in read:
            with tracer.invoke(corrupted):
                queries(parts, layer)[0, :, head] = query
                found.append(model.output.logits[0, -1].save())
    return torch.stack([difference(model, logits, answers) for logits in found]).double()


def lays_messages_into_rows(model, clean, corrupted, senders, receiver, answers=NAMES):
    """The messages laid into the batch by einsum, one row each."""
    (layer, head), parts = receiver, anatomy(model)
    messages = torch.stack([sent(model, clean, corrupted, *sender) for sender in senders])
    rows = torch.einsum("rs,spw->rpw", torch.eye(len(senders)), messages)
    batch = ids_of(model, corrupted).expand(len(senders), -1)
    with model.trace(batch):
        parts.layers[layer].input = rows + parts.layers[layer].input
        read = queries(parts, layer).select(2, head).save()
    with model.trace(batch):
        queries(parts, layer).select(2, head).copy_(read)
        logits = model.output.logits[:, -1].save()
    yield from difference(model, logits, answers)


def both_prompts_in_one_trace(model, clean, corrupted, senders, receiver, answers=NAMES):
    """No run has a single row, the one that reads the messages included."""
    (layer, head), parts = receiver, anatomy(model)
    with model.trace([clean, corrupted]):
        found = dict().save()  # noqa: C408
        for own in sorted({own for own, _ in senders}):
            found[own] = parts.split_heads(parts.attentions[own].o_proj.input)
    parted = []
    for own, place in senders:
        apart = found[own][0] - found[own][1]  # (position, head, head width)
        parted.append(torch.stack([through_output(parts, own, heads)[place] for heads in apart]))
    with model.trace([corrupted] * len(senders)):
        parts.layers[layer].input = parts.layers[layer].input + torch.stack(parted)
        read = queries(parts, layer)[:, :, head].save()
    with model.trace([corrupted] * len(senders)):
        queries(parts, layer)[:, :, head] = read
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers)


RIGHT = [
    both_prompts_in_one_trace,
    hooks,
    all_in_one_trace,
    the_layers_own_norm,
    row_by_row,
    invokes,
    lays_messages_into_rows,
]
