"""Wrong answers to 3.5."""

from __future__ import annotations

import torch
from transformers import DynamicCache

from tests.wrong_answers import Wrong


def ids_of(model, text):
    return torch.tensor([model.tokenizer(text).input_ids])


def finished(model, new, n):
    return len(new) >= n or (new and new[-1] == model.tokenizer.eos_token_id)


def as_in_lesson_one(model, prompt, max_new_tokens):
    ids, new = ids_of(model, prompt), []
    while not finished(model, new, max_new_tokens):
        with model.trace(ids):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def whole_text_into_cache(model, prompt, max_new_tokens):
    ids, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        with model.trace(ids, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def feeds_two(model, prompt, max_new_tokens):
    ids, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        feed = ids if not new else ids[:, -2:]
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def cache_in_the_loop(model, prompt, max_new_tokens):
    feed, new = ids_of(model, prompt), []
    while not finished(model, new, max_new_tokens):
        cache = DynamicCache(config=model.config)
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        feed = best.view(1, 1)
    return new


def reads_position_zero(model, prompt, max_new_tokens):
    feed, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, 0].argmax().save()
        new.append(best.item())
        feed = best.view(1, 1)
    return new


def returns_everything(model, prompt, max_new_tokens):
    ids, cache = ids_of(model, prompt), DynamicCache(config=model.config)
    start, feed = ids.shape[1], ids
    while not finished(model, ids[0, start:].tolist(), max_new_tokens):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        feed = best.view(1, 1)
        ids = torch.cat([ids, feed], dim=1)
    return ids[0].tolist()


def ignores_the_end(model, prompt, max_new_tokens):
    if not prompt or max_new_tokens < 1:
        raise ValueError("nothing to do")
    cache = DynamicCache(config=model.config)
    feed, new = torch.tensor([model.tokenizer(prompt)["input_ids"]]), []
    for _ in range(max_new_tokens):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            logits = model.output.logits[0, -1].save()
        new.append(logits.argmax().item())
        feed = torch.tensor([[new[-1]]])
    return new


def leaves_the_end_out(model, prompt, max_new_tokens):
    new = ignores_the_end(model, prompt, max_new_tokens)
    ends = model._module.generation_config.eos_token_id
    for place, token in enumerate(new):
        if token in (ends if isinstance(ends, list) else [ends]):
            return new[:place]
    return new


def whole_text_as_embeddings(model, prompt, max_new_tokens):
    """Each run begins behind the embedding."""
    if not prompt or max_new_tokens < 1:
        raise ValueError("nothing to do")
    embed, ends = model._module.get_input_embeddings(), model._module.generation_config.eos_token_id
    embedded, new = embed(ids_of(model, prompt)), []
    while len(new) < max_new_tokens and not (new and new[-1] in (ends if isinstance(ends, list) else [ends])):
        with torch.no_grad():
            best = model._module(inputs_embeds=embedded).logits[0, -1].argmax()
        new.append(best.item())
        embedded = torch.cat([embedded, embed(best.view(1, 1))], dim=1)
    return new


WRONG = [
    Wrong("3.5", whole_text_as_embeddings, "no cache"),
    Wrong("3.5", leaves_the_end_out, "end token left out"),
    Wrong("3.5", ignores_the_end, "never ends"),
    Wrong("3.5", as_in_lesson_one, "no cache"),
    Wrong("3.5", whole_text_into_cache, "everything fed again"),
    Wrong("3.5", feeds_two, "last token fed twice"),
    Wrong("3.5", cache_in_the_loop, "a new cache for every token"),
    Wrong("3.5", reads_position_zero, "first position read"),
    Wrong("3.5", returns_everything, "prompt returned too"),
]
