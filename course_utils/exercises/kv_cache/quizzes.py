"""Lesson 3's questions with answers to choose from."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.kv_cache import cache_bytes, causal_mask, encode, filled_cache, greedy_with_cache, new_cache
from course_utils.model.anatomy import anatomy

EIFFEL = "The Eiffel Tower is in the city of"


def _keys_stay(model: Any) -> tuple[bool, str]:
    before, after = (filled_cache(model, text) for text in (EIFFEL, EIFFEL + " Paris"))
    n = before.get_seq_length()
    gap = max(
        float((new.keys[:, :, :n] - old.keys).abs().max()) for new, old in zip(after.layers, before.layers, strict=True)
    )
    return gap < 1e-2, f"with a word more, no key of the first {n} tokens moves by more than 0.01: {gap < 1e-2}."


def _same_text(model: Any) -> tuple[bool, str]:
    ids = encode(model, EIFFEL)
    plain = model._module.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, use_cache=False
    )[0, ids.shape[1] :].tolist()
    same = greedy_with_cache(model, EIFFEL, 8) == plain
    return same, f"eight tokens with and without a cache are the same: {same}."


def _size(model: Any) -> tuple[bool, str]:
    parts = anatomy(model)
    one, two = (cache_bytes(parts, n) for n in (1000, 2000))
    return two == 2 * one, f"1,000 tokens take {one / 2**20:.0f} MiB, 2,000 take {two / 2**20:.0f}."


def _grouped(model: Any) -> tuple[bool, str]:
    parts = anatomy(model)
    keys = filled_cache(model, EIFFEL).layers[0].keys.shape[1]
    return keys < parts.n_heads, f"a layer has {parts.n_heads} heads of queries and keeps {keys} of keys."


def _chunk(model: Any) -> tuple[bool, str]:
    seen = causal_mask(3, 4).sum(-1).tolist()
    return seen == [5, 6, 7], f"of 7 keys the three new tokens may see {seen[0]}, {seen[1]} and {seen[2]}."


def _grows(model: Any) -> tuple[bool, str]:
    cache = new_cache(model)
    with torch.no_grad():
        sizes = []
        for _ in range(2):
            model._module(encode(model, EIFFEL), past_key_values=cache, use_cache=True)
            sizes.append(cache.get_seq_length())
    return sizes[1] == 2 * sizes[0], f"fed twice, the cache holds {sizes[1]} positions in place of {sizes[0]}."


QUIZZES = (
    Quiz("3.a", "Why can keys and values be kept, while the text grows?", (
        Option("they change so little that it does not matter", "They do not change at all, up to rounding: no token "
               "sees what comes after it.", tries=_keys_stay),
        Option("no token sees what comes after it", "So nothing that was computed for it can change.", right=True,
               tries=_keys_stay),
        Option("the model was trained with a cache", "In training all positions are computed at once, without one. "
               "That it works follows from the mask."),
    )),
    Quiz("3.b", "What does a cache change in the text that is written?", (
        Option("it is a little worse, since old values are used", "They are not old: they are what would be computed "
               "again.", tries=_same_text),
        Option("nothing, up to rounding", "It saves work and changes no result.", right=True, tries=_same_text),
        Option("it is better, since the model remembers", "The model sees the same text with and without. The cache is "
               "no memory beyond it.", tries=_same_text),
    )),
    Quiz("3.c", "Three new tokens come behind four that are held. What may they see?", (
        Option("each the four that are held, itself, and the new ones before it", "A triangle, aligned to the end.",
               right=True, tries=_chunk),
        Option("everything: no mask is needed with a cache", "That is so for a single new token. Of several, the first "
               "must not see the third.", tries=_chunk),
        Option("the first sees one key, the second two, the third three", "That is the triangle aligned to the start. "
               "The new tokens stand at the end.", tries=_chunk),
    )),
    Quiz("3.d", "A text becomes twice as long. What happens to its cache?", (
        Option("four times as large, like the table of weights", "The table of weights grows with the square, but it "
               "is thrown away after each layer. Of a token a key and a value stay.", tries=_size),
        Option("twice as large", "A key and a value for each token, layer and key/value head.",
               right=True, tries=_size),
        Option("the same: the room is taken at the start", "An implementation may take the room at the start. What the "
               "text needs of it grows.", tries=_size),
    )),
    Quiz("3.e", "Why do many models have fewer heads of keys and values than of queries?", (
        Option("keys need less precision", "The numbers are as precise. There are fewer of them."),
        Option("to make the cache small", "What is kept for each token shrinks, while the queries stay many.",
               right=True,
               tries=_grouped),
        Option("to have fewer parameters", "They do have fewer, but that is little. What grows with every token is the "
               "cache.", tries=_grouped),
    )),
    Quiz("3.f", "You feed the whole text again although the cache holds it. What happens?", (
        Option("an error", "Nothing looks whether a token is there already. It reads the text twice, and what comes "
               "out still looks like text.", tries=_grows),
        Option("it is read a second time, behind itself", "Count what is in the cache when yours behaves oddly.",
               right=True, tries=_grows),
        Option("the cache notices and skips it", "A cache takes what it is given; it compares nothing.", tries=_grows),
    )),
)  # fmt: skip
