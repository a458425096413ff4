"""Wrong answers to exercise 6.6."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.patching import logit_difference, patch_head, patch_layer
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def whole_layer_in_each_row(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace([corrupted] * parts.n_heads):
        parts.heads(layer)[:] = kept
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def heads_pile_up(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        for row in range(parts.n_heads):
            for head in range(row + 1):
                heads[row, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def batch_of_the_clean_prompt(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        kept = parts.heads(layer)[0].save()
    with model.trace([clean] * parts.n_heads):
        heads = parts.heads(layer)
        for head in range(parts.n_heads):
            heads[head, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def always_row_zero(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        for head in range(parts.n_heads):
            parts.heads(layer)[0, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def row_and_position_confused(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        for head in range(parts.n_heads):
            heads[:, head, head] = kept[head, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def only_row_zero_returned(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace([corrupted] * anatomy(model).n_heads):
        logits = model.output.logits[0, -1].save()
    return float(logits[a] - logits[b])


def runs_each_head_alone(model, clean, corrupted, layer, answers=(" Mike", " Emma")):
    heads = range(model.config.num_attention_heads)
    return torch.tensor([patch_head(model, clean, corrupted, layer, head, answers) for head in heads])


def runs_each_head_alone_and_stops(model, clean, corrupted, layer, answers=(" Mike", " Emma")):
    """Each run ends before the last norm, which is called outside."""
    parts, (a, b), found = anatomy(model), ids(model, answers), []
    with model.trace(clean):
        kept = parts.heads(layer).clone().save()
    for head in range(parts.n_heads):
        with model.trace(corrupted) as tracer:
            parts.heads(layer)[:, :, head] = kept[:, :, head]
            last = parts.layers[-1].output[0, -1].save()
            tracer.stop()
        logits = parts.unembed(last)
        found.append(logits[a] - logits[b])
    return torch.stack(found)


def runs_each_head_alone_from_embeddings(model, clean, corrupted, layer, answers=NAMES):
    """Each run begins behind the embedding."""
    parts, (a, b), found = anatomy(model), ids(model, answers), []
    embedded = model._module.get_input_embeddings()(torch.tensor([token_ids(model, corrupted)])).detach()
    with model.trace(clean):
        kept = parts.heads(layer).clone().save()
    for head in range(parts.n_heads):
        with model.trace(inputs_embeds=embedded):
            parts.heads(layer)[:, :, head] = kept[:, :, head]
            logits = model.output.logits[0, -1].save()
        found.append(logits[a] - logits[b])
    return torch.stack(found)


def moved_by_each_head(model, clean, corrupted, layer, answers=NAMES):
    return patch_layer(model, clean, corrupted, layer, answers) - logit_difference(model, corrupted, answers)


WRONG = [
    Wrong("6.6", moved_by_each_head, "difference to the corrupted run"),
    Wrong("6.6", runs_each_head_alone_from_embeddings, "one run for each head"),
    Wrong("6.6", runs_each_head_alone_and_stops, "one run for each head"),
    Wrong("6.6", runs_each_head_alone, "one run for each head"),
    Wrong("6.6", whole_layer_in_each_row, "every row gets every head"),
    Wrong("6.6", heads_pile_up, "earlier heads stay"),
    Wrong("6.6", batch_of_the_clean_prompt, "clean and corrupted swapped"),
    Wrong("6.6", always_row_zero, "first row only"),
    Wrong("6.6", row_and_position_confused, "nothing changed"),
    Wrong("6.6", only_row_zero_returned, says="a number came; expected a tensor"),
]
