"""Wrong answers to 4.2."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong
from tests.wrong_answers.logit_lens.own_stream import stream_of


def entropy_of(p, log=torch.log):
    return -(p * log(p.clamp_min(1e-30))).sum(-1)


def table_without_norm(model, prompt):
    p = anatomy(model).logits(stream_of(model, prompt)).softmax(-1)
    best = p.max(-1)
    return {"top_ids": best.indices, "probability": best.values, "entropy": entropy_of(p)}


def table_over(model, prompt, dim):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(dim)
    best = p.max(-1)
    return {"top_ids": best.indices, "probability": best.values, "entropy": entropy_of(p)}


def table_softmax_over_positions(model, prompt):
    return table_over(model, prompt, 1)


def table_softmax_over_depths(model, prompt):
    return table_over(model, prompt, 0)


def table_entropy_in_bits(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": entropy_of(p, torch.log2)}


def table_entropy_negative(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": (p * p.clamp_min(1e-30).log()).sum(-1)}


def table_with_logits(model, prompt):
    return {**table_over(model, prompt, -1), "probability": anatomy(model).unembed(stream_of(model, prompt)).amax(-1)}


def table_of_final_answer(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    answers = p[-1].argmax(-1)
    columns = [p[:, position, answer] for position, answer in enumerate(answers)]
    return {**table_over(model, prompt, -1), "probability": torch.stack(columns, 1)}


def table_turned(model, prompt):
    return {name: values.T for name, values in table_over(model, prompt, -1).items()}


def table_adds_a_little(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": -(p * torch.log(p + 1e-4)).sum(-1)}


def table_of_a_bare_logarithm(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": -(p * p.log()).sum(-1)}


WRONG = [
    Wrong("4.2", table_without_norm, "no final norm"),
    Wrong("4.2", table_softmax_over_positions, "softmax over positions"),
    Wrong("4.2", table_softmax_over_depths, "softmax over depths"),
    Wrong("4.2", table_entropy_in_bits, "entropy in bits"),
    Wrong("4.2", table_entropy_negative, "entropy negative"),
    Wrong("4.2", table_with_logits, "logit for probability"),
    Wrong("4.2", table_of_final_answer, "the last depth's answer"),
    Wrong("4.2", table_turned, says="(depth, position)"),
    Wrong("4.2", table_adds_a_little, says="log_softmax needs no such number"),
    Wrong("4.2", table_of_a_bare_logarithm, says="0 * -inf is not a number"),
]
