"""Wrong answers to 4.3."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.logit_lens.own_stream import only_id, stream_of


def last_logits(model, prompt):
    return anatomy(model).unembed(stream_of(model, prompt)[:, -1])


def rank_by_sorting(logits, i):
    return torch.tensor([row.argsort(descending=True).tolist().index(i) + 1 for row in logits])


def follow_counts_from_zero(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i) - 1, "probability": logits.softmax(-1)[:, i]}


def follow_ranks_upwards(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    rank = torch.tensor([row.argsort().tolist().index(i) + 1 for row in logits])
    return {"rank": rank, "probability": logits.softmax(-1)[:, i]}


def follow_reads_argsort(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": logits.sort(descending=True).indices[:, i] + 1, "probability": logits.softmax(-1)[:, i]}


def follow_reads_argsort_from_zero(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": logits.sort(descending=True).indices[:, i], "probability": logits.softmax(-1)[:, i]}


def follow_without_norm(model, prompt, token):
    logits, i = anatomy(model).logits(stream_of(model, prompt)[:, -1]), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": logits.softmax(-1)[:, i]}


def follow_at_first_token(model, prompt, token):
    logits, i = anatomy(model).unembed(stream_of(model, prompt)[:, 0]), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": logits.softmax(-1)[:, i]}


def follow_softmax_down_the_depths(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": F.softmax(logits, dim=0)[:, i]}


WRONG = [
    Wrong("4.3", follow_counts_from_zero, "rank from zero"),
    Wrong("4.3", follow_ranks_upwards, "rank from the bottom"),
    Wrong("4.3", follow_reads_argsort, "argsort misread"),
    Wrong("4.3", follow_reads_argsort_from_zero, "argsort misread from zero"),
    Wrong("4.3", follow_without_norm, "no final norm"),
    Wrong("4.3", follow_at_first_token, "first position"),
    Wrong("4.3", follow_softmax_down_the_depths, "softmax over depths"),
]
