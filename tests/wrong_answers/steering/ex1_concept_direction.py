"""Wrong answers to exercise 5.1, `concept_direction`."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def stream(model, prompt, layer):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        out = place.output.save()
    return out[0]


def many(prompts):
    return [prompts] if isinstance(prompts, str) else prompts


def negative_minus_positive(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return torch.stack(n).mean(0) - torch.stack(p).mean(0)


def reads_layer_input(model, positive, negative, layer):
    parts = anatomy(model)
    sides = []
    for prompts in (positive, negative):
        with model.trace(prompts):
            x = parts.layers[layer].input[:, -1].save()
        sides.append(x.mean(0))
    return sides[0] - sides[1]


def averages_positions(model, positive, negative, layer):
    p = [stream(model, prompt, layer).mean(0) for prompt in many(positive)]
    n = [stream(model, prompt, layer).mean(0) for prompt in many(negative)]
    return sum(p) / len(p) - sum(n) / len(n)


def takes_row_zero(model, positive, negative, layer):
    return stream(model, many(positive)[0], layer)[-1] - stream(model, many(negative)[0], layer)[-1]


def sums_prompts(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return sum(p) - sum(n)


def normalises(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return torch.nn.functional.normalize(torch.stack(p).mean(0) - torch.stack(n).mean(0), dim=0)


def keeps_batch_axis(model, positive, negative, layer):
    place = anatomy(model).layers[layer]
    with model.trace(positive):
        a = place.output[:, -1].save()
    with model.trace(negative):
        b = place.output[:, -1].save()
    return a.mean(0, keepdim=True) - b.mean(0, keepdim=True)


def takes_a_tuple_for_one_prompt(model, positive, negative, layer):
    means = []
    for prompts in (positive, negative):
        prompts = prompts if isinstance(prompts, list) else [prompts]
        with model.trace(prompts):
            last = anatomy(model).layers[layer].output[:, -1].save()
        means.append(last.mean(0))
    return means[0] - means[1]


def counts_each_prompt_once(model, positive, negative, layer):
    means = []
    for prompts in (positive, negative):
        with model.trace([prompts] if isinstance(prompts, str) else list(dict.fromkeys(prompts))):
            last = anatomy(model).layers[layer].output[:, -1].save()
        means.append(last.mean(0))
    return means[0] - means[1]


WRONG = [
    Wrong("5.1", negative_minus_positive, "sides swapped"),
    Wrong("5.1", reads_layer_input, "input of the layer"),
    Wrong("5.1", averages_positions, "mean over positions"),
    Wrong("5.1", takes_row_zero, "first prompt only"),
    Wrong("5.1", sums_prompts, "sum of prompts"),
    Wrong("5.1", normalises, "made unit length"),
    Wrong("5.1", keeps_batch_axis, says="shape"),
    Wrong("5.1", takes_a_tuple_for_one_prompt, says="tuple came"),
    Wrong("5.1", counts_each_prompt_once, says="one of them twice"),
]
