"""Right answers to exercise 4.6."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.logit_lens import frozen_norm
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream, stream_parts


def pieces(model, prompt, token, against):
    """What was written at the last position (part, width), the frozen norm, the two ids."""
    written = stream_parts(model, prompt)[:, -1]
    return written, frozen_norm(model, written.sum(0)), token_id(model, token), token_id(model, against)


def a_lens_for_each_part(model, prompt, token, against):
    """The unembedding of each part and of nothing; what the latter gives are the biases."""
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    unembedding = parts.unembedding._module
    logits = unembedding(torch.cat([frozen(written), frozen.bias[None]]))
    nothing = unembedding(torch.zeros_like(written[:1]))
    given = (logits - nothing)[:, plus] - (logits - nothing)[:, minus]
    given[-1] += nothing[0, plus] - nothing[0, minus]
    return given * parts.logit_scale


def differences_of_sums(model, prompt, token, against):
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    matrix, bias = parts.unembedding._module.weight.double().numpy(), parts.unembedding._module.bias
    direction = matrix[plus] - matrix[minus]
    sums = np.cumsum(frozen(written).double().numpy(), axis=0) @ direction
    constant = frozen.bias.numpy() @ direction + (0 if bias is None else float(bias[plus] - bias[minus]))
    return np.append(np.diff(sums, prepend=0), constant) * parts.logit_scale


def part_by_part(model, prompt, token, against):
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    rows = parts.unembedding._module.weight[[plus, minus]]
    given = []
    for vector in frozen(written):
        one, other = rows @ vector
        given.append(float(one - other) * parts.logit_scale)
    bias = parts.unembedding._module.bias
    end = frozen.bias @ rows[0] - frozen.bias @ rows[1]
    if bias is not None:
        end = end + bias[plus] - bias[minus]
    return [*given, float(end) * parts.logit_scale]


def einsum(model, prompt, token, against):
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    signs = torch.tensor([1.0, -1.0])
    rows = torch.cat([frozen(written), frozen.bias.expand_as(written[:1])])
    given = torch.einsum("pw,tw,t->p", rows, parts.unembedding._module.weight[[plus, minus]], signs)
    if parts.unembedding._module.bias is not None:
        given[-1] += parts.unembedding._module.bias[[plus, minus]] @ signs
    return given.mul(parts.logit_scale)


def what_is_left_is_the_biases(model, prompt, token, against):
    """The whole is the difference that the model gives; the last entry is what the parts do not."""
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    direction = parts.unembedding._module.weight[plus] - parts.unembedding._module.weight[minus]
    given = (frozen(written).double() @ direction.double()) * parts.logit_scale
    bare = parts.unembedding._module(parts.normalise(residual_stream(model, prompt)[-1, -1])) * parts.logit_scale
    return torch.cat([given, (bare[plus] - bare[minus] - given.sum())[None]])


def the_direction_pulled_back(model, prompt, token, against):
    """The frozen norm is linear up to its bias, so its gradient is the direction before the norm."""
    parts = anatomy(model)
    written, frozen, plus, minus = pieces(model, prompt, token, against)
    with torch.enable_grad():
        vector = torch.zeros_like(written[0]).requires_grad_()
        logits = parts.unembedding._module(frozen(vector) + frozen.bias)
        difference = (logits[plus] - logits[minus]) * parts.logit_scale
        (direction,) = torch.autograd.grad(difference, vector)
    yield from written @ direction
    yield difference.detach()


RIGHT = [
    a_lens_for_each_part,
    differences_of_sums,
    part_by_part,
    einsum,
    what_is_left_is_the_biases,
    the_direction_pulled_back,
]
