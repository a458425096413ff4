"""Right answers to exercise 7.2."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.circuits import sent
from course_utils.model.anatomy import anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream
from course_utils.sweeps import direct_effects
from tests.wrong_answers.patching.answers import NAMES


def frozen(model, corrupted):
    return frozen_norm(model, residual_stream(model, corrupted)[-1, -1])


def direction(model, answers):
    weight = anatomy(model).unembedding.weight
    return weight[token_id(model, answers[0])] - weight[token_id(model, answers[1])]


def by_the_hints(model, clean, corrupted, layer, head, answers=NAMES):
    change = frozen(model, corrupted)(sent(model, clean, corrupted, layer, head)[-1])
    return float(change @ direction(model, answers)) * anatomy(model).logit_scale


def gives_a_tensor(model, clean, corrupted, layer, head, answers=NAMES):
    change = frozen(model, corrupted)(sent(model, clean, corrupted, layer, head))[-1]
    return change @ direction(model, answers) * anatomy(model).logit_scale


def with_numpy(model, clean, corrupted, layer, head, answers=NAMES):
    change = frozen(model, corrupted)(sent(model, clean, corrupted, layer, head)[-1]).detach().numpy()
    return np.float32(change @ direction(model, answers).detach().numpy() * anatomy(model).logit_scale)


def with_the_unembedding(model, clean, corrupted, layer, head, answers=NAMES):
    parts = anatomy(model)
    change = frozen(model, corrupted)(sent(model, clean, corrupted, layer, head)[-1])
    logits = parts.unembedding(torch.stack([change, torch.zeros_like(change)])) * parts.logit_scale
    moved = logits[0] - logits[1]
    return moved[token_id(model, answers[0])] - moved[token_id(model, answers[1])]


def one_answer_after_the_other(model, clean, corrupted, layer, head, answers=NAMES):
    parts = anatomy(model)
    change = frozen(model, corrupted)(sent(model, clean, corrupted, layer, head)[-1])
    first, second = (float(change @ parts.unembedding.weight[token_id(model, one)]) for one in answers)
    return (first - second) * parts.logit_scale


def from_the_sweep(model, clean, corrupted, layer, head, answers=NAMES):
    return direct_effects(model, clean, corrupted, answers).heads[layer, head].item()


RIGHT = [
    by_the_hints,
    gives_a_tensor,
    with_numpy,
    with_the_unembedding,
    one_answer_after_the_other,
    from_the_sweep,
]
