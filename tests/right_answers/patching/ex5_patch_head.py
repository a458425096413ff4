"""Right answers to exercise 6.5."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs, patch_layer, patch_together
from tests.right_answers.patching.heads_by_hooks import columns, difference, joined_heads, run_with

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, layer, head, answers=NAMES):
    kept = joined_heads(model, clean)[layer]

    def patch(joined):
        joined = joined.clone()
        joined[0, :, columns(model, head)] = kept[:, columns(model, head)]
        return joined

    return difference(model, run_with(model, corrupted, {layer: patch})[0], answers).item()


def a_mask_of_columns(model, clean, corrupted, layer, head, answers=NAMES):
    kept = joined_heads(model, clean)[layer]
    mine = torch.zeros(kept.shape[-1], dtype=torch.bool)
    mine[columns(model, head)] = True
    logits = run_with(model, corrupted, {layer: lambda joined: torch.where(mine, kept, joined)})
    return difference(model, logits, answers)


def one_batch_of_two(model, clean, corrupted, layer, head, answers=NAMES):
    """Both runs in one trace: row 0 gives to row 1."""
    parts = anatomy(model)
    with model.trace([clean, corrupted]):
        heads = parts.heads(layer)
        heads[1, :, head] = heads[0, :, head]
        logits = model.output.logits[1, -1].save()
    return float(difference(model, logits, answers))


def adds_what_is_missing(model, clean, corrupted, layer, head, answers=NAMES):
    parts = anatomy(model)
    missing = head_outputs(model, clean)[layer, :, head] - head_outputs(model, corrupted)[layer, :, head]
    with model.trace(corrupted):
        parts.heads(layer)[0, :, head] += missing
        logits = model.output.logits[0, -1].save()
    return difference(model, logits, answers).double()


def one_of_its_layer(model, clean, corrupted, layer, head, answers=NAMES):
    return patch_layer(model, clean, corrupted, layer, answers)[head].numpy()


def a_set_of_one(model, clean, corrupted, layer, head, answers=NAMES):
    return patch_together(model, clean, corrupted, [(layer, head)], answers)


def position_by_position(model, clean, corrupted, layer, head, answers=NAMES):
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0, :, head].clone().save()
    with model.trace(corrupted):
        heads = parts.heads(layer)
        for place, vector in enumerate(kept):
            heads[0, place, head] = vector
        logits = model.output.logits.save()
    return difference(model, logits[:, -1], answers)


RIGHT = [
    hooks,
    a_mask_of_columns,
    one_batch_of_two,
    adds_what_is_missing,
    one_of_its_layer,
    a_set_of_one,
    position_by_position,
]
