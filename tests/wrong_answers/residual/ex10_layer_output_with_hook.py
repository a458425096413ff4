"""Wrong answers to exercise 2.10."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.residual.patterns import ids_of


def _hooked(model, prompt, module, keep, pre=False):
    handle = (module.register_forward_pre_hook if pre else module.register_forward_hook)(keep)
    try:
        model._module(torch.tensor([ids_of(model, prompt)]))
    finally:
        handle.remove()


def hook_before(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = inputs[0][0].clone()

    _hooked(model, prompt, anatomy(model).layers[layer]._module, keep)
    return found["x"]


def hook_counts_from_one(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    _hooked(model, prompt, anatomy(model).layers[layer + 1]._module, keep)
    return found["x"]


def hook_on_attention(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0][0].clone()

    _hooked(model, prompt, anatomy(model).attentions[layer]._module, keep)
    return found["x"]


def hook_on_mlp(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    _hooked(model, prompt, anatomy(model).mlps[layer]._module, keep)
    return found["x"]


def hook_not_removed(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    anatomy(model).layers[layer]._module.register_forward_hook(keep)
    model._module(torch.tensor([ids_of(model, prompt)]))
    return found["x"]


def hook_keeps_the_batch(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output

    _hooked(model, prompt, anatomy(model).layers[layer]._module, keep)
    return found["x"]


def asks_for_hidden_states(model, prompt, layer):
    if not 0 <= layer < model.config.num_hidden_layers:
        raise ValueError("no such layer")
    ids = torch.tensor([model.tokenizer(prompt)["input_ids"]])
    with torch.no_grad():
        out = model._module(ids, output_hidden_states=True)
    return out.hidden_states[layer + 1][0]


def hook_removed_only_after_success(model, prompt, layer):
    layers = anatomy(model).layers
    if layer not in range(len(layers)):
        raise ValueError
    found = {}
    handle = layers[layer]._module.register_forward_hook(lambda module, inputs, output: found.update(x=output[0]))
    model._module(torch.tensor([ids_of(model, prompt)]))
    handle.remove()
    return found["x"]


def clears_all_hooks(model, prompt, layer):
    layers = anatomy(model).layers
    if layer not in range(len(layers)):
        raise ValueError
    module, found = layers[layer]._module, {}
    module.register_forward_hook(lambda module, inputs, output: found.update(x=output[0].clone()))
    try:
        model._module(torch.tensor([ids_of(model, prompt)]))
    finally:
        module._forward_hooks.clear()
    return found["x"]


def clears_the_hooks_of_all_others(model, prompt, layer):
    layers = anatomy(model).layers
    if layer not in range(len(layers)):
        raise ValueError
    own, found = layers[layer]._module, {}
    _hooked(model, prompt, own, lambda module, inputs, output: found.update(x=output[0].clone()))
    for module in model._module.modules():
        if module is not own:
            module._forward_hooks.clear()
    return found["x"]


WRONG = [
    Wrong("2.10", clears_the_hooks_of_all_others, "everyone's hooks removed"),
    Wrong("2.10", clears_all_hooks, "everyone's hooks removed"),
    Wrong("2.10", asks_for_hidden_states, "the last hidden state"),
    Wrong("2.10", hook_before, "layer's input"),
    Wrong("2.10", hook_counts_from_one, "one layer too far"),
    Wrong("2.10", hook_on_attention, "attention only"),
    Wrong("2.10", hook_on_mlp, "MLP only"),
    Wrong("2.10", hook_not_removed, "hook left behind"),
    Wrong("2.10", hook_keeps_the_batch, says="(position, dimension)"),
    Wrong("2.10", hook_removed_only_after_success, "hook left behind"),
]
