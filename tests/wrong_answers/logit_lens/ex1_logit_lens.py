"""Wrong answers to the exercises of lesson 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong

# 4.1


def stream_of(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0]]
        for layer in parts.layers:
            found.append(layer.output[0])
        stacked = torch.stack(found).save()
    return stacked


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


# 4.2


def entropy_of(p, log=torch.log):
    return -(p * log(p.clamp_min(1e-30))).sum(-1)


def table_without_norm(model, prompt):
    p = anatomy(model).logits(stream_of(model, prompt)).softmax(-1)
    best = p.max(-1)
    return {"top_ids": best.indices, "probability": best.values, "entropy": entropy_of(p)}


def table_over(model, prompt, dim):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(dim)
    best = p.max(-1)
    return {"top_ids": best.indices, "probability": best.values, "entropy": entropy_of(p)}


def table_softmax_over_positions(model, prompt):
    return table_over(model, prompt, 1)


def table_softmax_over_depths(model, prompt):
    return table_over(model, prompt, 0)


def table_entropy_in_bits(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": entropy_of(p, torch.log2)}


def table_entropy_negative(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    return {**table_over(model, prompt, -1), "entropy": (p * p.clamp_min(1e-30).log()).sum(-1)}


def table_with_logits(model, prompt):
    return {**table_over(model, prompt, -1), "probability": anatomy(model).unembed(stream_of(model, prompt)).amax(-1)}


def table_of_final_answer(model, prompt):
    p = anatomy(model).unembed(stream_of(model, prompt)).softmax(-1)
    answers = p[-1].argmax(-1)
    columns = [p[:, position, answer] for position, answer in enumerate(answers)]
    return {**table_over(model, prompt, -1), "probability": torch.stack(columns, 1)}


def table_turned(model, prompt):
    return {name: values.T for name, values in table_over(model, prompt, -1).items()}


# 4.3


def last_logits(model, prompt):
    return anatomy(model).unembed(stream_of(model, prompt)[:, -1])


def rank_by_sorting(logits, i):
    return torch.tensor([row.argsort(descending=True).tolist().index(i) + 1 for row in logits])


def only_id(model, token):
    return model.tokenizer.encode(token, add_special_tokens=False)[0]


def follow_counts_from_zero(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i) - 1, "probability": logits.softmax(-1)[:, i]}


def follow_ranks_upwards(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    rank = torch.tensor([row.argsort().tolist().index(i) + 1 for row in logits])
    return {"rank": rank, "probability": logits.softmax(-1)[:, i]}


def follow_reads_argsort(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": logits.sort(descending=True).indices[:, i] + 1, "probability": logits.softmax(-1)[:, i]}


def follow_reads_argsort_from_zero(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": logits.sort(descending=True).indices[:, i], "probability": logits.softmax(-1)[:, i]}


def follow_without_norm(model, prompt, token):
    logits, i = anatomy(model).logits(stream_of(model, prompt)[:, -1]), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": logits.softmax(-1)[:, i]}


def follow_at_first_token(model, prompt, token):
    logits, i = anatomy(model).unembed(stream_of(model, prompt)[:, 0]), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": logits.softmax(-1)[:, i]}


def follow_softmax_down_the_depths(model, prompt, token):
    logits, i = last_logits(model, prompt), only_id(model, token)
    return {"rank": rank_by_sorting(logits, i), "probability": F.softmax(logits, dim=0)[:, i]}


# 4.4


def pointwise(log_probs):
    return F.kl_div(log_probs, log_probs[-1].expand_as(log_probs), log_target=True, reduction="none")


def kl_reversed(log_probs):
    return F.kl_div(log_probs[-1].expand_as(log_probs), log_probs, log_target=True, reduction="none").sum(-1)


def kl_bits(log_probs):
    return pointwise(log_probs).sum(-1) / torch.tensor(2.0).log()


def kl_mean_over_vocabulary(log_probs):
    return pointwise(log_probs).mean(-1)


def kl_sum_of_differences(log_probs):
    return torch.stack([(log_probs[-1] - depth).sum(-1) for depth in log_probs])


def kl_wrong_sign(log_probs):
    p = log_probs[-1].exp()
    return torch.stack([(p * (depth - log_probs[-1])).sum(-1) for depth in log_probs])


def kl_step_by_step(log_probs):
    steps = [(after.exp() * (after - before)).sum(-1) for before, after in zip(log_probs, log_probs[1:])]
    return torch.stack([*steps, torch.zeros_like(steps[0])])


def kl_is_cross_entropy(log_probs):
    return -torch.einsum("pv,dpv->dp", log_probs[-1].exp(), log_probs)


def kl_over_positions(log_probs):
    return pointwise(log_probs).sum(1)


# 4.5


def settles_at_first_lead(top_ids):
    return torch.tensor([column.tolist().index(column[-1].item()) for column in top_ids.T])


def settles_counts_differences(top_ids):
    return torch.tensor([sum(i != column[-1] for i in column) for column in top_ids.T])


def settles_one_early(top_ids):
    answer = []
    for column in top_ids.T.tolist():
        depth = len(column) - 1
        while depth >= 0 and column[depth] == column[-1]:
            depth -= 1
        answer.append(depth)
    return torch.tensor(answer)


def settles_for_how_long(top_ids):
    return torch.tensor([len(top_ids) - 1 - depth for depth in settles_one_early(top_ids).tolist()])


def settles_at_first_repeat(top_ids):
    answer = []
    for column in top_ids.T.tolist():
        answer.append(next((d for d in range(len(column) - 1) if column[d] == column[d + 1]), 0))
    return torch.tensor(answer)


def settles_as_floats(top_ids):
    return (settles_one_early(top_ids) + 1).float()


# 4.6


def written_at(model, prompt, position=-1):
    parts = anatomy(model)
    with model.trace(prompt):
        found = [parts.layers[0].input[0, position]]
        for layer in range(parts.n_layers):
            found.append(parts.attention_written(layer)[0, position])
            found.append(parts.mlp_written(layer)[0, position])
        stacked = torch.stack(found).save()
    return stacked


def freeze(model, residual):
    """The norm's weights, and a function that divides as the whole residual is divided, by plain arithmetic (GPT-2 and Llama)."""
    norm = anatomy(model).norm._module
    bias = getattr(norm, "bias", None)
    if bias is None:
        divisor = (residual.pow(2).mean() + norm.variance_epsilon).sqrt()
        return norm.weight, torch.zeros_like(residual), lambda x: x / divisor
    divisor = (residual.var(unbiased=False) + norm.eps).sqrt()
    return norm.weight, bias, lambda x: (x - x.mean(-1, keepdim=True)) / divisor


