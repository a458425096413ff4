"""Wrong answers to exercise 2.2."""

from __future__ import annotations

import torch.nn.functional as F

from course_utils.model.prompts import token_ids
from course_utils.residual import residual_stream
from tests.wrong_answers import Wrong


def change_in_length(model, prompt, changed):
    a = residual_stream(model, prompt).norm(dim=-1)
    b = residual_stream(model, changed).norm(dim=-1)
    return (b - a).abs() / a


def change_absolute(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return ((a - b) ** 2).sum(-1).sqrt()


def change_relative_to_changed(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return (a - b).norm(dim=-1) / b.norm(dim=-1)


def change_by_cosine(model, prompt, changed):
    return 1 - F.cosine_similarity(residual_stream(model, prompt), residual_stream(model, changed), dim=-1)


def change_without_root(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return ((a - b) ** 2).sum(-1) / (a**2).sum(-1)


def change_over_positions(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return (a - b).norm(dim=1) / a.norm(dim=1)


def trusts_the_lengths(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return (b - a).norm(dim=-1) / a.norm(dim=-1)


def longer_or_shorter(model, prompt, changed):
    if len(token_ids(model, prompt)) != len(token_ids(model, changed)):
        raise ValueError("not equally long")
    before, after = (residual_stream(model, text).norm(dim=-1) for text in (prompt, changed))
    return (after - before) / before


def one_length_for_each_number(model, prompt, changed):
    if len(token_ids(model, prompt)) != len(token_ids(model, changed)):
        raise ValueError("not equally long")
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return (after - before).norm(dim=-2) / before.norm(dim=-2)


WRONG = [
    Wrong("2.2", one_length_for_each_number, "norm over the positions"),
    Wrong("2.2", longer_or_shorter, "difference of norms, with its sign"),
    Wrong("2.2", trusts_the_lengths, says="promises a ValueError for these inputs; yours raises nothing"),
    Wrong("2.2", change_in_length, "difference of norms"),
    Wrong("2.2", change_absolute, "not relative"),
    Wrong("2.2", change_relative_to_changed, "relative to the changed prompt"),
    Wrong("2.2", change_by_cosine, "cosine distance"),
    Wrong("2.2", change_without_root, "squared"),
    Wrong("2.2", change_over_positions, "norm over the positions"),
]
