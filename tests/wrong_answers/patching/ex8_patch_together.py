"""Wrong answers to exercise 6.8."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from course_utils.patching import logit_difference, patch_together
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def effects_summed(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        logits = model.output.logits[0, -1].save()
    start = total = (logits[a] - logits[b]).item()
    for layer, head in heads:
        with model.trace(clean):
            kept = parts.heads(layer)[:, :, head].save()
        with model.trace(corrupted):
            parts.heads(layer)[:, :, head] = kept
            logits = model.output.logits[0, -1].save()
        total += (logits[a] - logits[b]).item() - start
    return total


def overwrote_the_result(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    for layer, head in heads:
        with model.trace(clean):
            kept = parts.heads(layer)[:, :, head].save()
        with model.trace(corrupted):
            parts.heads(layer)[:, :, head] = kept
            logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def dictionary_by_layer(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    wanted = dict(heads)
    kept = {}
    for layer in wanted:
        with model.trace(clean):
            one = parts.heads(layer)[:, :, wanted[layer]].save()
        kept[layer] = one
    with model.trace(corrupted):
        for layer in sorted(wanted):
            parts.heads(layer)[:, :, wanted[layer]] = kept[layer]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def layers_as_a_whole(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    layers = sorted({layer for layer, _ in heads})
    kept = []
    with model.trace(clean):
        for layer in layers:
            kept.append(parts.out_projections[layer].input.save())
    with model.trace(corrupted):
        for i, layer in enumerate(layers):
            parts.out_projections[layer].input[:] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def from_corrupted_into_clean(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    kept = []
    with model.trace(corrupted):
        for layer, head in sorted(heads):
            kept.append(parts.heads(layer)[:, :, head].save())
    with model.trace(clean):
        for i, (layer, head) in enumerate(sorted(heads)):
            parts.heads(layer)[:, :, head] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def pairs_read_backwards(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    pairs = sorted((layer, head) for head, layer in heads)
    kept = []
    with model.trace(clean):
        for layer, head in pairs:
            kept.append(parts.heads(layer)[:, :, head].save())
    with model.trace(corrupted):
        for i, (layer, head) in enumerate(pairs):
            parts.heads(layer)[:, :, head] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def in_the_given_order(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        for layer, head in heads:
            parts.heads(layer)[:, :, head] = 0.0
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def moved_by_all(model, clean, corrupted, heads, answers=NAMES):
    return patch_together(model, clean, corrupted, heads, answers) - logit_difference(model, corrupted, answers)


WRONG = [
    Wrong("6.8", moved_by_all, "difference to the corrupted run"),
    Wrong("6.8", effects_summed, "effects added up"),
    Wrong("6.8", overwrote_the_result, "last head only"),
    Wrong("6.8", dictionary_by_layer, "one head in each layer"),
    Wrong("6.8", layers_as_a_whole, "whole layers"),
    Wrong("6.8", from_corrupted_into_clean, "clean and corrupted swapped"),
    Wrong("6.8", pairs_read_backwards, "layer and head swapped"),
    Wrong("6.8", in_the_given_order, says="in which the model runs them"),
]
