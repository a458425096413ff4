"""Wrong answers to 4.4."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.wrong_answers import Wrong


def pointwise(log_probs):
    return F.kl_div(log_probs, log_probs[-1].expand_as(log_probs), log_target=True, reduction="none")


def kl_reversed(log_probs):
    return F.kl_div(log_probs[-1].expand_as(log_probs), log_probs, log_target=True, reduction="none").sum(-1)


def kl_bits(log_probs):
    return pointwise(log_probs).sum(-1) / torch.tensor(2.0).log()


def kl_mean_over_vocabulary(log_probs):
    return pointwise(log_probs).mean(-1)


def kl_sum_of_differences(log_probs):
    return torch.stack([(log_probs[-1] - depth).sum(-1) for depth in log_probs])


def kl_wrong_sign(log_probs):
    p = log_probs[-1].exp()
    return torch.stack([(p * (depth - log_probs[-1])).sum(-1) for depth in log_probs])


def kl_step_by_step(log_probs):
    steps = [(after.exp() * (after - before)).sum(-1) for before, after in zip(log_probs, log_probs[1:])]
    return torch.stack([*steps, torch.zeros_like(steps[0])])


def kl_is_cross_entropy(log_probs):
    return -torch.einsum("pv,dpv->dp", log_probs[-1].exp(), log_probs)


def kl_over_positions(log_probs):
    return pointwise(log_probs).sum(1)


def kl_adds_a_little(log_probs):
    p = log_probs.exp()
    return (p[-1] * torch.log((p[-1] + 1e-9) / (p + 1e-9))).sum(-1)


def kl_clamped(log_probs):
    p = log_probs.exp().clamp_min(1e-12)
    return (p[-1] * (p[-1].log() - p.log())).sum(-1)


WRONG = [
    Wrong("4.4", kl_reversed, "the other way round"),
    Wrong("4.4", kl_bits, "bits"),
    Wrong("4.4", kl_mean_over_vocabulary, "mean over the vocabulary"),
    Wrong("4.4", kl_sum_of_differences, "not weighted"),
    Wrong("4.4", kl_wrong_sign, "sign"),
    Wrong("4.4", kl_step_by_step, "from the next depth"),
    Wrong("4.4", kl_is_cross_entropy, "cross-entropy"),
    Wrong("4.4", kl_over_positions, says="(depth, position)"),
    Wrong("4.4", kl_adds_a_little, says="log_probs are logarithms already"),
    Wrong("4.4", kl_clamped, says="log_probs are logarithms already"),
]
