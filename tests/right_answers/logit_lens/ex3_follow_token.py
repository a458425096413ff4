"""Right answers to exercise 4.3."""

from __future__ import annotations

import torch

from course_utils.logit_lens import lens_chunks
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream
from tests.right_answers.plain_runs import ids_of, stream_by_hooks


def sorts_twice(model, prompt, token):
    logits = anatomy(model).unembed(stream_by_hooks(model, ids_of(model, prompt))[:, 0, -1])
    wanted = token_id(model, token)
    rank = logits.argsort(-1, descending=True).argsort(-1)[:, wanted].numpy() + 1
    return {"probability": [row.softmax(0)[wanted].item() for row in logits], "rank": rank}


def counts_with_numpy(model, prompt, token):
    p = anatomy(model).unembed(residual_stream(model, prompt)[:, -1]).double().softmax(-1).numpy()
    wanted = token_id(model, token)
    return {"rank": [int((row > row[wanted]).sum()) + 1 for row in p], "probability": p[:, wanted]}


def finds_it_in_the_order(model, prompt, token):
    wanted = token_id(model, token)
    logits = anatomy(model).unembed(residual_stream(model, prompt))[:, -1]
    order = logits.sort(dim=-1, descending=True, stable=True).indices
    return {"rank": (order == wanted).nonzero()[:, 1] + 1, "probability": logits.log_softmax(1)[:, wanted].exp()}


def from_the_lessons_chunks(model, prompt, token):
    normed = anatomy(model).normalise(residual_stream(model, prompt)[:, -1:])
    wanted = model.tokenizer(token, add_special_tokens=False)["input_ids"][0]
    rows = torch.cat(list(lens_chunks(model, normed)), dim=1)[:, 0]
    return {"rank": rows.gt(rows[:, wanted, None]).count_nonzero(-1) + 1, "probability": rows[:, wanted].exp()}


def counts_those_not_above(model, prompt, token):
    parts, wanted = anatomy(model), token_id(model, token)
    logits = parts.unembed(residual_stream(model, prompt)[:, -1])
    own = logits.gather(1, torch.full((len(logits), 1), wanted))
    rank = parts.vocabulary - (logits <= own).sum(1) + 1
    return {"rank": rank, "probability": 1 / (logits - own).exp().sum(1)}


def depth_by_depth(model, prompt, token):
    parts, wanted = anatomy(model), token_id(model, token)
    found = {"rank": [], "probability": []}
    with model.trace(prompt):
        stream = [parts.layers[0].input[:, -1]]
        for layer in parts.layers:
            stream.append(layer.output[:, -1])
        stream = torch.stack(stream).save()
    for vector in stream:
        p = parts.unembed(vector)[0].softmax(-1)
        found["rank"].append(1 + sum(p > p[wanted]))
        found["probability"].append(p[wanted])
    return found


RIGHT = [
    sorts_twice,
    counts_with_numpy,
    finds_it_in_the_order,
    from_the_lessons_chunks,
    counts_those_not_above,
    depth_by_depth,
]
