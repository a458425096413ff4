"""Right answers to exercise 5.1."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from course_utils.steering import concept_directions, prompt_rows
from tests.right_answers.plain_runs import hooked, ids_of, plain, stream_by_hooks


def listed(prompts):
    return [prompts] if isinstance(prompts, str) else list(prompts)


def from_the_stream(model, positive, negative, layer):
    means = []
    for side in (positive, negative):
        means.append(torch.stack([residual_stream(model, text)[layer + 1, -1] for text in listed(side)]).mean(0))
    return (means[0] - means[1]).numpy()


def one_trace_for_both(model, positive, negative, layer):
    rows = prompt_rows(model, [*listed(positive), *listed(negative)])
    n = len(listed(positive))
    with model.trace(rows):
        last = anatomy(model).layers[layer].output[:, -1].save()
    return last[:n].sum(0) / n - last[n:].sum(0) / (len(rows) - n)


def a_hook_for_each_prompt(model, positive, negative, layer):
    def last(text):
        kept = []
        with hooked(anatomy(model).layers[layer]._module, kept.append):
            plain(model, ids_of(model, text))
        return kept[0][0, -1].double()

    sides = [[last(text) for text in listed(side)] for side in (positive, negative)]
    return sum(sides[0]) / len(sides[0]) - sum(sides[1]) / len(sides[1])


def weighs_the_prompts(model, positive, negative, layer):
    plus, minus = listed(positive), listed(negative)
    weights = torch.tensor([1 / len(plus)] * len(plus) + [-1 / len(minus)] * len(minus))
    last = torch.stack([stream_by_hooks(model, ids_of(model, text))[layer + 1, 0, -1] for text in plus + minus])
    return torch.einsum("p,pw->w", weights, last)


def invokes(model, positive, negative, layer):
    """Every prompt in one trace, each in its own invoke."""
    output, kept = anatomy(model).layers[layer], []
    texts = listed(positive), listed(negative)
    with model.trace() as tracer:
        for text in texts[0] + texts[1]:
            with tracer.invoke(text):
                kept.append(output.output[0, -1].save())
    n = len(texts[0])
    return torch.stack(kept[:n]).mean(0).sub(torch.stack(kept[n:]).mean(0)).tolist()


def from_the_lessons_directions(model, positive, negative, layer):
    return concept_directions(model, positive, negative)[layer]


def a_running_mean(model, positive, negative, layer):
    direction = 0
    for sign, side in ((1, positive), (-1, negative)):
        mean = 0
        for count, text in enumerate(listed(side), start=1):
            mean = mean + (residual_stream(model, text)[layer + 1][-1] - mean) / count
        direction = direction + sign * mean
    return direction


RIGHT = [
    from_the_stream,
    one_trace_for_both,
    a_hook_for_each_prompt,
    weighs_the_prompts,
    invokes,
    from_the_lessons_directions,
    a_running_mean,
]