def attribute(model, prompt, token, against, position=-1, alone=False, norm=True, gain=True, both=True, sums=False):
    written = written_at(model, prompt, position)
    weight, bias, divide = freeze(model, written.sum(0))
    if sums:
        written = written.cumsum(0)
    rows = model._module.get_output_embeddings().weight
    direction = rows[only_id(model, token)]
    if both:
        direction = direction - rows[only_id(model, against)]
    if alone:
        shares = anatomy(model).normalise(written) @ direction
    elif norm:
        shares = (divide(written) * (weight if gain else 1)) @ direction
    else:
        shares = written @ direction
    return torch.cat([shares, (bias @ direction).reshape(1)])


def attribution_normed_alone(model, prompt, token, against):
    return attribute(model, prompt, token, against, alone=True)


def attribution_without_norm(model, prompt, token, against):
    return attribute(model, prompt, token, against, norm=False)


def attribution_without_weights(model, prompt, token, against):
    return attribute(model, prompt, token, against, gain=False)


def attribution_at_first_token(model, prompt, token, against):
    return attribute(model, prompt, token, against, position=0)


def attribution_of_one_logit(model, prompt, token, against):
    return attribute(model, prompt, token, against, both=False)


def attribution_reversed(model, prompt, token, against):
    return attribute(model, prompt, against, token)


def attribution_of_streams(model, prompt, token, against):
    return attribute(model, prompt, token, against, sums=True)


def attribution_without_constant(model, prompt, token, against):
    shares = attribute(model, prompt, token, against).clone()
    shares[-1] = 0
    return shares


def attribution_without_last_entry(model, prompt, token, against):
    return attribute(model, prompt, token, against)[:-1]


# 4.7


def gradient_zero(read, target, ridge, centre):
    """The minimum of |read @ M + b - target|^2 + ridge |M - centre|^2 as one least-squares problem with extra rows."""
    n, width = read.shape
    x = torch.cat(
        [torch.cat([read, torch.ones(n, 1)], 1), torch.cat([ridge**0.5 * torch.eye(width), torch.zeros(width, 1)], 1)]
    )
    y = torch.cat([target, ridge**0.5 * centre])
    solved = torch.linalg.lstsq(x.double(), y.double()).solution.float()
    return solved[:-1], solved[-1]


