"""Wrong answers to exercise 5.6, `strength_sweep`."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong
from tests.wrong_answers.steering.hooks import hooked


def loops(model, prompt, layer, direction, strengths):
    rows = []
    for strength in strengths:
        hook = hooked(model, layer, lambda output: output + strength * direction)
        rows.append(model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1])
        hook.remove()
    return torch.stack(rows)


def in_one_batch(model, prompt, strengths, layer, change):
    hook = hooked(model, layer, change)
    ids = model.tokenizer([prompt] * len(strengths), return_tensors="pt")["input_ids"]
    try:
        return model._module(ids).logits[:, -1]
    finally:
        hook.remove()


def sweeps_last_position(model, prompt, layer, direction, strengths):
    def change(output):
        output = output.clone()
        for row, strength in enumerate(strengths):
            output[row, -1] += strength * direction
        return output

    return in_one_batch(model, prompt, strengths, layer, change)


def sweeps_unit_vector(model, prompt, layer, direction, strengths):
    added = torch.tensor(strengths).view(-1, 1, 1) * direction / direction.norm()
    return in_one_batch(model, prompt, strengths, layer, lambda output: output + added)


def adds_to_the_row_before(model, prompt, layer, direction, strengths):
    def change(output):
        rows, current = [], output[:1]
        for strength in strengths:
            current = current + strength * direction
            rows.append(current)
        return torch.cat(rows)

    return in_one_batch(model, prompt, strengths, layer, change)


def forgets_middle_axis(model, prompt, layer, direction, strengths):
    added = torch.tensor(strengths)[:, None] * direction
    return in_one_batch(model, prompt, strengths, layer, lambda output: output + added)


def loops_over_embeddings(model, prompt, layer, direction, strengths):
    """Each run begins behind the embedding."""
    embedded = model._module.get_input_embeddings()(model.tokenizer(prompt, return_tensors="pt")["input_ids"])
    rows = []
    for strength in strengths:
        hook = hooked(model, layer, lambda output: output + strength * direction)
        rows.append(model._module(inputs_embeds=embedded).logits[0, -1])
        hook.remove()
    return torch.stack(rows)


def sorts_the_strengths(model, prompt, layer, direction, strengths):
    added = torch.tensor(sorted(strengths)).view(-1, 1, 1) * direction
    return in_one_batch(model, prompt, strengths, layer, lambda output: output + added)


WRONG = [
    Wrong("5.6", loops_over_embeddings, "one run for each strength"),
    Wrong("5.6", loops, "one run for each strength"),
    Wrong("5.6", sweeps_last_position, "last position only"),
    Wrong("5.6", sweeps_unit_vector, "made unit length"),
    Wrong("5.6", adds_to_the_row_before, "strengths add up"),
    Wrong("5.6", forgets_middle_axis, says="raised RuntimeError"),
    Wrong("5.6", sorts_the_strengths, says="strength 0"),
]
