"""Wrong answers to exercise 1.4."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def scores(model, prompt, continuation):
    a, b = model.tokenizer.encode(prompt), model.tokenizer.encode(continuation, add_special_tokens=False)
    ids = torch.tensor([a + b])
    with model.trace(ids):
        logits = model.output.logits.save()
    return len(a), ids[0], logits[0].log_softmax(-1)


def scores_own_position(model, prompt, continuation):
    n, ids, logp = scores(model, prompt, continuation)
    return logp[range(n, len(ids)), ids[n:]].sum().item()


def scores_prompt_too(model, prompt, continuation):
    _, ids, logp = scores(model, prompt, continuation)
    return logp[:-1].gather(1, ids[1:, None]).sum().item()


def scores_first_token(model, prompt, continuation):
    n, ids, logp = scores(model, prompt, continuation)
    return logp[n - 1, ids[n]].item()


def gives_probability(model, prompt, continuation):
    n, ids, logp = scores(model, prompt, continuation)
    return logp[range(n - 1, len(ids) - 1), ids[n:]].sum().exp().item()


def tokenizes_both_at_once(model, prompt, continuation):
    tok = model.tokenizer
    n = len(tok(prompt).input_ids)
    ids = tok(prompt + continuation, return_tensors="pt").input_ids
    with model.trace(ids):
        logits = model.output.logits.save()
    logp = logits[0].log_softmax(-1)
    total = 0.0
    for i in range(n, ids.shape[1]):
        total += logp[i - 1, ids[0, i]].item()
    return total


def begins_twice(model, prompt, continuation):
    a, b = model.tokenizer.encode(prompt), model.tokenizer.encode(continuation)
    with model.trace(torch.tensor([a + b])):
        logits = model.output.logits.save()
    logp = logits[0].log_softmax(-1)
    return sum(logp[len(a) - 1 + i, token].item() for i, token in enumerate(b))


def logarithm_of_the_product(model, prompt, continuation):
    ids = [model.tokenizer.encode(prompt), model.tokenizer.encode(continuation, add_special_tokens=False)]
    with model.trace([ids[0] + ids[1]]):
        logits = model.output.logits[0].save()
    product = torch.tensor(1.0)
    for place, token in enumerate(ids[1], start=len(ids[0])):
        product = product * logits[place - 1].softmax(-1)[token]
    return product.log().item()


WRONG = [
    Wrong("1.4", logarithm_of_the_product, "a product that is 0"),
    Wrong("1.4", tokenizes_both_at_once, "tokenized together"),
    Wrong("1.4", begins_twice, "a beginning in the middle"),
    Wrong("1.4", scores_own_position, "not shifted"),
    Wrong("1.4", scores_prompt_too, "prompt included"),
    Wrong("1.4", scores_first_token, "first token only"),
    Wrong("1.4", gives_probability, "not a logarithm"),
]
