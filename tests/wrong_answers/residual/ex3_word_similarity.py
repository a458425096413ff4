"""Wrong answers to exercise 2.3."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_utils.residual import residual_stream, word_position
from tests.wrong_answers import Wrong


def similarity_of_last_tokens(model, first, second, word):
    a, b = residual_stream(model, first)[:, -1], residual_stream(model, second)[:, -1]
    return F.cosine_similarity(a, b, dim=-1)


def similarity_at_the_first_prompts_place(model, first, second, word):
    i = word_position(model, first, word)
    a, b = residual_stream(model, first), residual_stream(model, second)
    return F.cosine_similarity(a[:, i], b[:, min(i, b.shape[1] - 1)], dim=-1)


def similarity_counted_from_the_end(model, first, second, word):
    a = residual_stream(model, first).flip(1)[:, word_position(model, first, word)]
    b = residual_stream(model, second).flip(1)[:, word_position(model, second, word)]
    return F.cosine_similarity(a, b, dim=-1)


def similarity_without_norms(model, first, second, word):
    a = residual_stream(model, first)[:, word_position(model, first, word)]
    b = residual_stream(model, second)[:, word_position(model, second, word)]
    return torch.einsum("dw,dw->d", a, b)


def similarity_of_whole_prompts(model, first, second, word):
    a, b = residual_stream(model, first).mean(1), residual_stream(model, second).mean(1)
    return (a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1)


def similarity_over_depth(model, first, second, word):
    a = residual_stream(model, first)[:, word_position(model, first, word)]
    b = residual_stream(model, second)[:, word_position(model, second, word)]
    return F.cosine_similarity(a, b, dim=0)


def looks_among_words(model, first, second, word):
    vectors = []
    for prompt in (first, second):
        stream = residual_stream(model, prompt)
        vectors.append(stream[:, prompt.split().index(word.strip())])
    return torch.nn.functional.cosine_similarity(*vectors, dim=-1)


def within_another(model, first, second, word):
    vectors = []
    for prompt in (first, second):
        tokens = [model.tokenizer.decode(i) for i in model.tokenizer(prompt)["input_ids"]]
        place = next(i for i, token in enumerate(tokens) if word.strip() in token)
        vectors.append(residual_stream(model, prompt)[:, place])
    return F.cosine_similarity(*vectors, dim=-1)


def by_characters(model, first, second, word):
    vectors = []
    for prompt in (first, second):
        start = prompt.find(word) + 1
        found = model.tokenizer(prompt, return_offsets_mapping=True)["offset_mapping"]
        place = next(i for i, (_, end) in enumerate(found) if end > start)
        vectors.append(residual_stream(model, prompt)[:, place])
    return F.cosine_similarity(*vectors, dim=-1)


WRONG = [
    Wrong("2.3", looks_among_words, "place among the words"),
    Wrong("2.3", similarity_of_last_tokens, "last position"),
    Wrong("2.3", similarity_at_the_first_prompts_place, "one position for both"),
    Wrong("2.3", similarity_counted_from_the_end, "position from the wrong end"),
    Wrong("2.3", similarity_without_norms, "dot product"),
    Wrong("2.3", similarity_of_whole_prompts, "mean over positions"),
    Wrong("2.3", similarity_over_depth, says="(depth)"),
    Wrong("2.3", within_another, "within another word"),
    Wrong("2.3", by_characters, "within another word"),
]
