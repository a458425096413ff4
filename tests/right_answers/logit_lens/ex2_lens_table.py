"""Right answers to exercise 4.2."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from tests.right_answers.plain_runs import ids_of, stream_by_hooks


def logits_of(model, prompt):
    """(depth, position, vocabulary)."""
    return anatomy(model).unembed(residual_stream(model, prompt))


def a_distribution(model, prompt):
    found = torch.distributions.Categorical(logits=logits_of(model, prompt))
    return {
        "top_ids": found.logits.argmax(-1),
        "probability": found.probs.amax(-1),
        "entropy": found.entropy(),
    }


def with_numpy(model, prompt):
    p = anatomy(model).unembed(stream_by_hooks(model, ids_of(model, prompt))[:, 0]).double().softmax(-1).numpy()
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(-1)
    return {"entropy": entropy, "probability": p.max(-1), "top_ids": p.argmax(-1)}


def entropy_from_the_logits(model, prompt):
    """log of the sum of the exponentials, minus the mean logit."""
    logits = logits_of(model, prompt)
    p = logits.softmax(-1)
    top = p.topk(1)
    return {
        "top_ids": top.indices.squeeze(-1),
        "probability": top.values.squeeze(-1),
        "entropy": logits.logsumexp(-1) - (p * logits).sum(-1),
    }


def cell_by_cell(model, prompt):
    parts, table = anatomy(model), {"top_ids": [], "probability": [], "entropy": []}
    for row in residual_stream(model, prompt):
        for name in table:
            table[name].append([])
        for vector in row:
            p = parts.unembed(vector).softmax(0)
            best = p.argmax()
            table["top_ids"][-1].append(best.item())
            table["probability"][-1].append(p[best].item())
            table["entropy"][-1].append(torch.special.entr(p).sum().item())
    return table


def inside_a_trace(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        stream = [parts.layers[0].input]
        for layer in parts.layers:
            stream.append(layer.output)
        scores = parts.unembed(torch.cat(stream)).log_softmax(-1).save()
    top = scores.max(dim=2)
    cross = torch.einsum("dpv,dpv->dp", scores.exp(), scores)
    return {"top_ids": top.indices, "probability": top.values.exp(), "entropy": cross.neg()}


def depth_by_depth(model, prompt):
    parts = anatomy(model)
    rows = []
    for stream in residual_stream(model, prompt):
        p = torch.nn.functional.softmax(parts.logits(parts.normalise(stream)), dim=-1)
        rows.append((p.argmax(1), p.max(1).values, torch.xlogy(p, p).sum(1) * -1))
    names = "top_ids", "probability", "entropy"
    return {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


RIGHT = [a_distribution, with_numpy, entropy_from_the_logits, cell_by_cell, inside_a_trace, depth_by_depth]
