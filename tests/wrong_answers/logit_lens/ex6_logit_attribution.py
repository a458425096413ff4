"""Wrong answers to 4.6."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.residual import stream_parts
from tests.wrong_answers import Wrong
from tests.wrong_answers.logit_lens.own_stream import only_id


def written_at(model, prompt, position=-1):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0, position]]
        for layer in range(parts.n_layers):
            found.append(parts.attention_written(layer)[0, position])
            found.append(parts.mlp_written(layer)[0, position])
        stacked = torch.stack(found).save()
    return stacked


def freeze(model, residual):
    """The norm's weights, and a function that divides as the whole residual is divided (GPT-2 and Llama)."""
    norm = anatomy(model).norm._module
    bias = getattr(norm, "bias", None)
    if bias is None:
        divisor = (residual.pow(2).mean() + norm.variance_epsilon).sqrt()
        return norm.weight, torch.zeros_like(residual), lambda x: x / divisor
    divisor = (residual.var(unbiased=False) + norm.eps).sqrt()
    return norm.weight, bias, lambda x: (x - x.mean(-1, keepdim=True)) / divisor


def divided_and_weighted(model, written, weight, divide):
    return divide(written) * weight


def attribute(model, prompt, token, against, position=-1, read=divided_and_weighted, both=True, sums=False):
    written = written_at(model, prompt, position)
    weight, bias, divide = freeze(model, written.sum(0))
    if sums:
        written = written.cumsum(0)
    rows = model._module.get_output_embeddings().weight
    direction = rows[only_id(model, token)]
    if both:
        direction = direction - rows[only_id(model, against)]
    shares = read(model, written, weight, divide) @ direction
    return torch.cat([shares, (bias @ direction).reshape(1)])


def attribution_normed_alone(model, prompt, token, against):
    def read(model, written, weight, divide):
        return anatomy(model).normalise(written)

    return attribute(model, prompt, token, against, read=read)


def attribution_without_norm(model, prompt, token, against):
    return attribute(model, prompt, token, against, read=lambda model, written, weight, divide: written)


def attribution_without_weights(model, prompt, token, against):
    return attribute(model, prompt, token, against, read=lambda model, written, weight, divide: divide(written))


def attribution_at_first_token(model, prompt, token, against):
    return attribute(model, prompt, token, against, position=0)


def attribution_of_one_logit(model, prompt, token, against):
    return attribute(model, prompt, token, against, both=False)


def attribution_reversed(model, prompt, token, against):
    return attribute(model, prompt, against, token)


def attribution_of_streams(model, prompt, token, against):
    return attribute(model, prompt, token, against, sums=True)


def attribution_without_constant(model, prompt, token, against):
    shares = attribute(model, prompt, token, against).clone()
    shares[-1] = 0
    return shares


def attribution_without_last_entry(model, prompt, token, against):
    return attribute(model, prompt, token, against)[:-1]


def straight_to_the_unembedding(model, prompt, token, against):
    weight = anatomy(model).unembedding.weight
    direction = weight[token_id(model, token)] - weight[token_id(model, against)]
    return torch.cat([stream_parts(model, prompt)[:, -1] @ direction, torch.zeros(1)]) * anatomy(model).logit_scale


WRONG = [
    Wrong("4.6", straight_to_the_unembedding, "no norm, no constant"),
    Wrong("4.6", attribution_normed_alone, "each part normed alone"),
    Wrong("4.6", attribution_without_norm, "no norm"),
    Wrong("4.6", attribution_without_weights, "no gain"),
    Wrong("4.6", attribution_at_first_token, "first position"),
    Wrong("4.6", attribution_of_one_logit, "one token only"),
    Wrong("4.6", attribution_reversed, "tokens swapped"),
    Wrong("4.6", attribution_of_streams, "running sum"),
    Wrong("4.6", attribution_without_constant, "constant forgotten"),
    Wrong("4.6", attribution_without_last_entry, "constant left out"),
]
