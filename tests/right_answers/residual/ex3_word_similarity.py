"""Right answers to exercise 2.3."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id, token_ids
from course_utils.residual import residual_stream, word_position
from tests.right_answers.plain_runs import ids_of, stream_by_hooks


def vectors(model, first, second, word):
    """The word's vectors (depth, width) in both prompts."""
    return [residual_stream(model, text)[:, word_position(model, text, word)] for text in (first, second)]


def dot_of_unit_vectors(model, first, second, word):
    a, b = (v / v.norm(dim=-1, keepdim=True) for v in vectors(model, first, second, word))
    return (a * b).sum(-1)


def einsum_in_double_precision(model, first, second, word):
    a, b = (v.double() for v in vectors(model, first, second, word))
    return torch.einsum("dw,dw->d", a, b) / (a.norm(dim=1) * b.norm(dim=1))


def with_numpy(model, first, second, word):
    a, b = (v.numpy() for v in vectors(model, first, second, word))
    return np.diagonal(a @ b.T) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def law_of_cosines(model, first, second, word):
    a, b = (v.double() for v in vectors(model, first, second, word))
    return (a.square().sum(-1) + b.square().sum(-1) - (a - b).square().sum(-1)) / (2 * a.norm(dim=-1) * b.norm(dim=-1))


def finds_the_place_with_hooks(model, first, second, word):
    rows = []
    for text in (first, second):
        ids = ids_of(model, text)
        rows.append(stream_by_hooks(model, ids)[:, 0, int((ids[0] == token_id(model, word)).nonzero())])
    return torch.nn.CosineSimilarity(dim=1)(*rows)


def depth_by_depth(model, first, second, word):
    return [torch.cosine_similarity(a, b, dim=0).item() for a, b in zip(*vectors(model, first, second, word))]


def one_depth_at_a_time(model, first, second, word):
    parts, wanted = anatomy(model), token_id(model, word)
    places = [token_ids(model, text).index(wanted) for text in (first, second)]
    for layer in range(-1, parts.n_layers):
        pair = []
        for text, place in zip((first, second), places, strict=True):
            with model.trace(text):
                value = (parts.layers[0].input if layer < 0 else parts.layers[layer].output)[0, place].save()
            pair.append(value)
        yield torch.nn.functional.normalize(torch.stack(pair)).prod(0).sum()


RIGHT = [
    dot_of_unit_vectors,
    einsum_in_double_precision,
    with_numpy,
    law_of_cosines,
    finds_the_place_with_hooks,
    depth_by_depth,
    one_depth_at_a_time,
]
