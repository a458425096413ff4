"""Right answers to exercise 2.6."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch

from course_utils.model.anatomy import anatomy


def halves(model):
    """The modules of all attentions, and those of all MLPs."""
    parts = anatomy(model)
    return [[one._module for layer in half for one in layer] for half in (parts.attention_parts, parts.mlp_parts)]


def sets_of_matrices(model):
    parts, (attention, mlp) = anatomy(model), halves(model)
    ends = {parts.embedding._module.weight, *parts.unembedding._module.parameters()}
    ends |= set(parts.embedding._module.parameters())
    found = {
        "embedding": ends,
        "attention": {p for module in attention for p in module.parameters()},
        "mlp": {p for module in mlp for p in module.parameters()},
        "total": set(model._module.parameters()),
    }
    found["other"] = found["total"] - found["embedding"] - found["attention"] - found["mlp"]
    return {name: sum(p.numel() for p in matrices) for name, matrices in found.items()}


def each_matrix_has_a_name(model):
    """Which part a matrix belongs to, by the module that holds it."""
    parts, (attention, mlp) = anatomy(model), halves(model)
    ends = [parts.embedding._module, parts.unembedding._module]
    owner = {}
    for name, modules in (("embedding", ends), ("attention", attention), ("mlp", mlp)):
        for module in modules:
            owner.update(dict.fromkeys(map(id, module.parameters()), name))
    counts = Counter(dict.fromkeys(("embedding", "attention", "mlp", "other"), 0))
    for matrix in model._module.parameters():
        counts[owner.get(id(matrix), "other")] += matrix.numel()
    return {**counts, "total": counts.total()}


def tied_or_not(model):
    parts, (attention, mlp) = anatomy(model), halves(model)

    def size(module):
        return sum(math.prod(matrix.shape) for matrix in module.parameters())

    into, out = parts.embedding._module, parts.unembedding._module
    ends = size(into) + (0 if into.weight is out.weight else out.weight.numel())
    if getattr(out, "bias", None) is not None:
        ends += len(out.bias)
    counts = {"embedding": ends, "attention": sum(map(size, attention)), "mlp": sum(map(size, mlp))}
    counts["total"] = size(model._module)
    counts["other"] = 2 * counts["total"] - sum(counts.values())
    return counts


def by_recursion(model):
    parts, (attention, mlp) = anatomy(model), halves(model)
    seen = set()

    def size(module):
        own = [matrix for matrix in module._parameters.values() if matrix is not None and id(matrix) not in seen]
        seen.update(map(id, own))
        return sum(matrix.nelement() for matrix in own) + sum(size(child) for child in module.children())

    counts = {"embedding": size(parts.embedding._module) + size(parts.unembedding._module)}
    counts["attention"] = sum(size(module) for module in attention)
    counts["mlp"] = sum(size(module) for module in mlp)
    counts["other"] = size(model._module)  # what was not seen yet
    return counts | {"total": sum(counts.values())}


def numbers_of_numpy(model):
    return {name: np.int64(n) for name, n in sets_of_matrices(model).items()}


def numbers_without_axes(model):
    return {name: torch.tensor(n) for name, n in each_matrix_has_a_name(model).items()}


def by_where_they_lie(model):
    """A shared matrix lies at one address, whatever it is called."""
    parts, (attention, mlp) = anatomy(model), halves(model)

    def size(modules):
        places = {p.data_ptr(): p.numel() for module in modules for p in module.state_dict(keep_vars=True).values()}
        return sum(places.values())

    def parameters(modules):
        return sum({p.data_ptr(): p.numel() for module in modules for p in module.parameters()}.values())

    named = {"embedding": size([parts.embedding._module, parts.unembedding._module])}
    named |= {"attention": parameters(attention), "mlp": parameters(mlp)}
    total = parameters([model._module])
    return {"total": total, "other": total - sum(named.values()), **named}


RIGHT = [
    sets_of_matrices,
    each_matrix_has_a_name,
    tied_or_not,
    by_recursion,
    numbers_of_numpy,
    numbers_without_axes,
    by_where_they_lie,
]
