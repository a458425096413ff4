"""Wrong answers to exercise 5.2, `steered_logits`."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.steering.hooks import hooked


def binds_a_name(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        out = place.output
        out = out + vector
        logits = model.output.logits[0, -1].save()
    return logits


def adds_to_input(model, prompt, layer, vector):
    block = anatomy(model).layers[layer]._module
    hook = block.register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0] + vector, *args[1:]), kwargs), with_kwargs=True
    )
    logits = model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1]
    hook.remove()
    return logits


def adds_at_last_position(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        place.output[0, -1] += vector
        logits = model.output.logits[0, -1].save()
    return logits


def overwrites(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        place.output[:] = vector
        logits = model.output.logits[0, -1].save()
    return logits


def leaves_hook(model, prompt, layer, vector):
    hooked(model, layer, lambda output: output + vector)
    return model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1]


def strips_the_prompt(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt.strip()):
        place.output = place.output + vector
        logits = model.output.logits[0, -1].save()
    return logits


def counts_layers_from_one(model, prompt, layer, vector):
    layers = anatomy(model).layers
    steered = layers[layer + 1 if layer + 1 < len(layers) else layer]
    with model.trace(prompt):
        steered.output = steered.output + vector
        logits = model.output.logits[0, -1].save()
    return logits


WRONG = [
    Wrong("5.2", counts_layers_from_one, "one layer later"),
    Wrong("5.2", binds_a_name, "not written back"),
    Wrong("5.2", adds_to_input, "added to the input"),
    Wrong("5.2", adds_at_last_position, "last position only"),
    Wrong("5.2", overwrites, "replaced"),
    Wrong("5.2", leaves_hook, says="left a hook behind"),
    Wrong("5.2", strips_the_prompt, says="a prompt that ends in a space"),
]
