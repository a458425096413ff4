"""Right answers to exercise 6.1."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from course_utils.tokens import next_token_probabilities, token_id
from tests.right_answers.patching.heads_by_hooks import difference
from tests.right_answers.plain_runs import ids_of, plain

NAMES = (" Mike", " Emma")


def without_a_trace(model, prompt, answers=NAMES):
    return difference(model, plain(model, ids_of(model, prompt)).logits[0, -1], answers).item()


def of_log_probabilities(model, prompt, answers=NAMES):
    """The logarithm of the softmax's sum is in both, and goes."""
    p = next_token_probabilities(model, prompt)[-1].double()
    return (p[token_id(model, answers[0])] / p[token_id(model, answers[1])]).log()


def direction_of_the_unembedding(model, prompt, answers=NAMES):
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    unembedding = parts.unembedding._module
    given = parts.normalise(residual_stream(model, prompt)[-1, -1]) @ (
        unembedding.weight[first] - unembedding.weight[second]
    )
    if unembedding.bias is not None:
        given = given + unembedding.bias[first] - unembedding.bias[second]
    return float(given)


def numpy_of_two(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    two = logits[0, -1, [model.tokenizer(name, add_special_tokens=False)["input_ids"][0] for name in answers]]
    return -np.diff(two.numpy())


def signs(model, prompt, answers=NAMES):
    ids = torch.tensor([token_id(model, name) for name in answers])
    with model.trace(prompt):
        last = model.output.logits[:, -1, ids].save()
    return torch.einsum("bt,t->b", last, torch.tensor([1.0, -1.0]))


def inside_the_trace(model, prompt, answers=NAMES):
    first, second = (token_id(model, name) for name in answers)
    with model.trace([model.tokenizer(prompt)["input_ids"]]):
        logits = model.output.logits[0][-1]
        found = (logits[first] - logits[second]).save()
    return found


RIGHT = [
    without_a_trace,
    of_log_probabilities,
    direction_of_the_unembedding,
    numpy_of_two,
    signs,
    inside_the_trace,
]
