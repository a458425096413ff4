"""Wrong answers to 4.1."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_utils.logit_lens import normed_stream
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from tests.wrong_answers import Wrong
from tests.wrong_answers.logit_lens.own_stream import stream_of


def say(model, logits, k):
    answer = []
    for row in logits:
        best = torch.topk(row, k)
        answer.append(
            {
                "top_tokens": [model.tokenizer.decode(i) for i in best.indices],
                "top_token_logits": best.values.detach().numpy(),
            }
        )
    return answer


def final(model, stream, normalize=True):
    parts = anatomy(model)
    return parts.unembed(stream) if normalize else parts.logits(stream)


def lens_without_norm(model, prompt, top_k=5, normalize=True):
    return say(model, anatomy(model).logits(stream_of(model, prompt)[:, -1]), top_k)


def lens_ignores_normalize(model, prompt, top_k=5, normalize=True):
    return say(model, anatomy(model).unembed(stream_of(model, prompt)[:, -1]), top_k)


def lens_from_hidden_states(model, prompt, top_k=5, normalize=True):
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
    hidden = model._module(ids, output_hidden_states=True).hidden_states  # the last one is normed already
    return say(model, final(model, torch.stack([h[0, -1] for h in hidden]), normalize), top_k)


def lens_at_first_token(model, prompt, top_k=5, normalize=True):
    return say(model, final(model, stream_of(model, prompt)[:, 0], normalize), top_k)


def lens_without_embedding(model, prompt, top_k=5, normalize=True):
    stream = stream_of(model, prompt)[:, -1]
    logits = [final(model, stream[layer + 1], normalize) for layer in range(len(stream) - 1)]
    return say(model, torch.stack([*logits, logits[-1]]), top_k)


def lens_of_inputs(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0, -1]]
        for layer in parts.layers:
            found.append(layer.input[0, -1])
        stacked = torch.stack(found).save()
    return say(model, final(model, stacked, normalize), top_k)


def lens_of_bare_embedding(model, prompt, top_k=5, normalize=True):
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
    stream = stream_of(model, prompt)[:, -1].clone()
    stream[0] = model._module.get_input_embeddings()(ids)[0, -1]
    return say(model, final(model, stream, normalize), top_k)


def lens_of_probabilities(model, prompt, top_k=5, normalize=True):
    return say(model, F.softmax(final(model, stream_of(model, prompt)[:, -1], normalize), -1), top_k)


def lens_sorted_upwards(model, prompt, top_k=5, normalize=True):
    answer = []
    for row in final(model, stream_of(model, prompt)[:, -1], normalize):
        order = row.argsort()[-top_k:]
        answer.append({"top_tokens": [model.tokenizer.decode(i) for i in order], "top_token_logits": row[order]})
    return answer


def lens_takes_batch_for_tuple(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[:, -1]]
        for layer in parts.layers:
            found.append(layer.output[0][:, -1, :])
        stacked = torch.stack(found).save()
    return say(model, final(model, stacked[:, 0], normalize), top_k)


def lens_forgets_save(model, prompt, top_k=5, normalize=True):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0, -1]]
        for layer in parts.layers:
            found.append(layer.output[0, -1])
        stacked = torch.stack(found)
    return say(model, final(model, stacked, normalize), top_k)


def lens_of_layers_only(model, prompt, top_k=5, normalize=True):
    return say(model, final(model, stream_of(model, prompt)[1:, -1], normalize), top_k)


def lens_of_windows(model, prompt, top_k=5, normalize=True):
    """The lesson's normed_stream leaves each window's first token out, and here that may be the only one."""
    if not normalize:
        return say(model, final(model, stream_of(model, prompt)[:, -1], normalize), top_k)
    normed = normed_stream(model, torch.tensor([token_ids(model, prompt)]))[:, -1]
    return say(model, anatomy(model).logits(normed), top_k)


def lens_skips_special_tokens(model, prompt, top_k=5, normalize=True):
    top = final(model, stream_of(model, prompt)[:, -1], normalize).topk(top_k)
    texts = [model.tokenizer.batch_decode(row[:, None], skip_special_tokens=True) for row in top.indices]
    return [{"top_tokens": text, "top_token_logits": row} for text, row in zip(texts, top.values)]


WRONG = [
    Wrong("4.1", lens_without_norm, "no final norm"),
    Wrong("4.1", lens_ignores_normalize, "normalize ignored"),
    Wrong("4.1", lens_from_hidden_states, "last depth normed twice"),
    Wrong("4.1", lens_at_first_token, "first position"),
    Wrong("4.1", lens_without_embedding, "one layer late"),
    Wrong("4.1", lens_of_inputs, "one layer early"),
    Wrong("4.1", lens_of_bare_embedding, "embedding before positions"),
    Wrong("4.1", lens_of_probabilities, "probabilities"),
    Wrong("4.1", lens_sorted_upwards, "least probable first"),
    Wrong("4.1", lens_takes_batch_for_tuple, says="too many indices"),
    Wrong("4.1", lens_forgets_save, says="save it there"),
    Wrong("4.1", lens_of_layers_only, says="3 entries came; expected 4"),
    Wrong("4.1", lens_of_windows, says="with two positions or more"),
    Wrong("4.1", lens_skips_special_tokens, "special tokens left out"),
]
