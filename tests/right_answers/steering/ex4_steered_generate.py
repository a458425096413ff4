"""Right answers to exercise 5.4."""

from __future__ import annotations

import warnings

import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from tests.right_answers.plain_runs import hooked, ids_of


def generated(model, ids, **how):
    """The new ids (row, position)."""
    with torch.no_grad():
        how = {"do_sample": False, "attention_mask": torch.ones_like(ids), **how}
        return model._module.generate(ids, **how)[:, ids.shape[1] :]


def counts_the_passes(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    passes = 0

    def add(output):
        nonlocal passes
        passes += 1
        return None if prompt_only and passes > 1 else output + vectors[:, None]

    with hooked(anatomy(model).layers[layer]._module, add):
        new = generated(model, ids_of(model, prompt).repeat(len(vectors), 1), max_new_tokens=max_new_tokens, **kwargs)
    return tuple(model.tokenizer.decode(row, skip_special_tokens=True) for row in new)


def a_run_for_each_row(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    ids, texts = ids_of(model, prompt), []
    for vector in vectors:

        def add(output, vector=vector):
            return None if prompt_only and output.shape[1] != ids.shape[1] else output + vector

        with hooked(anatomy(model).layers[layer]._module, add):
            new = generated(model, ids, max_new_tokens=max_new_tokens, **kwargs)
        texts.append(model.tokenizer.decode(new[0], skip_special_tokens=True))
    return texts


def yields_texts(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    for vector in vectors:
        yield from a_run_for_each_row(model, prompt, layer, vector[None], max_new_tokens, prompt_only, **kwargs)


def changes_the_prompt_in_place(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    first = True

    def add(output):
        nonlocal first
        if first or not prompt_only:
            for row, vector in enumerate(vectors):
                output[row] += vector
        first = False

    with hooked(anatomy(model).layers[layer]._module, add):
        new = generated(model, ids_of(model, prompt).tile(len(vectors), 1), max_new_tokens=max_new_tokens, **kwargs)
    return model.tokenizer.batch_decode(new.tolist(), skip_special_tokens=True)


def nnsight_row_by_row(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    steered, ids, texts = anatomy(model).layers[layer], token_ids(model, prompt), []
    kwargs.setdefault("do_sample", False)
    for vector in vectors.unbind():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with model.generate(max_new_tokens=max_new_tokens, **kwargs) as tracer:
                with tracer.invoke([ids]):
                    for _ in tracer.iter[: 1 if prompt_only else None]:
                        steered.output[:] = steered.output + vector
                with tracer.invoke():
                    written = tracer.result.save()
        texts.append(model.tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True))
    return texts


def a_module_in_place_of_the_layer(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False, **kwargs):
    """The layer's forward is another while it writes, and put back."""
    module, ids = anatomy(model).layers[layer]._module, ids_of(model, prompt)
    own = module.forward

    def forward(stream, *args, **others):
        output = own(stream, *args, **others)
        steered = stream.shape[1] == ids.shape[1] or not prompt_only
        return output + vectors.unsqueeze(1) if steered else output

    module.forward = forward
    try:
        new = generated(model, ids.expand(len(vectors), -1), max_new_tokens=max_new_tokens, **kwargs)
    finally:
        module.forward = own
    return [model.tokenizer.decode(row.tolist(), skip_special_tokens=True) for row in new]


RIGHT = [
    counts_the_passes,
    a_run_for_each_row,
    yields_texts,
    changes_the_prompt_in_place,
    nnsight_row_by_row,
    a_module_in_place_of_the_layer,
]
