"""Wrong answers to exercise 6.9."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from course_utils.patching import logit_difference, patch_and_hold
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def outputs(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.heads(layer)[0].save())
    return kept


def written(model, prompt, places, answers):
    """The logit difference of a run into which everything of ``places`` was written, {(layer, head): output}."""
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        for layer, head in sorted(places):
            parts.heads(layer)[0, :, head] = places[layer, head]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def held_heads_forgotten(model, clean, corrupted, heads, held, answers=NAMES):
    kept = outputs(model, clean)
    return written(model, corrupted, {(layer, head): kept[layer][:, head] for layer, head in heads}, answers)


def held_heads_read_in_the_patched_run(model, clean, corrupted, heads, held, answers=NAMES):
    parts = anatomy(model)
    kept = outputs(model, clean)
    places = {(layer, head): kept[layer][:, head] for layer, head in heads}
    now = []
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            for one, head in heads:
                if one == layer:
                    parts.heads(layer)[0, :, head] = places[one, head]
            now.append(parts.heads(layer)[0].clone().save())
    places |= {(layer, head): now[layer][:, head] for layer, head in held}
    return written(model, corrupted, places, answers)


def everything_from_clean(model, clean, corrupted, heads, held, answers=NAMES):
    kept = outputs(model, clean)
    return written(model, corrupted, {(layer, head): kept[layer][:, head] for layer, head in heads + held}, answers)


def held_heads_set_to_zero(model, clean, corrupted, heads, held, answers=NAMES):
    kept = outputs(model, clean)
    places = {(layer, head): kept[layer][:, head] for layer, head in heads}
    places |= {(layer, head): kept[layer][:, head] * 0 for layer, head in held}
    return written(model, corrupted, places, answers)


def held_where_the_answer_is_read(model, clean, corrupted, heads, held, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    kept, own = outputs(model, clean), outputs(model, corrupted)
    with model.trace(corrupted):
        for layer in range(parts.n_layers):
            z = parts.heads(layer)
            for head in range(parts.n_heads):
                if (layer, head) in heads:
                    z[0, :, head] = kept[layer][:, head]
                if (layer, head) in held:
                    z[0, -1, head] = own[layer][-1, head]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def sets_in_the_other_order(model, clean, corrupted, heads, held, answers=NAMES):
    kept, own = outputs(model, clean), outputs(model, corrupted)
    places = {(layer, head): kept[layer][:, head] for layer, head in held}
    places |= {(layer, head): own[layer][:, head] for layer, head in heads}
    return written(model, corrupted, places, answers)


def the_clean_run_goes_on(model, clean, corrupted, heads, held, answers=NAMES):
    kept, own = outputs(model, clean), outputs(model, corrupted)
    places = {(layer, head): own[layer][:, head] for layer, head in heads}
    places |= {(layer, head): kept[layer][:, head] for layer, head in held}
    return written(model, clean, places, answers)


def patched_first_then_held(model, clean, corrupted, heads, held, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    kept, own = outputs(model, clean), outputs(model, corrupted)
    with model.trace(corrupted):
        for layer, head in sorted(heads):
            parts.heads(layer)[0, :, head] = kept[layer][:, head]
        for layer, head in sorted(held):  # begins below the layer at which the first loop ended
            parts.heads(layer)[0, :, head] = own[layer][:, head]
        for layer, head in sorted(heads):
            parts.heads(layer)[0, :, head] = kept[layer][:, head]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def moved_while_held(model, clean, corrupted, heads, held, answers=NAMES):
    return patch_and_hold(model, clean, corrupted, heads, held, answers) - logit_difference(model, corrupted, answers)


WRONG = [
    Wrong("6.9", moved_while_held, "difference to the corrupted run"),
    Wrong("6.9", held_heads_forgotten, "held heads left free"),
    Wrong("6.9", held_heads_read_in_the_patched_run, "held heads left free"),
    Wrong("6.9", everything_from_clean, "held heads from the clean run"),
    Wrong("6.9", held_heads_set_to_zero, "held heads silenced"),
    Wrong("6.9", held_where_the_answer_is_read, "held at the last position only"),
    Wrong("6.9", sets_in_the_other_order, "the two sets swapped"),
    Wrong("6.9", the_clean_run_goes_on, "clean and corrupted swapped"),
    Wrong("6.9", patched_first_then_held, says="in which the model runs them"),
]
