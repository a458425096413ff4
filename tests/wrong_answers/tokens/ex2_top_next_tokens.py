"""Wrong answers to exercise 1.2."""

from __future__ import annotations

from tests.wrong_answers import Wrong
from tests.wrong_answers.tokens.forward import logits_of


def looks_after_first_token(model, prompt, k=5):
    top = logits_of(model, prompt)[0, 0].softmax(-1).topk(k)
    return [(model.tokenizer.decode(i), float(p)) for p, i in zip(*top)]


def forgets_softmax(model, prompt, k=5):
    top = logits_of(model, prompt)[0, -1].topk(k)
    return [(model.tokenizer.decode(i), float(p)) for p, i in zip(*top)]


def sorts_upwards(model, prompt, k=5):
    probabilities = logits_of(model, prompt)[0, -1].softmax(-1)
    best = probabilities.argsort()[-k:]
    return [(model.tokenizer.decode(i), float(probabilities[i])) for i in best]


def softmax_after_topk(model, prompt, k=5):
    top = logits_of(model, prompt)[0, -1].topk(k)
    return [(model.tokenizer.decode(i), float(p)) for p, i in zip(top.values.softmax(-1), top.indices)]


def forgets_k(model, prompt, k=5):
    top = logits_of(model, prompt)[0, -1].softmax(-1).topk(50)
    return [(model.tokenizer.decode(i), float(p)) for p, i in zip(*top)]


def row_before_the_last(model, prompt, k=5):
    rows = logits_of(model, prompt)[0].softmax(-1)
    probabilities, ids = rows[max(len(rows) - 2, 0)].topk(k)
    return [(model.tokenizer.decode(i), p.item()) for i, p in zip(ids, probabilities, strict=True)]


def ten_at_most(model, prompt, k=5):
    return [pair for place, pair in enumerate(forgets_k(model, prompt)) if place < min(k, 10)]


WRONG = [
    Wrong("1.2", ten_at_most, says="10 entries came; expected"),
    Wrong("1.2", row_before_the_last, "the last position but one"),
    Wrong("1.2", looks_after_first_token, "first position"),
    Wrong("1.2", forgets_softmax, "logits"),
    Wrong("1.2", sorts_upwards, "ascending"),
    Wrong("1.2", softmax_after_topk, "softmax over the top k"),
    Wrong("1.2", forgets_k, says="50 entries came; expected"),
]
