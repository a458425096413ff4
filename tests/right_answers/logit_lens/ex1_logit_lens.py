"""Right answers to exercise 4.1."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from tests.right_answers.plain_runs import hooked, ids_of, plain, stream_by_hooks


def hooks_and_numpy(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    stream = stream_by_hooks(model, ids_of(model, prompt))[:, 0, -1]
    entries = []
    for row in parts.logits(parts.normalise(stream) if normalize else stream).numpy():
        ids = np.argsort(-row, kind="stable")[:top_k]
        texts = model.tokenizer.batch_decode(ids[:, None])
        entries.append({"top_token_logits": row[ids].tolist(), "top_tokens": tuple(texts)})
    return tuple(entries)


def yields_entries(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    for vector in residual_stream(model, prompt)[:, -1]:
        scores, ids = parts.logits(parts.normalise(vector) if normalize else vector).topk(top_k)
        yield {"top_tokens": [model.tokenizer.decode(i) for i in ids], "top_token_logits": scores}


def output_hidden_states(model, prompt, top_k=5, normalize=True):
    """The last of them has been through the norm; without it, the last layer's own output is needed."""
    parts, last = anatomy(model), []
    with hooked(parts.layers[-1]._module, last.append):
        states = plain(model, ids_of(model, prompt), output_hidden_states=True).hidden_states
    entries = []
    for depth, state in enumerate(states):
        state = last[0] if depth == parts.n_layers and not normalize else state
        normed = parts.normalise(state[0, -1]) if normalize and depth < parts.n_layers else state[0, -1]
        top = parts.logits(normed).topk(top_k)
        texts = [model.tokenizer.decode([i]) for i in top.indices.tolist()]
        entries.append({"top_tokens": texts, "top_token_logits": top.values.double().numpy()})
    return entries


def reads_inside_the_trace(model, prompt, top_k=5, normalize=True):
    parts, kept = anatomy(model), []
    read = parts.unembed if normalize else parts.logits
    with model.trace(prompt):
        stream = [parts.layers[0].input[0, -1]]
        for layer in parts.layers:
            stream.append(layer.output[0, -1])
        for vector in stream:
            kept.append(read(vector).save())
    tops = [logits.sort(descending=True) for logits in kept]
    return [
        {
            "top_tokens": [model.tokenizer.decode([i]) for i in top.indices[:top_k]],
            "top_token_logits": [float(score) for score in top.values[:top_k]],
        }
        for top in tops
    ]


def takes_the_largest_away(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    stream = residual_stream(model, prompt)[:, -1]
    entries = []
    for vector in stream:
        logits = parts.logits(parts.normalise(vector) if normalize else vector).clone()
        texts, scores = [], torch.zeros(top_k)
        for rank in range(top_k):
            best = int(logits.argmax())
            texts.append(model.tokenizer.decode([best]))
            scores[rank] = logits[best]
            logits[best] = -torch.inf
        entries.append({"top_tokens": texts, "top_token_logits": scores})
    return entries


def all_depths_in_one_product(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    stream = residual_stream(model, prompt).select(1, -1)
    normed = parts.normalise(stream) if normalize else stream
    scores, ids = torch.topk(parts.logits(normed), top_k, dim=-1)
    texts = [list(map(model.tokenizer.decode, row)) for row in ids.tolist()]
    return [{"top_tokens": own, "top_token_logits": row} for own, row in zip(texts, scores.unbind(), strict=True)]


RIGHT = [
    hooks_and_numpy,
    yields_entries,
    output_hidden_states,
    reads_inside_the_trace,
    takes_the_largest_away,
    all_depths_in_one_product,
]
