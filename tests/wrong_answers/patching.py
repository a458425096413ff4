"""Wrong answers to lesson 6, as learners write them."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong

NAMES = (" Mike", " Emma")


def ids(model, answers):
    return [model.tokenizer.encode(answer, add_special_tokens=False)[0] for answer in answers]


# 6.1 logit_difference


def second_minus_first(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    a, b = ids(model, answers)
    return (logits[0, -1, b] - logits[0, -1, a]).item()


def with_softmax(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    p = torch.softmax(logits[0, -1], dim=0)
    a, b = ids(model, answers)
    return (p[a] - p[b]).item()


def stripped_names(model, prompt, answers=NAMES):
    a, b = ids(model, [answer.replace(" ", "") for answer in answers])
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def at_position_zero(model, prompt, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace(prompt):
        logits = model.output.logits.save()
    row = logits[0][0]
    return float(row[a] - row[b])


def one_too_early(model, prompt, answers=NAMES):
    length = len(model.tokenizer.encode(prompt))
    a, b = ids(model, answers)
    with model.trace(prompt):
        logits = model.output.logits.save()
    row = logits[0, length - 2]
    return float(row[a] - row[b])


def difference_as_tensor_of_batch(model, prompt, answers=NAMES):
    with model.trace(prompt):
        logits = model.output.logits.save()
    a, b = ids(model, answers)
    return logits[:, -1, a] - logits[:, -1, b]


# 6.2 permute_head


def shuffled_a_copy(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        mine = parts.heads(layer)[:, :, head]
        mine = mine[..., order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_head_of_other_layer(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    d = parts.head_width
    with model.trace(prompt):
        z = parts.out_projections[head].input
        z[:, :, layer * d : (layer + 1) * d] = z[:, :, layer * d : (layer + 1) * d][..., order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_all_heads(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.heads(layer)
        for h in range(parts.n_heads):
            z[:, :, h] = z[:, :, h, order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_last_token(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    d = parts.head_width
    with model.trace(prompt):
        z = parts.out_projections[layer].input
        z[:, -1, head * d : (head + 1) * d] = z[:, -1, head * d : (head + 1) * d][:, order]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_backwards(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.heads(layer)
        old = z[:, :, head].clone()
        for i in range(parts.head_width):
            z[:, :, head, int(order[i])] = old[:, :, i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def permuted_every_nth(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(prompt):
        z = parts.out_projections[layer].input
        z = z.view(z.shape[0], z.shape[1], parts.head_width, parts.n_heads)
        z[..., head] = z[..., order, head]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def logits_not_saved(model, prompt, layer, head, order, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace(prompt):
        unsaved = model.output.logits[0, -1]
    return (unsaved[a] - unsaved[b]).item()


# 6.3 head_outputs


def attention_outputs(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for attention in parts.attentions:
            kept.append(attention.output[0][0].save())
    out = torch.stack(kept)
    return out.reshape(out.shape[0], out.shape[1], parts.n_heads, -1)


def width_before_head(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.out_projections[layer].input[0].save())
    out = torch.stack(kept)
    return out.view(*out.shape[:2], parts.head_width, parts.n_heads).permute(0, 1, 3, 2)


def heads_before_positions(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.out_projections[layer].input[0].save())
    out = torch.stack(kept)
    n, t, _ = out.shape
    return out.view(n, parts.n_heads, t, parts.head_width).permute(0, 2, 1, 3)


def last_layer_first(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.heads(layer)[0].save())
    kept.reverse()
    return torch.stack(kept)


def with_the_batch(model, prompt):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.heads(layer).save())
    return torch.stack(kept)


# 6.4 selectivity


def only_distance(outputs, first, second):
    return ((outputs[:, second] - outputs[:, first]) ** 2).sum(-1).sqrt()


def lengths_compared(outputs, first, second):
    n = (outputs**2).sum(-1).sqrt()
    return n[:, second] / n[:, first]


def all_positions(outputs, first, second):
    n_layers, n, n_heads, _ = outputs.shape
    total = torch.zeros(n_layers, n_heads)
    for i in range(n):
        for j in range(n):
            if i != j:
                total += (outputs[:, i] - outputs[:, j]).norm(dim=-1)
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1) / (total / (n * (n - 1)))


def diagonal_counted(outputs, first, second):
    x = outputs[:, 1:].permute(0, 2, 1, 3)
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1) / torch.cdist(x, x).mean((-1, -2))


def inverse_ratio(outputs, first, second):
    x = outputs[:, 1:].permute(0, 2, 1, 3)
    n = x.shape[2]
    mean = torch.cdist(x, x).sum((-1, -2)) / (n * (n - 1))
    return mean / (outputs[:, second] - outputs[:, first]).norm(dim=-1)


def one_number_for_each_layer(outputs, first, second):
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1).mean(dim=-1)


# 6.5 patch_head


def took_the_name_not_the_slice(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        mine = parts.heads(layer)[:, :, head]
        mine = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def corrupted_into_clean(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(clean):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def head_of_the_wrong_layer(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(head)[:, :, layer].save()
    with model.trace(corrupted):
        parts.heads(head)[:, :, layer] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def took_all_heads(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.out_projections[layer].input.save()
    with model.trace(corrupted):
        parts.out_projections[layer].input = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def patched_last_token(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    cut = slice(head * parts.head_width, (head + 1) * parts.head_width)
    with model.trace(clean):
        kept = parts.out_projections[layer].input[:, -1, cut].save()
    with model.trace(corrupted):
        parts.out_projections[layer].input[:, -1, cut] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def second_axis_as_head(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0][head].save()
    with model.trace(corrupted):
        parts.heads(layer)[0][head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def minus_the_corrupted(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        before = model.output.logits[0, -1].save()
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return ((logits[a] - logits[b]) - (before[a] - before[b])).item()


def patched_second_minus_first(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        logits = model.output.logits[0, -1].save()
    return (logits[b] - logits[a]).item()


def clean_not_saved(model, clean, corrupted, layer, head, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        unsaved = parts.heads(layer)[:, :, head]
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = unsaved
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


# 6.6 patch_layer


def whole_layer_in_each_row(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace([corrupted] * parts.n_heads):
        parts.heads(layer)[:] = kept
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def heads_pile_up(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        for row in range(parts.n_heads):
            for head in range(row + 1):
                heads[row, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def batch_of_the_clean_prompt(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        kept = parts.heads(layer)[0].save()
    with model.trace([clean] * parts.n_heads):
        heads = parts.heads(layer)
        for head in range(parts.n_heads):
            heads[head, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def always_row_zero(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        for head in range(parts.n_heads):
            parts.heads(layer)[0, :, head] = kept[:, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def row_and_position_confused(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)
        for head in range(parts.n_heads):
            heads[:, head, head] = kept[head, head]
        logits = model.output.logits[:, -1].save()
    return logits[:, a] - logits[:, b]


def only_row_zero_returned(model, clean, corrupted, layer, answers=NAMES):
    a, b = ids(model, answers)
    with model.trace([corrupted] * anatomy(model).n_heads):
        logits = model.output.logits[0, -1].save()
    return float(logits[a] - logits[b])


# 6.7 attention_to


def looks_at_the_last(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept)[:, :, positions][:, :, :, -1]


def from_token_zero(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept)[:, :, 0][..., positions]


def softmax_of_softmax(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0, :, -1].save())
    return torch.softmax(torch.stack(kept)[..., positions], dim=-1)


def averaged_over_queries(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.attentions[layer].output[1][0].save())
    return torch.stack(kept).mean(2)[:, :, positions]


def heads_averaged(model, prompt, positions):
    parts = anatomy(model)
    kept = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            kept.append(parts.pattern(layer)[0, :, -1].mean(0).save())
    return torch.stack(kept)[:, positions]


# 6.8 patch_together


def effects_summed(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        logits = model.output.logits[0, -1].save()
    start = total = (logits[a] - logits[b]).item()
    for layer, head in heads:
        with model.trace(clean):
            kept = parts.heads(layer)[:, :, head].save()
        with model.trace(corrupted):
            parts.heads(layer)[:, :, head] = kept
            logits = model.output.logits[0, -1].save()
        total += (logits[a] - logits[b]).item() - start
    return total


def overwrote_the_result(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    for layer, head in heads:
        with model.trace(clean):
            kept = parts.heads(layer)[:, :, head].save()
        with model.trace(corrupted):
            parts.heads(layer)[:, :, head] = kept
            logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def dictionary_by_layer(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    wanted = dict(heads)
    kept = {}
    for layer in wanted:
        with model.trace(clean):
            one = parts.heads(layer)[:, :, wanted[layer]].save()
        kept[layer] = one
    with model.trace(corrupted):
        for layer in sorted(wanted):
            parts.heads(layer)[:, :, wanted[layer]] = kept[layer]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def layers_as_a_whole(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    layers = sorted({layer for layer, _ in heads})
    kept = []
    with model.trace(clean):
        for layer in layers:
            kept.append(parts.out_projections[layer].input.save())
    with model.trace(corrupted):
        for i, layer in enumerate(layers):
            parts.out_projections[layer].input[:] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def from_corrupted_into_clean(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    kept = []
    with model.trace(corrupted):
        for layer, head in sorted(heads):
            kept.append(parts.heads(layer)[:, :, head].save())
    with model.trace(clean):
        for i, (layer, head) in enumerate(sorted(heads)):
            parts.heads(layer)[:, :, head] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def pairs_read_backwards(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    pairs = sorted((layer, head) for head, layer in heads)
    kept = []
    with model.trace(clean):
        for layer, head in pairs:
            kept.append(parts.heads(layer)[:, :, head].save())
    with model.trace(corrupted):
        for i, (layer, head) in enumerate(pairs):
            parts.heads(layer)[:, :, head] = kept[i]
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


def in_the_given_order(model, clean, corrupted, heads, answers=NAMES):
    a, b = ids(model, answers)
    parts = anatomy(model)
    with model.trace(corrupted):
        for layer, head in heads:
            parts.heads(layer)[:, :, head] = 0.0
        logits = model.output.logits[0, -1].save()
    return (logits[a] - logits[b]).item()


WRONG: list[Wrong] = [
    Wrong("6.1", second_minus_first, "answers reversed"),
    Wrong("6.1", with_softmax, "probabilities"),
    Wrong("6.1", stripped_names, "answer without its space"),
    Wrong("6.1", at_position_zero, "first position"),
    Wrong("6.1", one_too_early, "one position early"),
    Wrong("6.1", difference_as_tensor_of_batch, says="a tensor of shape (1,) came; expected a number"),
    Wrong("6.2", shuffled_a_copy, "nothing written"),
    Wrong("6.2", permuted_head_of_other_layer, "layer and head swapped"),
    Wrong("6.2", permuted_all_heads, "every head"),
    Wrong("6.2", permuted_last_token, "last position only"),
    Wrong("6.2", permuted_backwards, "order inverted"),
    Wrong("6.2", permuted_every_nth, "heads interleaved"),
    Wrong("6.2", logits_not_saved, says="save it there"),
    Wrong("6.3", attention_outputs, "after the projection"),
    Wrong("6.3", width_before_head, "heads interleaved"),
    Wrong("6.3", heads_before_positions, "positions and heads mixed"),
    Wrong("6.3", last_layer_first, "layers backwards"),
    Wrong("6.3", with_the_batch, says="(layer, position, head, element)"),
    Wrong("6.4", only_distance, "not divided"),
    Wrong("6.4", lengths_compared, "ratio of norms"),
    Wrong("6.4", all_positions, "position 0 included"),
    Wrong("6.4", diagonal_counted, "pairs with itself"),
    Wrong("6.4", inverse_ratio, "upside down"),
    Wrong("6.4", one_number_for_each_layer, says="(layer, head)"),
    Wrong("6.5", took_the_name_not_the_slice, "nothing changed"),
    Wrong("6.5", corrupted_into_clean, "clean and corrupted swapped"),
    Wrong("6.5", head_of_the_wrong_layer, "layer and head swapped"),
    Wrong("6.5", took_all_heads, "whole layer"),
    Wrong("6.5", patched_last_token, "last position only"),
    Wrong("6.5", second_axis_as_head, "nothing changed"),
    Wrong("6.5", minus_the_corrupted, "difference to the corrupted run"),
    Wrong("6.5", patched_second_minus_first, "answers reversed"),
    Wrong("6.5", clean_not_saved, says="save it there"),
    Wrong("6.6", whole_layer_in_each_row, "every row gets every head"),
    Wrong("6.6", heads_pile_up, "earlier heads stay"),
    Wrong("6.6", batch_of_the_clean_prompt, "clean and corrupted swapped"),
    Wrong("6.6", always_row_zero, "first row only"),
    Wrong("6.6", row_and_position_confused, "nothing changed"),
    Wrong("6.6", only_row_zero_returned, says="a number came; expected a tensor"),
    Wrong("6.7", looks_at_the_last, "looks ahead"),
    Wrong("6.7", from_token_zero, "looks ahead"),
    Wrong("6.7", softmax_of_softmax, "normalised twice"),
    Wrong("6.7", averaged_over_queries, "mean over queries"),
    Wrong("6.7", heads_averaged, says="(layer, head, entry)"),
    Wrong("6.8", effects_summed, "effects added up"),
    Wrong("6.8", overwrote_the_result, "last head only"),
    Wrong("6.8", dictionary_by_layer, "one head in each layer"),
    Wrong("6.8", layers_as_a_whole, "whole layers"),
    Wrong("6.8", from_corrupted_into_clean, "clean and corrupted swapped"),
    Wrong("6.8", pairs_read_backwards, "layer and head swapped"),
    Wrong("6.8", in_the_given_order, says="in which the model runs them"),
]
