"""Wrong answers to exercise 5.4, `steered_generate`."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.steering import steered_generate
from tests.wrong_answers import Wrong
from tests.wrong_answers.steering.hooks import hooked


def generate(model, prompt, layer, vectors, n, change):
    """transformers' generate; change(output, step) is what the layer puts out instead."""
    ids = torch.tensor([model.tokenizer(prompt)["input_ids"]] * len(vectors))
    step = [-1]

    def on_step(output):
        step[0] += 1
        return change(output, step[0])

    hook = hooked(model, layer, on_step)
    try:
        out = model._module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False)
    finally:
        hook.remove()
    return model.tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)


def writes_once(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    place = anatomy(model).layers[layer]
    ids = model.tokenizer(prompt)["input_ids"]
    with model.generate([ids] * len(vectors), max_new_tokens=max_new_tokens, do_sample=False) as tracer:
        place.output = place.output + vectors[:, None]
        out = tracer.result.save()
    return model.tokenizer.batch_decode(out[:, len(ids) :], skip_special_tokens=True)


def always_everywhere(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(model, prompt, layer, vectors, max_new_tokens, lambda output, step: output + vectors[:, None])


def steers_new_tokens(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output + vectors[:, None] if step and not prompt_only else output,
    )  # fmt: skip


def steers_last_position(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    def change(output, step):
        if step == 0 or not prompt_only:
            output = output.clone()
            output[:, -1] += vectors
        return output

    return generate(model, prompt, layer, vectors, max_new_tokens, change)


def uses_first_vector(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output if step and prompt_only else output + vectors[0],
    )  # fmt: skip


def decodes_everything(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    texts = generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output if step and prompt_only else output + vectors[:, None],
    )  # fmt: skip
    return [prompt + text for text in texts]


def gives_one_text(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only)[0]


def forgets_kwargs(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    return steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only)


def with_nnsight(model, prompt, layer, vectors, steps, **kwargs):
    place = anatomy(model).layers[layer]
    ids = model.tokenizer(prompt)["input_ids"]
    with model.generate([ids] * len(vectors), **kwargs) as tracer:
        for _ in tracer.iter[:steps]:
            place.output = place.output + vectors[:, None]
        out = tracer.result.save()
    return model.tokenizer.batch_decode(out[:, len(ids) :], skip_special_tokens=True)


def names_do_sample_twice(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    steps = 1 if prompt_only else max_new_tokens
    return with_nnsight(model, prompt, layer, vectors, steps, max_new_tokens=max_new_tokens, do_sample=False, **kwargs)


def leaves_sampling_to_the_model(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    steps = 1 if prompt_only else max_new_tokens
    return with_nnsight(model, prompt, layer, vectors, steps, max_new_tokens=max_new_tokens, **kwargs)


def reckons_with_every_step(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    """A text that ends early has fewer steps, and nnsight leaves out what stands behind the loop."""
    steps, how = 1 if prompt_only else max_new_tokens, {"do_sample": False, **kwargs}
    return with_nnsight(model, prompt, layer, vectors, steps, max_new_tokens=max_new_tokens, **how)


WRONG = [
    Wrong("5.4", forgets_kwargs, "kwargs dropped"),
    Wrong("5.4", writes_once, "added only at the prompt"),
    Wrong("5.4", always_everywhere, "flag ignored"),
    Wrong("5.4", steers_new_tokens, "added only at new tokens"),
    Wrong("5.4", steers_last_position, "last position only"),
    Wrong("5.4", uses_first_vector, "one vector for all rows"),
    Wrong("5.4", decodes_everything, "prompt in front"),
    Wrong("5.4", gives_one_text, says="list"),
    Wrong("5.4", names_do_sample_twice, says="do_sample"),
    Wrong("5.4", leaves_sampling_to_the_model, says="samples unless it is told not to"),
    Wrong("5.4", reckons_with_every_step, says="'out'"),
]
