"""Right answers to exercise 1.6."""

from __future__ import annotations

import numpy as np
import torch

from tests.right_answers.plain_runs import ids_of, plain


def without_a_trace(model, prompt, n_tokens=8):
    ids = ids_of(model, prompt)
    start = ids.shape[1]
    while ids.shape[1] < start + n_tokens:
        ids = torch.cat([ids, plain(model, ids).logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, start:]


def with_a_cache(model, prompt, n_tokens=8):
    feed, cache, new = ids_of(model, prompt), None, []
    for _ in range(n_tokens):
        run = plain(model, feed, past_key_values=cache, use_cache=True)
        feed, cache = run.logits[:, -1:].argmax(-1), run.past_key_values
        new.append(feed.item())
    return new


def by_recursion(model, prompt, n_tokens=8):
    def more(ids, n):
        if n == 0:
            return []
        with model.trace([ids]):
            best = model.output.logits[0, -1].argmax().save()
        return [int(best), *more([*ids, int(best)], n - 1)]

    return more(model.tokenizer(prompt)["input_ids"], n_tokens)


def yields_them(model, prompt, n_tokens=8):
    ids = model.tokenizer(prompt)["input_ids"]
    for _ in range(n_tokens):
        with model.trace([ids]):
            logits = model.output.logits[0, -1].save()
        ids = [*ids, logits.topk(1).indices.item()]
        yield ids[-1]


def an_array(model, prompt, n_tokens=8):
    ids = np.array(model.tokenizer(prompt)["input_ids"])
    for _ in range(n_tokens):
        ids = np.append(ids, plain(model, torch.from_numpy(ids)[None]).logits[0, -1].numpy().argmax())
    return ids[-n_tokens:]


def numbers_without_axes(model, prompt, n_tokens=8):
    ids = list(ids_of(model, prompt)[0])
    n = len(ids)
    for _ in range(n_tokens):
        probabilities = plain(model, torch.stack(ids)[None]).logits[0, -1].softmax(-1)
        ids.append(probabilities.argmax())
    return ids[n:]


def transformers_generate(model, prompt, n_tokens=8):
    """It stops at no token: that is not what was asked for."""
    ids = ids_of(model, prompt)
    how = {"max_new_tokens": n_tokens, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    own = model._module.generation_config
    kept, own.eos_token_id = own.eos_token_id, None
    try:
        return model._module.generate(ids, **how)[0][len(ids[0]) :].tolist()
    finally:
        own.eos_token_id = kept


RIGHT = [
    without_a_trace,
    with_a_cache,
    by_recursion,
    yields_them,
    an_array,
    numbers_without_axes,
    transformers_generate,
]
