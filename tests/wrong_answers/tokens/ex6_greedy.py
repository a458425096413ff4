"""Wrong answers to exercise 1.6."""

from __future__ import annotations

from tests.wrong_answers import Wrong
from tests.wrong_answers.tokens.forward import logits_of


def runs_same_text_again(model, prompt, n_tokens=8):
    new = []
    for _ in range(n_tokens):
        new.append(logits_of(model, prompt)[0, -1].argmax().item())
    return new


def returns_prompt(model, prompt, n_tokens=8):
    ids = model.tokenizer.encode(prompt)
    for _ in range(n_tokens):
        ids = [*ids, logits_of(model, [ids])[0, -1].argmax().item()]
    return ids


def feeds_newest_token_only(model, prompt, n_tokens=8):
    ids, new = model.tokenizer.encode(prompt), []
    for _ in range(n_tokens):
        ids = [logits_of(model, [ids])[0, -1].argmax().item()]
        new += ids
    return new


def stops_one_early(model, prompt, n_tokens=8):
    ids, new = model.tokenizer.encode(prompt), []
    for _ in range(1, n_tokens):
        new.append(logits_of(model, [ids + new])[0, -1].argmax().item())
    return new


def leaves_it_to_generate(model, prompt, n_tokens=8):
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
    written = model._module.generate(ids, max_new_tokens=n_tokens, do_sample=False)
    return written[0, ids.shape[1] :].tolist()


WRONG = [
    Wrong("1.6", leaves_it_to_generate, "stops at the end token"),
    Wrong("1.6", runs_same_text_again, "never appended"),
    Wrong("1.6", returns_prompt, "prompt returned"),
    Wrong("1.6", feeds_newest_token_only, "prompt forgotten"),
    Wrong("1.6", stops_one_early, "one short"),
]
