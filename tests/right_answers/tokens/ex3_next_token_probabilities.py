"""Right answers to exercise 1.3."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.right_answers.plain_runs import hooked, ids_of, plain, stream_by_hooks


def without_a_trace(model, text):
    return plain(model, ids_of(model, text)).logits.softmax(-1).squeeze(0)


def by_hand(model, text):
    with model.trace(text):
        scores = model.output.logits[0].exp().save()
    return scores / scores.sum(-1, keepdim=True)


def an_array_in_double_precision(model, text):
    return plain(model, ids_of(model, text)).logits[0].double().softmax(-1).numpy()


def from_the_unembedding(model, text):
    kept = []
    with hooked(model._module.get_output_embeddings(), lambda logits: kept.append(logits)):
        plain(model, ids_of(model, text))
    return torch.log_softmax(kept[0][0], dim=-1).exp()


def from_the_last_layer(model, text):
    return torch.softmax(anatomy(model).unembed(stream_by_hooks(model, ids_of(model, text))[-1, 0]), dim=1)


def a_run_for_each_position(model, text):
    ids = ids_of(model, text)
    return [plain(model, ids[:, : n + 1]).logits[0, -1].softmax(0) for n in range(ids.shape[1])]


def yields_rows(model, text):
    with model.trace([model.tokenizer(text)["input_ids"]]):
        logits = model.output.logits[0].save()
    yield from torch.nn.Softmax(dim=-1)(logits)


RIGHT = [
    without_a_trace,
    by_hand,
    an_array_in_double_precision,
    from_the_unembedding,
    from_the_last_layer,
    a_run_for_each_position,
    yields_rows,
]
