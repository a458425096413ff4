"""Wrong answers to exercise 6.5."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def took_the_name_not_the_slice(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        mine = parts.heads(layer)[:, :, head]
        mine = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def corrupted_into_clean(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(clean):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def head_of_the_wrong_layer(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(head)[:, :, layer].save()
    with model.trace(corrupted):
        parts.heads(head)[:, :, layer] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def took_all_heads(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.out_projections[layer].input.save()
    with model.trace(corrupted):
        parts.out_projections[layer].input = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def patched_last_token(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    cut = slice(head * parts.head_width, (head + 1) * parts.head_width)
    with model.trace(clean):
        kept = parts.out_projections[layer].input[:, -1, cut].save()
    with model.trace(corrupted):
        parts.out_projections[layer].input[:, -1, cut] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def second_axis_as_head(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0][head].save()
    with model.trace(corrupted):
        parts.heads(layer)[0][head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def minus_the_corrupted(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        before = model.output.logits[0, -1].save()
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return ((logits[a] - logits[b]) - (before[a] - before[b])).item()


def patched_second_minus_first(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[b] - logits[a]).item()


def clean_not_saved(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        unsaved = parts.heads(layer)[:, :, head]
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = unsaved
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


WRONG = [
    Wrong("6.5", took_the_name_not_the_slice, "nothing changed"),
    Wrong("6.5", corrupted_into_clean, "clean and corrupted swapped"),
    Wrong("6.5", head_of_the_wrong_layer, "layer and head swapped"),
    Wrong("6.5", took_all_heads, "whole layer"),
    Wrong("6.5", patched_last_token, "last position only"),
    Wrong("6.5", second_axis_as_head, "nothing changed"),
    Wrong("6.5", minus_the_corrupted, "difference to the corrupted run"),
    Wrong("6.5", patched_second_minus_first, "answers reversed"),
    Wrong("6.5", clean_not_saved, says="save it there"),
]
