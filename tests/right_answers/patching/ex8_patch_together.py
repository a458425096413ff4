"""Right answers to exercise 6.8."""

from __future__ import annotations

import itertools
from collections import defaultdict

import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs, patch_and_hold, patch_sets
from tests.right_answers.patching.heads_by_hooks import columns, difference, joined_heads, run_with

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, heads, answers=NAMES):
    kept = joined_heads(model, clean)
    by_layer = defaultdict(list)
    for layer, head in heads:
        by_layer[layer].append(columns(model, head))

    def patch(layer):
        def change(joined):
            joined = joined.clone()
            for own in by_layer[layer]:
                joined[..., own] = kept[layer][:, own]
            return joined

        return change

    logits = run_with(model, corrupted, {layer: patch(layer) for layer in by_layer})
    return difference(model, logits[0], answers).item()


def a_table_of_heads(model, clean, corrupted, heads, answers=NAMES):
    parts, kept = anatomy(model), head_outputs(model, clean)
    mine = torch.zeros(parts.n_layers, 1, parts.n_heads, 1, dtype=torch.bool)
    for layer, head in heads:
        mine[layer, 0, head] = True
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            own = parts.heads(layer)
            own[:] = torch.where(mine[layer], kept[layer], own)
        logits = model.output.logits[0, -1].save()
    return difference(model, logits, answers)


def sorted_pairs(model, clean, corrupted, heads, answers=NAMES):
    parts, kept = anatomy(model), head_outputs(model, clean)
    groups = [(layer, list(pairs)) for layer, pairs in itertools.groupby(sorted(heads), key=lambda pair: pair[0])]
    with model.trace(corrupted):
        for layer, pairs in groups:
            own = parts.heads(layer)
            for _, head in pairs:
                own[:, :, head] = kept[layer, :, head]
        logits = model.output.logits.save()
    return float(difference(model, logits[0, -1], answers))


def both_runs_in_one_batch(model, clean, corrupted, heads, answers=NAMES):
    parts = anatomy(model)
    with model.trace([clean, corrupted]):
        for layer in range(parts.n_layers):
            own = parts.heads(layer)
            for head in range(parts.n_heads):
                if (layer, head) in heads:
                    own[1, :, head] = own[0, :, head]
        logits = model.output.logits[1, -1].save()
    return difference(model, logits, answers).double().numpy()


def none_are_held(model, clean, corrupted, heads, answers=NAMES):
    return patch_and_hold(model, clean, corrupted, heads, [], answers)


def one_of_the_lessons_sets(model, clean, corrupted, heads, answers=NAMES):
    return patch_sets(model, clean, corrupted, [heads], answers=answers)[0]


RIGHT = [
    hooks,
    a_table_of_heads,
    sorted_pairs,
    both_runs_in_one_batch,
    none_are_held,
    one_of_the_lessons_sets,
]
