"""Right answers to exercise 5.6."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.steering import steered_residuals
from tests.right_answers.plain_runs import hooked, ids_of, plain


def a_hook(model, prompt, layer, direction, strengths):
    vectors = torch.as_tensor(strengths)[:, None, None] * direction
    with hooked(anatomy(model).layers[layer]._module, lambda output: output + vectors):
        return plain(model, ids_of(model, prompt).repeat(len(strengths), 1)).logits[:, -1].numpy()


def row_by_row(model, prompt, layer, direction, strengths):
    steered = anatomy(model).layers[layer]
    with model.trace([prompt] * len(strengths)):
        for row, strength in enumerate(strengths):
            steered.output[row] += strength * direction
        logits = model.output.logits[:, -1].save()
    return list(logits)


def invokes(model, prompt, layer, direction, strengths):
    steered, kept = anatomy(model).layers[layer], []
    with model.trace() as tracer:
        for strength in strengths:
            with tracer.invoke(prompt):
                steered.output = steered.output + strength * direction
                kept.append(model.output.logits[0, -1].save())
    return torch.stack(kept).double()


def unembeds_the_last_layer(model, prompt, layer, direction, strengths):
    parts = anatomy(model)
    with model.trace([token_ids(model, prompt)] * len(strengths)):
        stream = parts.layers[layer].output
        parts.layers[layer].output = stream + torch.outer(torch.tensor(strengths), direction).unsqueeze(1)
        last = parts.layers[-1].output[:, -1].save()
    return parts.unembed(last).tolist()


def einsum(model, prompt, layer, direction, strengths):
    ids = ids_of(model, prompt)

    def add(output):
        ones = torch.ones(output.shape[1])
        return output + torch.einsum("s,p,w->spw", torch.tensor(strengths), ones, direction)

    with hooked(anatomy(model).layers[layer]._module, add):
        logits = plain(model, torch.cat([ids for _ in strengths])).logits
    yield from logits[:, -1]


def with_the_lessons_batch(model, prompt, layer, direction, strengths):
    vectors = torch.stack([strength * direction for strength in strengths])
    return anatomy(model).unembed(steered_residuals(model, prompt, vectors[None], [layer])[1:, -1])


def looks_the_width_up(model, prompt, layer, direction, strengths):
    """A row of the embedding is no run."""
    width = anatomy(model).embedding._module(torch.tensor([0])).shape[-1]
    added = torch.zeros(len(strengths), 1, width) + torch.tensor(strengths)[:, None, None] * direction
    embedded = model._module.get_input_embeddings()(ids_of(model, prompt)).expand(len(strengths), -1, -1)
    with hooked(anatomy(model).layers[layer]._module, lambda output: output + added), torch.no_grad():
        return model._module(inputs_embeds=embedded).logits[:, -1]


RIGHT = [
    a_hook,
    row_by_row,
    invokes,
    unembeds_the_last_layer,
    einsum,
    with_the_lessons_batch,
    looks_the_width_up,
]
