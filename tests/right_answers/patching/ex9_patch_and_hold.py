"""Right answers to exercise 6.9."""

from __future__ import annotations

import nnsight
import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs, patch_sets
from tests.right_answers.patching.heads_by_hooks import columns, difference, joined_heads, run_with

NAMES = (" Mike", " Emma")


def hooks(model, clean, corrupted, heads, held, answers=NAMES):
    kept, own = joined_heads(model, clean), joined_heads(model, corrupted)

    def change(layer):
        def put(joined):
            joined = joined.clone()
            for source, places in ((own, held), (kept, heads)):
                for head in (head for place, head in places if place == layer):
                    joined[0, :, columns(model, head)] = source[layer, :, columns(model, head)]
            return joined

        return put

    layers = {layer for layer, _ in [*heads, *held]}
    logits = run_with(model, corrupted, {layer: change(layer) for layer in layers})
    return difference(model, logits, answers)


def a_table_of_what_is_put(model, clean, corrupted, heads, held, answers=NAMES):
    """Of each head what it shall put out, NaN where that is left to the run."""
    parts = anatomy(model)
    kept, own = head_outputs(model, clean), head_outputs(model, corrupted)
    wanted = torch.full_like(own, torch.nan)
    for source, places in ((own, held), (kept, heads)):
        for layer, head in places:
            wanted[layer, :, head] = source[layer, :, head]
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            here = parts.heads(layer)
            here[0] = torch.where(wanted[layer].isnan(), here[0], wanted[layer])
        logits = model.output.logits[0, -1].save()
    return float(difference(model, logits, answers))


def three_rows_of_one_batch(model, clean, corrupted, heads, held, answers=NAMES):
    """The clean run, the untouched one and the patched one side by side."""
    parts = anatomy(model)
    with model.trace([clean, corrupted, corrupted]):
        for layer in range(parts.n_layers):
            here = parts.heads(layer)
            for row, places in ((1, held), (0, heads)):
                for head in range(parts.n_heads):
                    if (layer, head) in places:
                        here[2, :, head] = here[row, :, head]
        logits = model.output.logits[2, -1].save()
    return difference(model, logits, answers).double()


def one_of_the_lessons_sets(model, clean, corrupted, heads, held, answers=NAMES):
    return patch_sets(model, clean, corrupted, [heads], [held], answers=answers)


def a_dictionary_of_places(model, clean, corrupted, heads, held, answers=NAMES):
    parts = anatomy(model)
    sources = dict.fromkeys(held, head_outputs(model, corrupted)) | dict.fromkeys(heads, head_outputs(model, clean))
    places = sorted(sources)
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            for place in places:
                if place[0] == layer:
                    parts.heads(layer)[0, :, place[1]] = sources[place][layer, :, place[1]]
        logits = model.output.logits.save()
    return difference(model, logits[0, -1], answers).numpy()


def adds_what_is_missing(model, clean, corrupted, heads, held, answers=NAMES):
    """Clean minus what is there; a held head gets back what the patched ones changed in it."""
    parts = anatomy(model)
    wanted = {"kept": None, "own": None}
    for name, prompt in (("kept", clean), ("own", corrupted)):
        with model.trace(prompt):
            outputs = nnsight.save([parts.heads(layer)[0].clone() for layer in range(parts.n_layers)])
        wanted[name] = outputs
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            here = parts.heads(layer)
            for name, places in (("own", held), ("kept", heads)):
                weights = torch.tensor([float((layer, head) in places) for head in range(parts.n_heads)])
                here += weights[:, None] * (wanted[name][layer] - here)
        logits = model.output.logits[:, -1].save()
    return difference(model, logits, answers).item()


RIGHT = [
    hooks,
    a_table_of_what_is_put,
    three_rows_of_one_batch,
    one_of_the_lessons_sets,
    a_dictionary_of_places,
    adds_what_is_missing,
]
