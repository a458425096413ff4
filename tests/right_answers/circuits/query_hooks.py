"""A head's query by plain hooks, where q_proj makes it: what the right answers to 7.3 and 7.4 share."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.right_answers.plain_runs import hooked, hooked_before, plain


def q_proj(model, layer):
    return anatomy(model).attentions[layer]._module.q_proj


def own_columns(model, head):
    width = anatomy(model).head_width
    return slice(head * width, (head + 1) * width)


def queries_read(model, ids, layer, change):
    """The queries (row, position, heads * head width) when ``change`` is added to what the layer reads."""
    kept = []
    with (
        hooked_before(anatomy(model).layers[layer]._module, lambda stream: stream + change),
        hooked(q_proj(model, layer), lambda output: kept.append(output.clone())),
    ):
        plain(model, ids)
    return kept[0]


def logits_with_query(model, ids, layer, head, read):
    """The last logits (row, vocabulary) when one head's query is that of ``read``."""
    own = own_columns(model, head)

    def put(output):
        output = output.clone()
        output[..., own] = read[..., own]
        return output

    with hooked(q_proj(model, layer), put):
        return plain(model, ids).logits[:, -1]


def difference(model, logits, answers):
    first, second = (model.tokenizer(name, add_special_tokens=False)["input_ids"][0] for name in answers)
    return torch.sub(logits[..., first], logits[..., second])
