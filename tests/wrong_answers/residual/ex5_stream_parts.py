"""Wrong answers to exercise 2.5."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def parts_before_the_post_norm(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for i in range(parts.n_layers):
            rows.append(parts.attentions[i].output[0][0])
            rows.append(parts.mlps[i].output[0])
        out = torch.stack(rows).save()
    return out


def parts_swapped(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for i in range(parts.n_layers):
            attention = parts.attention_written(i)[0]
            rows += [parts.mlp_written(i)[0], attention]
        out = torch.stack(rows).save()
    return out


def parts_in_two_blocks(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        start = parts.layers[0].input
        attentions, mlps = [], []
        for i in range(parts.n_layers):
            attentions.append(parts.attention_written(i))
            mlps.append(parts.mlp_written(i))
        out = torch.cat([start, *attentions, *mlps]).save()
    return out


def parts_running_sum(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        total = parts.layers[0].input
        rows = [total]
        for i in range(parts.n_layers):
            total = total + parts.attention_written(i)
            rows.append(total)
            total = total + parts.mlp_written(i)
            rows.append(total)
        out = torch.cat(rows).save()
    return out


def parts_from_the_embedding_module(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.embedding.output]
        for i in range(parts.n_layers):
            rows.append(parts.attention_written(i))
            rows.append(parts.mlp_written(i))
        out = torch.cat(rows).save()
    return out


def parts_in_the_wrong_order(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for i in range(parts.n_layers):
            mlp = parts.mlp_written(i)
            rows.append(parts.attention_written(i))
            rows.append(mlp)
        out = torch.cat(rows).save()
    return out


WRONG = [
    Wrong("2.5", parts_before_the_post_norm, "before the norm after it"),
    Wrong("2.5", parts_swapped, "MLP before attention"),
    Wrong("2.5", parts_in_two_blocks, "all attentions, then all MLPs"),
    Wrong("2.5", parts_running_sum, "sums so far"),
    Wrong("2.5", parts_from_the_embedding_module, "embedding without positions"),
    Wrong("2.5", parts_in_the_wrong_order, says="read the earlier one first"),
]
