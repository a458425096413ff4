"""Right answers to exercise 6.7."""

from __future__ import annotations

import nnsight
import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.residual import attention_patterns
from tests.right_answers.plain_runs import ids_of, plain


def output_attentions(model, prompt, positions):
    attentions = plain(model, ids_of(model, prompt), output_attentions=True).attentions
    return torch.cat(attentions)[:, :, -1, list(positions)]


def from_all_patterns(model, prompt, positions):
    return attention_patterns(model, token_ids(model, prompt))[..., -1, :].index_select(-1, torch.tensor(positions))


def an_array(model, prompt, positions):
    patterns = attention_patterns(model, token_ids(model, prompt)).double().numpy()
    return np.take(patterns[:, :, -1], positions, axis=-1)


def picks_with_ones(model, prompt, positions):
    rows = torch.cat(plain(model, ids_of(model, prompt), output_attentions=True).attentions)[:, :, -1]
    ones = torch.nn.functional.one_hot(torch.tensor(positions), rows.shape[-1]).float()
    return torch.einsum("lhk,pk->lhp", rows, ones)


def whole_patterns_saved(model, prompt, positions):
    parts = anatomy(model)
    with model.trace(prompt):
        patterns = nnsight.save([parts.pattern(layer)[0] for layer in range(parts.n_layers)])
    return [[[head[-1, place].item() for place in positions] for head in pattern] for pattern in patterns]


def position_by_position(model, prompt, positions):
    rows = attention_patterns(model, token_ids(model, prompt))[:, :, -1]
    return torch.stack([rows[:, :, place] for place in positions], dim=2)


def yields_layers(model, prompt, positions):
    parts = anatomy(model)
    for layer in range(parts.n_layers):
        with model.trace(prompt):
            pattern = parts.pattern(layer).save()
        yield pattern[0, :, -1][:, torch.as_tensor(positions)]


RIGHT = [
    output_attentions,
    from_all_patterns,
    an_array,
    picks_with_ones,
    whole_patterns_saved,
    position_by_position,
    yields_layers,
]
