"""What the right answers of lesson 6 do with heads by plain hooks on the output projections."""

from __future__ import annotations

import contextlib

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from tests.right_answers.plain_runs import hooked_before, ids_of, plain


def difference(model, logits, answers):
    """Of logits (..., vocabulary), (...)."""
    first, second = (token_id(model, answer) for answer in answers)
    return logits[..., first] - logits[..., second]


def projection(model, layer):
    return anatomy(model).out_projections[layer]._module


def joined_heads(model, prompt):
    """(layer, position, heads * head width)."""
    kept = []
    with contextlib.ExitStack() as stack:
        for layer in range(anatomy(model).n_layers):
            stack.enter_context(hooked_before(projection(model, layer), lambda joined: kept.append(joined.clone())))
        plain(model, ids_of(model, prompt))
    return torch.cat(kept)


def columns(model, head):
    """Where in the joined heads one of them lies."""
    width = anatomy(model).head_width
    return slice(head * width, (head + 1) * width)


def run_with(model, prompt, changes, rows=1):
    """The last position's logits (row, vocabulary), with ``changes``, by layer a function of the joined heads."""
    with contextlib.ExitStack() as stack:
        for layer, change in changes.items():
            stack.enter_context(hooked_before(projection(model, layer), change))
        return plain(model, ids_of(model, prompt).repeat(rows, 1)).logits[:, -1]
