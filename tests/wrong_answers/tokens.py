"""Wrong answers to the exercises of lesson 1."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from tests.wrong_answers import Wrong


def logits_of(model: Any, text: str) -> torch.Tensor:
    with model.trace(text):
        logits = model.output.logits.save()
    return logits


def shows_vocabulary_entries(model, text):
    return [(i, model.tokenizer.convert_ids_to_tokens(i)) for i in model.tokenizer.encode(text)]


def strips_spaces(model, text):
    return [(i, model.tokenizer.decode([i]).strip()) for i in model.tokenizer.encode(text)]


def text_before_id(model, text):
    return [(model.tokenizer.decode([i]), i) for i in model.tokenizer.encode(text)]


def splits_at_spaces(model, text):
    return [(model.tokenizer.encode(word)[0], word) for word in text.split()]


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


def softmax_down_the_positions(model, text):
    return F.softmax(logits_of(model, text), dim=1)[0]


def keeps_batch(model, text):
    return F.softmax(logits_of(model, text), dim=-1)


def gives_last_row(model, text):
    return F.softmax(logits_of(model, text)[0, -1], dim=-1)


def forgets_save(model, text):
    with model.trace(text):
        logits = model.output.logits
    return logits[0].softmax(-1)


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


def gives_nats(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0, :-1], ids[1:], reduction="none")


def gives_log_probabilities(model, text):
    return -gives_nats(model, text) / torch.tensor(2.0).log()


def scores_tokens_already_seen(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0, 1:], ids[1:], reduction="none") / torch.tensor(2.0).log()


def scores_every_token_already_seen(model, text):
    ids = torch.tensor(model.tokenizer.encode(text))
    return F.cross_entropy(logits_of(model, text)[0], ids, reduction="none") / torch.tensor(2.0).log()


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


def drops_token_that_crosses(probabilities, p):
    values, places = torch.sort(probabilities, descending=True)
    out = torch.zeros_like(probabilities)
    keep = values.cumsum(0) <= p
    out[places[keep]] = values[keep]
    return out / out.sum()


def nucleus_mask(probabilities, p):
    values, places = torch.sort(probabilities, descending=True)
    n = int((values.cumsum(0) < p).sum()) + 1
    mask = torch.zeros_like(probabilities, dtype=torch.bool)
    mask[places[:n]] = True
    return mask


def forgets_rescaling(probabilities, p):
    return probabilities * nucleus_mask(probabilities, p)


def takes_softmax_again(probabilities, p):
    return probabilities.masked_fill(~nucleus_mask(probabilities, p), float("-inf")).softmax(0)


def leaves_sorted(probabilities, p):
    values = probabilities.sort(descending=True).values
    n = int((values.cumsum(0) < p).sum()) + 1
    values[n:] = 0
    return values / values.sum()


def compares_each(probabilities, p):
    out = probabilities * (probabilities >= 1 - p)
    return out / out.sum()


WRONG = [
    Wrong("1.1", shows_vocabulary_entries, "raw vocabulary entry"),
    Wrong("1.1", strips_spaces, "space stripped"),
    Wrong("1.1", text_before_id, "pair swapped"),
    Wrong("1.1", splits_at_spaces, says="entries came; expected"),
    Wrong("1.2", looks_after_first_token, "first position"),
    Wrong("1.2", forgets_softmax, "logits"),
    Wrong("1.2", sorts_upwards, "ascending"),
    Wrong("1.2", softmax_after_topk, "softmax over the top k"),
    Wrong("1.2", forgets_k, says="50 entries came; expected"),
    Wrong("1.3", softmax_down_the_positions, "softmax over positions"),
    Wrong("1.3", keeps_batch, "batch kept"),
    Wrong("1.3", gives_last_row, "last position only"),
    Wrong("1.3", forgets_save, says="'logits' was made inside a trace, it does not outlive it"),
    Wrong("1.4", scores_own_position, "not shifted"),
    Wrong("1.4", scores_prompt_too, "prompt included"),
    Wrong("1.4", scores_first_token, "first token only"),
    Wrong("1.4", gives_probability, "not a logarithm"),
    Wrong("1.5", gives_nats, "nats"),
    Wrong("1.5", gives_log_probabilities, "sign"),
    Wrong("1.5", scores_tokens_already_seen, "not shifted"),
    Wrong("1.5", scores_every_token_already_seen, "one entry too many, not shifted"),
    Wrong("1.6", runs_same_text_again, "never appended"),
    Wrong("1.6", returns_prompt, "prompt returned"),
    Wrong("1.6", feeds_newest_token_only, "prompt forgotten"),
    Wrong("1.6", stops_one_early, "one short"),
    Wrong("1.7", drops_token_that_crosses, "crossing token dropped"),
    Wrong("1.7", forgets_rescaling, "not rescaled"),
    Wrong("1.7", takes_softmax_again, "softmax of probabilities"),
    Wrong("1.7", leaves_sorted, "left in sorted order"),
    Wrong("1.7", compares_each, "threshold on each token"),
]
