"""Wrong answers to exercise 7.3."""

from __future__ import annotations

from course_utils.circuits import queries, query_path, sent
from course_utils.model.anatomy import anatomy
from course_utils.patching import logit_difference
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def read_of(model, prompt, layer, change):
    parts = anatomy(model)
    with model.trace(prompt):
        parts.layers[layer].input = parts.layers[layer].input + change
        read = queries(parts, layer).clone().save()
    return read


def in_one_run(model, clean, corrupted, sender, receiver, answers=NAMES):
    parts = anatomy(model)
    change = sent(model, clean, corrupted, *sender)
    first, second = ids(model, answers)
    with model.trace(corrupted):
        parts.layers[receiver[0]].input[:] = parts.layers[receiver[0]].input + change
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def the_whole_head(model, clean, corrupted, sender, receiver, answers=NAMES):
    parts = anatomy(model)
    layer, head = sender
    first, second = ids(model, answers)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].clone().save()
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def every_query_of_the_layer(model, clean, corrupted, sender, receiver, answers=NAMES):
    parts = anatomy(model)
    layer = receiver[0]
    read = read_of(model, corrupted, layer, sent(model, clean, corrupted, *sender))
    first, second = ids(model, answers)
    with model.trace(corrupted):
        queries(parts, layer)[:] = read
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def the_clean_prompt_goes_on(model, clean, corrupted, sender, receiver, answers=NAMES):
    parts = anatomy(model)
    layer, head = receiver
    read = read_of(model, clean, layer, sent(model, corrupted, clean, *sender))
    first, second = ids(model, answers)
    with model.trace(clean):
        queries(parts, layer)[:, :, head] = read[:, :, head]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def never_written(model, clean, corrupted, sender, receiver, answers=NAMES):
    parts = anatomy(model)
    layer, head = receiver
    read = read_of(model, corrupted, layer, sent(model, clean, corrupted, *sender))
    first, second = ids(model, answers)
    with model.trace(corrupted):
        here = queries(parts, layer).clone()
        here[:, :, head] = read[:, :, head]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def with_the_norm_of_the_corrupted_run(model, clean, corrupted, sender, receiver, answers=NAMES):
    """Adds the query of the change alone, as if the norm in front of it were the same."""
    parts = anatomy(model)
    layer, head = receiver
    change = sent(model, clean, corrupted, *sender)
    first, second = ids(model, answers)
    block = parts.layers[layer]._module
    with model.trace(corrupted):
        stream = parts.layers[layer].input.clone().save()
    norm = block.input_layernorm
    scale = (stream.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()
    moved = ((change / scale * norm.weight) @ block.self_attn.q_proj.weight.T).unflatten(-1, (parts.n_heads, -1))
    with model.trace(corrupted):
        queries(parts, layer)[:, :, head] += moved[:, :, head]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def moved_by_the_path(model, clean, corrupted, sender, receiver, answers=NAMES):
    before = logit_difference(model, corrupted, answers)
    return query_path(model, clean, corrupted, sender, receiver, answers) - before


WRONG = [
    Wrong("7.3", moved_by_the_path, "difference to the corrupted run"),
    Wrong("7.3", in_one_run, "everyone reads it"),
    Wrong("7.3", the_whole_head, "by all roads"),
    Wrong("7.3", every_query_of_the_layer, "all queries of the layer"),
    Wrong("7.3", the_clean_prompt_goes_on, "clean and corrupted swapped"),
    Wrong("7.3", never_written, "nothing is put in"),
    Wrong("7.3", with_the_norm_of_the_corrupted_run, says="expected"),
]
