"""Right answers to exercise 7.1."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.patching import head_outputs, through_output


def with_the_weight(model, clean, corrupted, layer, head):
    change = head_outputs(model, clean)[layer, :, head] - head_outputs(model, corrupted)[layer, :, head]
    weight, width = anatomy(model).attentions[layer].o_proj.weight, change.shape[-1]
    return change @ weight[:, head * width : (head + 1) * width].T


def gives_an_array(model, clean, corrupted, layer, head):
    return with_the_weight(model, clean, corrupted, layer, head).detach().numpy()


def gives_a_list(model, clean, corrupted, layer, head):
    return list(with_the_weight(model, clean, corrupted, layer, head))


def with_hooks(model, clean, corrupted, layer, head):
    module = model._module
    projection = module.model.layers[layer].self_attn.o_proj
    read = []
    handle = projection.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].detach().clone()))
    try:
        for prompt in (clean, corrupted):
            module(torch.tensor([token_ids(model, prompt)]))
    finally:
        handle.remove()
    width = projection.in_features // module.config.num_attention_heads
    own = slice(head * width, (head + 1) * width)
    return (read[0] - read[1])[0, :, own] @ projection.weight[:, own].T


def other_heads_silenced(model, clean, corrupted, layer, head):
    parts = anatomy(model)
    one, other = (head_outputs(model, prompt)[layer] for prompt in (clean, corrupted))
    change = torch.zeros_like(one)
    change[:, head] = (one - other)[:, head]
    return torch.stack([through_output(parts, layer, here).sum(0) for here in change])


def both_prompts_in_one_batch(model, clean, corrupted, layer, head):
    parts = anatomy(model)
    with model.trace([clean, corrupted]):
        heads = parts.heads(layer).save()
    return torch.stack([through_output(parts, layer, here)[head] for here in heads[0] - heads[1]])


RIGHT = [
    with_the_weight,
    gives_an_array,
    gives_a_list,
    with_hooks,
    other_heads_silenced,
    both_prompts_in_one_batch,
]
