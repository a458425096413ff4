"""Right answers to exercise 3.5."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.kv_cache import encode, end_tokens, new_cache
from tests.right_answers.plain_runs import plain


def refuse(max_new_tokens):
    if max_new_tokens < 1:
        raise ValueError("No token is asked for.")


def without_a_trace(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    cache, feed, new = new_cache(model), encode(model, prompt), []
    for _ in range(max_new_tokens):
        feed = plain(model, feed, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
        new.append(feed.item())
        if new[-1] in end_tokens(model):
            break
    return new


def transformers_generate(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    ids = encode(model, prompt)
    how = {"attention_mask": torch.ones_like(ids), "max_new_tokens": max_new_tokens, "do_sample": False}
    return model._module.generate(ids, **how)[0, ids.shape[1] :]


def nnsight_generate(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    ids = encode(model, prompt)
    with model.generate(ids, max_new_tokens=max_new_tokens, do_sample=False) as tracer:
        written = tracer.result.save()
    return tuple(written[0, ids.shape[1] :].tolist())


def the_cache_that_comes_back(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    feed, cache, new = encode(model, prompt), None, ()
    while len(new) < max_new_tokens:
        with torch.inference_mode():
            run = model._module(feed, past_key_values=cache, use_cache=True)
        cache, feed = run.past_key_values, run.logits[:, -1:].argmax(-1)
        new += (feed[0, 0],)
        if int(feed) in end_tokens(model):
            return new
    return new


def by_recursion(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    cache = new_cache(model)

    def more(feed, n):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        over = n == 1 or int(best) in end_tokens(model)
        return [int(best)] if over else [int(best), *more(best.reshape(1, 1), n - 1)]

    return more(encode(model, prompt), max_new_tokens)


def an_array(model, prompt, max_new_tokens):
    refuse(max_new_tokens)
    cache, feed = new_cache(model), encode(model, prompt)
    new = np.zeros(max_new_tokens, dtype=np.int64)
    for place in range(max_new_tokens):
        new[place] = plain(model, feed, past_key_values=cache).logits[0, -1].numpy().argmax()
        feed = torch.from_numpy(new[place : place + 1])[None]
        if new[place] in end_tokens(model):
            return new[: place + 1]
    return new


RIGHT = [
    without_a_trace,
    transformers_generate,
    nnsight_generate,
    the_cache_that_comes_back,
    by_recursion,
    an_array,
]
