"""Right answers to exercise 6.6."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs
from tests.right_answers.patching.heads_by_hooks import columns, difference, joined_heads, run_with

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, layer, answers=NAMES):
    n_heads, kept = anatomy(model).n_heads, joined_heads(model, clean)[layer]

    def patch(joined):
        joined = joined.clone()
        for head in range(n_heads):
            joined[head, :, columns(model, head)] = kept[:, columns(model, head)]
        return joined

    return difference(model, run_with(model, corrupted, {layer: patch}, rows=n_heads), answers).numpy()


def a_diagonal_of_row_and_head(model, clean, corrupted, layer, answers=NAMES):
    parts = anatomy(model)
    kept, own = head_outputs(model, clean)[layer], torch.arange(parts.n_heads)
    with model.trace([corrupted] * parts.n_heads):
        parts.heads(layer)[own, :, own] = kept.transpose(0, 1)
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers)


def a_mask(model, clean, corrupted, layer, answers=NAMES):
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer).clone().save()
    mine = torch.eye(parts.n_heads, dtype=torch.bool)[:, None, :, None]
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        heads[:] = torch.where(mine, kept, heads)
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers).tolist()


def all_in_one_trace(model, clean, corrupted, layer, answers=NAMES):
    """The clean run is the first row of the batch."""
    parts = anatomy(model)
    with model.trace([clean, *[corrupted] * parts.n_heads]):
        heads = parts.heads(layer)
        for head in range(parts.n_heads):
            heads[head + 1, :, head] = heads[0, :, head]
        logits = model.output.logits[1:, -1].save()
    return difference(model, logits, answers).double()


def weighs_with_einsum(model, clean, corrupted, layer, answers=NAMES):
    parts = anatomy(model)
    kept = head_outputs(model, clean)[layer]
    identity = torch.eye(parts.n_heads)
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        missing = kept - heads[0]
        heads += torch.einsum("rh,phw->rphw", identity, missing)
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers)


def invokes(model, clean, corrupted, layer, answers=NAMES):
    """Each head in its own invoke of one run."""
    parts, kept, found = anatomy(model), head_outputs(model, clean)[layer], []
    with model.trace() as tracer:
        for head in range(parts.n_heads):
            with tracer.invoke(corrupted):
                parts.heads(layer)[0, :, head] = kept[:, head]
                found.append(model.output.logits[0, -1].save())
    yield from (difference(model, logits, answers) for logits in found)


RIGHT = [
    hooks,
    a_diagonal_of_row_and_head,
    a_mask,
    all_in_one_trace,
    weighs_with_einsum,
    invokes,
]
