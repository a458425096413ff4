"""Wrong answers to exercise 2.6."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy
from tests.wrong_answers import Wrong


def _size(modules):
    return sum(p.numel() for module in modules for p in module._module.parameters())


def _counts(embedding, attention, mlp, total):
    other = total - embedding - attention - mlp
    return {"embedding": embedding, "attention": attention, "mlp": mlp, "other": other, "total": total}


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
    return _counts(embedding, attention, mlp, total)


def count_one_layer(model):
    parts = anatomy(model)
    total = sum(p.numel() for p in model._module.parameters())
    ends = [parts.embedding, parts.unembedding]
    embedding = sum({p: p.numel() for part in ends for p in part._module.parameters()}.values())
    attention, mlp = _size([parts.attentions[0]]), _size([parts.mlps[0]])
    return _counts(embedding, attention, mlp, total)


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


def count_weights_alone(model):
    """Without the biases."""
    parts = anatomy(model)

    def size(modules):
        found = {p: n for module in modules for n, p in module._module.named_parameters() if "bias" not in n}
        return sum(p.numel() for p in found)

    counts = {
        "embedding": size([parts.embedding, parts.unembedding]),
        "attention": size(parts.attentions),
        "mlp": size(parts.mlps),
    }
    return counts | {"other": size([model]) - sum(counts.values()), "total": size([model])}


def count_first_layer_times_layers(model):
    parts = anatomy(model)
    total = sum(p.numel() for p in model._module.parameters())
    ends = [parts.embedding, parts.unembedding]
    embedding = sum({p: p.numel() for part in ends for p in part._module.parameters()}.values())
    attention = _size(parts.attention_parts[0]) * parts.n_layers
    mlp = _size(parts.mlp_parts[0]) * parts.n_layers
    return _counts(embedding, attention, mlp, total)


def leaves_a_negative_rest(model):
    parts = anatomy(model)
    attention, mlp = (sum(map(_size, modules)) for modules in (parts.attention_parts, parts.mlp_parts))
    return _counts(_size([parts.embedding]) + _size([parts.unembedding]), attention, mlp, _size([model]))


WRONG = [
    Wrong("2.6", leaves_a_negative_rest, "tied embedding counted twice, the rest too small"),
    Wrong("2.6", count_both_embeddings, "tied embedding counted twice"),
    Wrong("2.6", count_one_layer, "one layer"),
    Wrong("2.6", count_matrices, "tensors for numbers"),
    Wrong("2.6", count_trainable, "only what trains"),
    Wrong("2.6", count_without_norms, "norms left out"),
    Wrong("2.6", count_total_only, says="expected 'embedding'"),
    Wrong("2.6", count_weights_alone, says="expected"),
    Wrong("2.6", count_first_layer_times_layers, "one layer times their number"),
]