def fits_towards_zero(read, target, ridge=100.0):
    return gradient_zero(read, target, ridge, torch.zeros(read.shape[1], read.shape[1]))


def fits_without_bias(read, target, ridge=100.0):
    width = read.shape[1]
    x = torch.cat([read, ridge**0.5 * torch.eye(width)])
    y = torch.cat([target, ridge**0.5 * torch.eye(width)])
    return torch.linalg.lstsq(x, y).solution, torch.zeros(width)


def fits_backwards(read, target, ridge=100.0):
    return gradient_zero(target, read, ridge, torch.eye(read.shape[1]))


def fits_transposed(read, target, ridge=100.0):
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(read.shape[1]))
    return matrix.T, bias


def fits_without_ridge(read, target, ridge=100.0):
    return gradient_zero(read, target, 0.0, torch.eye(read.shape[1]))


def fits_the_change_only(read, target, ridge=100.0):
    width = read.shape[1]
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(width))
    return matrix - torch.eye(width), bias


def fits_and_gives_bias_first(read, target, ridge=100.0):
    matrix, bias = gradient_zero(read, target, ridge, torch.eye(read.shape[1]))
    return bias, matrix


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
    Wrong("4.2", table_without_norm, "no final norm"),
    Wrong("4.2", table_softmax_over_positions, "softmax over positions"),
    Wrong("4.2", table_softmax_over_depths, "softmax over depths"),
    Wrong("4.2", table_entropy_in_bits, "entropy in bits"),
    Wrong("4.2", table_entropy_negative, "entropy negative"),
    Wrong("4.2", table_with_logits, "logit for probability"),
    Wrong("4.2", table_of_final_answer, "the last depth's answer"),
    Wrong("4.2", table_turned, says="(depth, position)"),
    Wrong("4.3", follow_counts_from_zero, "rank from zero"),
    Wrong("4.3", follow_ranks_upwards, "rank from the bottom"),
    Wrong("4.3", follow_reads_argsort, "argsort misread"),
    Wrong("4.3", follow_reads_argsort_from_zero, "argsort misread from zero"),
    Wrong("4.3", follow_without_norm, "no final norm"),
    Wrong("4.3", follow_at_first_token, "first position"),
    Wrong("4.3", follow_softmax_down_the_depths, "softmax over depths"),
    Wrong("4.4", kl_reversed, "the other way round"),
    Wrong("4.4", kl_bits, "bits"),
    Wrong("4.4", kl_mean_over_vocabulary, "mean over the vocabulary"),
    Wrong("4.4", kl_sum_of_differences, "not weighted"),
    Wrong("4.4", kl_wrong_sign, "sign"),
    Wrong("4.4", kl_step_by_step, "from the next depth"),
    Wrong("4.4", kl_is_cross_entropy, "cross-entropy"),
    Wrong("4.4", kl_over_positions, says="(depth, position)"),
    Wrong("4.5", settles_at_first_lead, "first lead"),
    Wrong("4.5", settles_counts_differences, "disagreements counted"),
    Wrong("4.5", settles_one_early, "one too early"),
    Wrong("4.5", settles_for_how_long, "counted from the end"),
    Wrong("4.5", settles_at_first_repeat, "first repeat"),
    Wrong("4.5", settles_as_floats, says="expected torch.int64"),
    Wrong("4.6", attribution_normed_alone, "each part normed alone"),
    Wrong("4.6", attribution_without_norm, "no norm"),
    Wrong("4.6", attribution_without_weights, "no gain"),
    Wrong("4.6", attribution_at_first_token, "first position"),
    Wrong("4.6", attribution_of_one_logit, "one token only"),
    Wrong("4.6", attribution_reversed, "tokens swapped"),
    Wrong("4.6", attribution_of_streams, "running sum"),
    Wrong("4.6", attribution_without_constant, "constant forgotten"),
    Wrong("4.6", attribution_without_last_entry, says="expected (8,)"),
    Wrong("4.7", fits_towards_zero, "ridge towards zero"),
    Wrong("4.7", fits_without_bias, "no bias"),
    Wrong("4.7", fits_backwards, "backwards"),
    Wrong("4.7", fits_transposed, "transposed"),
    Wrong("4.7", fits_without_ridge, "no ridge"),
    Wrong("4.7", fits_the_change_only, "identity not added"),
    Wrong("4.7", fits_and_gives_bias_first, says="shape"),
]
