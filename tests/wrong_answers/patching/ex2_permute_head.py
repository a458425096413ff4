"""Wrong answers to exercise 6.2."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def shuffled_a_copy(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        mine = parts.heads(layer)[:, :, head]
        mine = mine[..., order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_head_of_other_layer(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    d = parts.head_width
    with model.trace(prompt):
        z = parts.out_projections[head].input
        z[:, :, layer * d : (layer + 1) * d] = z[:, :, layer * d : (layer + 1) * d][..., order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_all_heads(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.heads(layer)
        for h in range(parts.n_heads):
            z[:, :, h] = z[:, :, h, order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_last_token(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    d = parts.head_width
    with model.trace(prompt):
        z = parts.out_projections[layer].input
        z[:, -1, head * d : (head + 1) * d] = z[:, -1, head * d : (head + 1) * d][:, order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_backwards(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.heads(layer)
        old = z[:, :, head].clone()
        for i in range(parts.head_width):
            z[:, :, head, int(order[i])] = old[:, :, i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_every_nth(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.out_projections[layer].input
        z = z.view(z.shape[0], z.shape[1], parts.head_width, parts.n_heads)
        z[..., head] = z[..., order, head]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def logits_not_saved(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace(prompt):
        unsaved = model.output.logits[0, -1]
    return (unsaved[a] - unsaved[b]).item()


WRONG = [
    Wrong("6.2", shuffled_a_copy, "nothing written"),
    Wrong("6.2", permuted_head_of_other_layer, "layer and head swapped"),
    Wrong("6.2", permuted_all_heads, "every head"),
    Wrong("6.2", permuted_last_token, "last position only"),
    Wrong("6.2", permuted_backwards, "order inverted"),
    Wrong("6.2", permuted_every_nth, "heads interleaved"),
    Wrong("6.2", logits_not_saved, says="save it there"),
]
