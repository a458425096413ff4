"""Wrong answers to exercise 7.1."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs, through_output
from tests.wrong_answers import Wrong


def corrupted_minus_clean(model, clean, corrupted, layer, head):
    parts = anatomy(model)
    change = head_outputs(model, corrupted)[layer] - head_outputs(model, clean)[layer]
    return torch.stack([through_output(parts, layer, here)[head] for here in change])


def clean_alone(model, clean, corrupted, layer, head):
    parts = anatomy(model)
    return torch.stack([through_output(parts, layer, here)[head] for here in head_outputs(model, clean)[layer]])


def what_attention_writes(model, clean, corrupted, layer, head):
    parts = anatomy(model)
    kept = []
    for prompt in (clean, corrupted):
        with model.trace(prompt):
            kept.append(parts.attention_written(layer)[0].save())
    return kept[0] - kept[1]


def first_of_its_group(model, clean, corrupted, layer, head):
    """Numbers a head by the keys and values that it shares."""
    parts = anatomy(model)
    change = head_outputs(model, clean)[layer] - head_outputs(model, corrupted)[layer]
    size = parts.n_heads // parts.n_kv_heads
    return torch.stack([through_output(parts, layer, here)[head // size * size] for here in change])


def last_position_alone(model, clean, corrupted, layer, head):
    whole = -corrupted_minus_clean(model, clean, corrupted, layer, head)
    whole[:-1] = 0
    return whole


WRONG = [
    Wrong("7.1", corrupted_minus_clean, "clean and corrupted swapped"),
    Wrong("7.1", clean_alone, "one run alone"),
    Wrong("7.1", what_attention_writes, "all heads of the layer"),
    Wrong("7.1", first_of_its_group, says="expected"),
    Wrong("7.1", last_position_alone, says="expected"),
]
