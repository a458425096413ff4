"""The residual stream and a token's id as a learner gets them without the course's functions."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy


def stream_of(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0]]
        for layer in parts.layers:
            found.append(layer.output[0])
        stacked = torch.stack(found).save()
    return stacked


def only_id(model, token):
    return model.tokenizer.encode(token, add_special_tokens=False)[0]
