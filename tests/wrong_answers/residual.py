"""Wrong answers to the exercises of lesson 2, written as learners write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream, word_position
from tests.wrong_answers import Wrong

# 2.1


def stream_from_the_embedding_module(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.embedding.output[0]]
        for layer in parts.layers:
            rows.append(layer.output[0])
        stream = torch.stack(rows).save()
    return stream


def stream_of_inputs(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for layer in parts.layers:
            rows.append(layer.input)
        stream = torch.cat(rows).save()
    return stream


def stream_from_transformers(model, prompt):
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    out = model._module(ids, output_hidden_states=True)
    return torch.cat(out.hidden_states)


def stream_backwards(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for layer in parts.layers:
            rows.insert(0, layer.output[0])
        stream = torch.stack(rows).save()
    return stream


def stream_of_additions(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for layer in parts.layers:
            before = layer.input[0]
            rows.append(layer.output[0] - before)
        stream = torch.stack(rows).save()
    return stream


def stream_without_embedding(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [layer.output[0] for layer in parts.layers]
        stream = torch.stack(rows).save()
    return stream


def stream_of_the_first_token(model, prompt):
    # The layer's output taken for a tuple: [0] is the batch row, and the next [0] the first position.
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0][0]]
        for layer in parts.layers:
            rows.append(layer.output[0][0])
        stream = torch.stack(rows).save()
    return stream


def stream_never_saved(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for layer in parts.layers:
            rows.append(layer.output)
        stream = torch.cat(rows)
    return stream


# 2.2


def change_in_length(model, prompt, changed):
    a = residual_stream(model, prompt).norm(dim=-1)
    b = residual_stream(model, changed).norm(dim=-1)
    return (b - a).abs() / a


def change_absolute(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return ((a - b) ** 2).sum(-1).sqrt()


def change_relative_to_changed(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return (a - b).norm(dim=-1) / b.norm(dim=-1)


def change_by_cosine(model, prompt, changed):
    return 1 - F.cosine_similarity(residual_stream(model, prompt), residual_stream(model, changed), dim=-1)


def change_without_root(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return ((a - b) ** 2).sum(-1) / (a**2).sum(-1)


def change_over_positions(model, prompt, changed):
    a, b = residual_stream(model, prompt), residual_stream(model, changed)
    return (a - b).norm(dim=1) / a.norm(dim=1)


# 2.3


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


# 2.4


def parts_before_the_post_norm(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for i in range(parts.n_layers):
            rows.append(parts.attentions[i].output[0][0])
            rows.append(parts.mlps[i].output[0])
        out = torch.stack(rows).save()
    return out


def parts_swapped(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input[0]]
        for i in range(parts.n_layers):
            attention = parts.attention_written(i)[0]
            rows += [parts.mlp_written(i)[0], attention]
        out = torch.stack(rows).save()
    return out


def parts_in_two_blocks(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        start = parts.layers[0].input
        attentions, mlps = [], []
        for i in range(parts.n_layers):
            attentions.append(parts.attention_written(i))
            mlps.append(parts.mlp_written(i))
        out = torch.cat([start, *attentions, *mlps]).save()
    return out


def parts_running_sum(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        total = parts.layers[0].input
        rows = [total]
        for i in range(parts.n_layers):
            total = total + parts.attention_written(i)
            rows.append(total)
            total = total + parts.mlp_written(i)
            rows.append(total)
        out = torch.cat(rows).save()
    return out


def parts_from_the_embedding_module(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.embedding.output]
        for i in range(parts.n_layers):
            rows.append(parts.attention_written(i))
            rows.append(parts.mlp_written(i))
        out = torch.cat(rows).save()
    return out


def parts_in_the_wrong_order(model, prompt):
    parts = anatomy(model)
    with model.trace(prompt):
        rows = [parts.layers[0].input]
        for i in range(parts.n_layers):
            mlp = parts.mlp_written(i)
            rows.append(parts.attention_written(i))
            rows.append(mlp)
        out = torch.cat(rows).save()
    return out


# 2.5


def _size(modules):
    return sum(p.numel() for module in modules for p in module._module.parameters())


def count_both_embeddings(model):
    parts = anatomy(model)
    total = sum(value.numel() for value in model._module.state_dict().values())
    # the state dict leaves a tied unembedding in, under its own name
    embedding, attention, mlp = _size([parts.embedding, parts.unembedding]), _size(parts.attentions), _size(parts.mlps)
    buffers = sum(
        value.numel()
        for name, value in model._module.state_dict().items()
        if name in dict(model._module.named_buffers())
    )
    total -= buffers
    return {
        "embedding": embedding,
        "attention": attention,
        "mlp": mlp,
        "other": total - embedding - attention - mlp,
        "total": total,
    }


def count_one_layer(model):
    parts = anatomy(model)
    total = sum(p.numel() for p in model._module.parameters())
    ends = [parts.embedding, parts.unembedding]
    embedding = sum({p: p.numel() for part in ends for p in part._module.parameters()}.values())
    attention, mlp = _size([parts.attentions[0]]), _size([parts.mlps[0]])
    return {
        "embedding": embedding,
        "attention": attention,
        "mlp": mlp,
        "other": total - embedding - attention - mlp,
        "total": total,
    }


def count_matrices(model):
    parts = anatomy(model)
    ends = {p for part in (parts.embedding, parts.unembedding) for p in part._module.parameters()}
    attention = sum(len(list(part._module.parameters())) for part in parts.attentions)
    mlp = sum(len(list(part._module.parameters())) for part in parts.mlps)
    total = len(list(model._module.parameters()))
    return {
        "embedding": len(ends),
        "attention": attention,
        "mlp": mlp,
        "other": total - len(ends) - attention - mlp,
        "total": total,
    }


def count_trainable(model):
    parts = anatomy(model)

    def size(modules):
        return sum(p.numel() for module in modules for p in module._module.parameters() if p.requires_grad)

    counts = {
        "embedding": size([parts.embedding, parts.unembedding]),
        "attention": size(parts.attentions),
        "mlp": size(parts.mlps),
    }
    total = size([model])
    return counts | {"other": total - sum(counts.values()), "total": total}


def count_without_norms(model):
    parts = anatomy(model)
    ends = {p: p.numel() for part in (parts.embedding, parts.unembedding) for p in part._module.parameters()}
    counts = {"embedding": sum(ends.values()), "attention": _size(parts.attentions), "mlp": _size(parts.mlps)}
    return counts | {"other": 0, "total": sum(counts.values())}


def count_total_only(model):
    return {"total": sum(p.numel() for p in model._module.parameters())}


# 2.6


def _patterns(model, ids):
    parts = anatomy(model)
    with model.trace([list(ids)]):
        layers = [parts.pattern(i)[0] for i in range(parts.n_layers)]
        found = torch.stack(layers).save()
    return found


def _ids(model, prompt):
    return model.tokenizer(prompt)["input_ids"]


def previous_upside_down(model, prompt):
    return _patterns(model, _ids(model, prompt)).diagonal(1, dim1=-2, dim2=-1).mean(-1)


def previous_is_self(model, prompt):
    return _patterns(model, _ids(model, prompt)).diagonal(dim1=-2, dim2=-1).mean(-1)


def previous_over_n(model, prompt):
    p = _patterns(model, _ids(model, prompt))
    return p.diagonal(-1, dim1=-2, dim2=-1).sum(-1) / p.shape[-1]


def previous_from_zero(model, prompt):
    p = _patterns(model, _ids(model, prompt))
    return torch.stack([p[:, :, q, q - 1] for q in range(p.shape[-1])]).mean(0)


def previous_summed(model, prompt):
    return _patterns(model, _ids(model, prompt)).diagonal(-1, dim1=-2, dim2=-1).sum(-1)


def previous_of_the_last(model, prompt):
    p = _patterns(model, _ids(model, prompt))
    return p[..., -1, -2]


def previous_head_by_layer(model, prompt):
    return _patterns(model, _ids(model, prompt)).diagonal(-1, dim1=-2, dim2=-1).mean(-1).T


# 2.7


def induction_same_token(model, half):
    n = len(half)
    p = _patterns(model, half + half)
    return torch.stack([p[:, :, q, q - n] for q in range(n, 2 * n)]).mean(0)


def induction_before(model, half):
    n = len(half)
    p = _patterns(model, half + half)
    return p.diagonal(-(n + 1), dim1=-2, dim2=-1).mean(-1)


def induction_whole_diagonal(model, half):
    return _patterns(model, half + half).diagonal(1 - len(half), dim1=-2, dim2=-1).mean(-1)


def induction_over_everything(model, half):
    n = len(half)
    p = _patterns(model, half + half)
    return p.diagonal(1 - n, dim1=-2, dim2=-1)[..., 1:].sum(-1) / (2 * n)


def induction_once(model, half):
    n = len(half)
    p = _patterns(model, half)
    return p.diagonal(1 - n, dim1=-2, dim2=-1).mean(-1)


def induction_head_by_layer(model, half):
    n = len(half)
    return _patterns(model, half + half).diagonal(1 - n, dim1=-2, dim2=-1)[..., 1:].mean(-1).T


# 2.8


def _hooked(model, prompt, module, keep, pre=False):
    handle = (module.register_forward_pre_hook if pre else module.register_forward_hook)(keep)
    try:
        model._module(torch.tensor([_ids(model, prompt)]))
    finally:
        handle.remove()


def hook_before(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = inputs[0][0].clone()

    _hooked(model, prompt, anatomy(model).layers[layer]._module, keep)
    return found["x"]


def hook_counts_from_one(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    _hooked(model, prompt, anatomy(model).layers[layer + 1]._module, keep)
    return found["x"]


def hook_on_attention(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0][0].clone()

    _hooked(model, prompt, anatomy(model).attentions[layer]._module, keep)
    return found["x"]


def hook_on_mlp(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    _hooked(model, prompt, anatomy(model).mlps[layer]._module, keep)
    return found["x"]


def hook_not_removed(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output[0].clone()

    anatomy(model).layers[layer]._module.register_forward_hook(keep)
    model._module(torch.tensor([_ids(model, prompt)]))
    return found["x"]


def hook_keeps_the_batch(model, prompt, layer):
    found = {}

    def keep(module, inputs, output):
        found["x"] = output

    _hooked(model, prompt, anatomy(model).layers[layer]._module, keep)
    return found["x"]


WRONG = [
    Wrong("2.1", stream_from_the_embedding_module, "embedding without positions"),
    Wrong("2.1", stream_of_inputs, "inputs for outputs"),
    Wrong("2.1", stream_from_transformers, "last depth normalised"),
    Wrong("2.1", stream_backwards, "deepest first"),
    Wrong("2.1", stream_of_additions, "what was added for what is there"),
    Wrong("2.1", stream_without_embedding, says="expected (4,"),
    Wrong("2.1", stream_of_the_first_token, says="(depth, position, dimension)"),
    Wrong("2.1", stream_never_saved, says="save it there"),
    Wrong("2.2", change_in_length, "difference of norms"),
    Wrong("2.2", change_absolute, "not relative"),
    Wrong("2.2", change_relative_to_changed, "relative to the changed prompt"),
    Wrong("2.2", change_by_cosine, "cosine distance"),
    Wrong("2.2", change_without_root, "squared"),
    Wrong("2.2", change_over_positions, says="(depth, position)"),
    Wrong("2.3", similarity_of_last_tokens, "last position"),
    Wrong("2.3", similarity_at_the_first_prompts_place, "one position for both"),
    Wrong("2.3", similarity_counted_from_the_end, "position from the wrong end"),
    Wrong("2.3", similarity_without_norms, "dot product"),
    Wrong("2.3", similarity_of_whole_prompts, "mean over positions"),
    Wrong("2.3", similarity_over_depth, says="(depth)"),
    Wrong("2.4", parts_before_the_post_norm, "before the norm after it"),
    Wrong("2.4", parts_swapped, "MLP before attention"),
    Wrong("2.4", parts_in_two_blocks, "all attentions, then all MLPs"),
    Wrong("2.4", parts_running_sum, "sums so far"),
    Wrong("2.4", parts_from_the_embedding_module, "embedding without positions"),
    Wrong("2.4", parts_in_the_wrong_order, says="read the earlier one first"),
    Wrong("2.5", count_both_embeddings, "tied embedding counted twice"),
    Wrong("2.5", count_one_layer, "one layer"),
    Wrong("2.5", count_matrices, "tensors for numbers"),
    Wrong("2.5", count_trainable, "only what trains"),
    Wrong("2.5", count_without_norms, "norms left out"),
    Wrong("2.5", count_total_only, says="expected 'embedding'"),
    Wrong("2.6", previous_upside_down, "query and key swapped"),
    Wrong("2.6", previous_is_self, "own token"),
    Wrong("2.6", previous_over_n, "divided by all positions"),
    Wrong("2.6", previous_from_zero, "divided by all positions"),
    Wrong("2.6", previous_summed, "sum for mean"),
    Wrong("2.6", previous_of_the_last, "last position only"),
    Wrong("2.6", previous_head_by_layer, says="(layer, head)"),
    Wrong("2.7", induction_same_token, "the same token"),
    Wrong("2.7", induction_before, "the token before"),
    Wrong("2.7", induction_whole_diagonal, "one query too many"),
    Wrong("2.7", induction_over_everything, "first half in the mean"),
    Wrong("2.7", induction_once, "not repeated"),
    Wrong("2.7", induction_head_by_layer, says="(layer, head)"),
    Wrong("2.8", hook_before, "layer's input"),
    Wrong("2.8", hook_counts_from_one, "one layer too far"),
    Wrong("2.8", hook_on_attention, "attention only"),
    Wrong("2.8", hook_on_mlp, "MLP only"),
    Wrong("2.8", hook_not_removed, "hook left behind"),
    Wrong("2.8", hook_keeps_the_batch, says="(position, dimension)"),
]
