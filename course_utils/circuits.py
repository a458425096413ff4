# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Circuits: which part of the model speaks to which, path by path, and whether a set of paths is the whole story.

Patching a head (lesson 6) answers what it does by all roads together. Here each road has its own number. What a head
writes otherwise in the clean run than in the corrupted one is put in front of one single reader: the query of one head
above, or the logits. The functions here do that in the plainest way, for one path or a few; `patch_paths`, from
`course_utils.sweeps`, gives the same numbers for all paths, and `run_circuits` keeps a set of them and breaks the rest.

Paths: Wang et al. 2022 (https://arxiv.org/abs/2211.00593), Goldowsky-Dill et al. 2023
(https://arxiv.org/abs/2304.05969). Circuits of edges, and how one is judged: Conmy et al. 2023
(https://arxiv.org/abs/2304.14997); how much that depends on choices: Miller et al. 2024
(https://arxiv.org/abs/2407.08734).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.model.prompts import token_id
from course_utils.patching import check_head, check_prompts, head_outputs, ioi_pairs, mean_and_error, through_output
from course_utils.residual import residual_stream
from course_utils.sweeps import PathMap, direct_effects, edge_attribution, patch_paths, run_circuits
from course_utils.sweeps.nodes import Edge, Receiver, Sender, all_edges, all_receivers, all_senders

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "Edge",
    "PathMap",
    "Receiver",
    "Sender",
    "all_edges",
    "all_receivers",
    "all_senders",
    "direct_effect",
    "direct_effects",
    "edge_attribution",
    "faithfulness",
    "ioi_pairs",
    "mean_and_error",
    "named",
    "patch_paths",
    "queries",
    "query_path",
    "query_paths",
    "run_circuits",
    "sent",
    "strongest_edges",
    "unexplained",
    "without_each",
]


def sent(model: TransformersModel, clean: str, corrupted: str, layer: int, head: int) -> torch.Tensor:
    """What a head writes into the residual stream in the clean run minus in the corrupted run: (position, width)."""
    parts = anatomy(model)
    check_head(parts, layer, head)
    check_prompts(model, clean, corrupted)
    change = head_outputs(model, clean)[layer] - head_outputs(model, corrupted)[layer]  # (position, head, head width)
    return torch.stack([through_output(parts, layer, here)[head] for here in change])


def direct_effect(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    layer: int,
    head: int,
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """How far a head moves the logit difference along the direct path alone, past all later layers.

    Through the final norm with its divisor frozen at the corrupted run's, at the last token.
    """
    frozen = frozen_norm(model, residual_stream(model, corrupted)[-1, -1])
    plus, minus = (token_id(model, answer) for answer in answers)
    parts = anatomy(model)
    weight = parts.unembedding.weight  # (vocabulary, width)
    change = sent(model, clean, corrupted, layer, head)[-1]  # (width,)
    return float(frozen(change) @ (weight[plus] - weight[minus])) * parts.logit_scale


def queries(parts: Anatomy, layer: int) -> torch.Tensor:
    """The queries of a layer's heads (in a trace), before they are turned to their positions.

    Returns a view of shape (batch, position, head, head width); written to in place, it changes the run.

    Raises:
        ValueError: the queries are made neither by a `q_proj` (Llama) nor by a `c_attn` (GPT-2), or normed after it.
    """
    attention = parts.attentions[layer]
    if not _makes_plain_queries(parts, layer):
        raise ValueError(
            f"{parts.family}: queries are read where q_proj makes them, and here it does not, or not alone."
        )
    if hasattr(attention._module, "c_attn"):  # one matrix, with the queries in front of the keys and values
        return parts.split_heads(attention.c_attn.output[..., : parts.n_heads * parts.head_width])
    return parts.split_heads(attention.q_proj.output)


def _makes_plain_queries(parts: Anatomy, layer: int) -> bool:
    module = parts.attentions[layer]._module
    fused = hasattr(module, "c_attn") and getattr(module, "multi_query", True)  # GPT-BigCode may mix them by head
    return (fused or getattr(module, "q_proj", None) is not None) and not hasattr(module, "q_norm")


def has_paths_by_hand(model: TransformersModel) -> bool:
    """Whether :func:`sent` and :func:`queries` can be had on this model, and so every path by hand.

    Not where attention is normed before it is added, so that no head has a message of its own (Gemma, OLMo 2), nor
    where :func:`queries` refuses. The sweeps, :func:`patch_paths` and the others, need neither.
    """
    parts = anatomy(model)
    return parts.why_not_alike() is None and all(
        len(parts.attention_sources[layer]) == 1
        and parts.norm_after_heads(layer) is None
        and _makes_plain_queries(parts, layer)
        for layer in range(parts.n_layers)
    )


def query_path(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    sender: tuple[int, int],
    receiver: tuple[int, int],
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """The corrupted run's logit difference when one head's query reads what another head writes in the clean run.

    sender, receiver: each a (layer, head), the receiver's layer the higher one. Every other reader of the sender, and
    the receiver's key and value too, read what they do in the corrupted run.
    """
    parts = anatomy(model)
    layer, head = receiver
    check_head(parts, layer, head)
    check_below([sender], layer)
    first, second = (token_id(model, answer) for answer in answers)
    change = sent(model, clean, corrupted, *sender)  # (position, width)
    with model.trace(corrupted):
        parts.layers[layer].input = parts.layers[layer].input + change
        read = queries(parts, layer)[:, :, head].save()  # (1, position, head width)
    with model.trace(corrupted):
        queries(parts, layer)[:, :, head] = read
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def query_paths(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    senders: Sequence[tuple[int, int]],
    receiver: tuple[int, int],
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> torch.Tensor:
    """`query_path` from each of several heads, in two traces whose rows are the senders: a tensor (sender,)."""
    parts = anatomy(model)
    layer, head = receiver
    check_head(parts, layer, head)
    check_below(senders, layer)
    first, second = (token_id(model, answer) for answer in answers)
    change = torch.stack([sent(model, clean, corrupted, *sender) for sender in senders])  # (sender, position, width)
    batch = [corrupted] * len(senders)
    with model.trace(batch):
        parts.layers[layer].input = parts.layers[layer].input + change
        read = queries(parts, layer)[:, :, head].save()  # (sender, position, head width)
    with model.trace(batch):
        queries(parts, layer)[:, :, head] = read
        last = model.output.logits[:, -1].save()  # (sender, vocabulary)
    return last[:, first] - last[:, second]


def strongest_edges(effects: torch.Tensor, count: int) -> list[tuple[int, int]]:
    """The edges with the largest effects over several pairs of prompts, as (receiver, sender), the largest first.

    effects: (pair, receiver, sender), NaN where there is no edge. An edge's size is that of its mean over the pairs,
    up or down. Raises ValueError where count is less than 1 or more than there are edges.
    """
    mean = effects.mean(dim=0)
    sizes = mean.abs().nan_to_num(-1.0).flatten()
    if not 1 <= count <= int((sizes >= 0).sum()):
        raise ValueError(f"count is {count}; there are {int((sizes >= 0).sum())} edges.")
    order = sizes.argsort(descending=True, stable=True)[:count].tolist()
    return [(place // mean.shape[1], place % mean.shape[1]) for place in order]


def faithfulness(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> float:
    """How much of the way from the corrupted run to the clean one a circuit goes: 1 all of it, 0 nothing.

    kept, clean, corrupted: the logit differences of each pair in the circuit's run and in the two runs, (pair,). Of the
    means over the pairs, as in Wang et al. 2022.
    """
    return float((kept.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean()))


def unexplained(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    """The pairs of which a circuit explains less than a share `least`, each by itself, the worst first.

    kept, clean, corrupted: as for `faithfulness`, (pair,). A pair's share is its own way from corrupted to clean.
    """
    shares = (kept - corrupted) / (clean - corrupted)
    order = shares.argsort(stable=True).tolist()
    return [pair for pair in order if shares[pair] < least]


def without_each(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    circuit: Sequence[tuple[str, str]],
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> torch.Tensor:
    """What a circuit loses when one of its edges is taken out: a tensor (edge,), in logits.

    circuit: edges as (sender, receiver) names. Each number is the logit difference of the circuit's run minus that of
    the run without the edge.
    """
    smaller = [[edge for edge in circuit if edge != left_out] for left_out in circuit]
    runs = run_circuits(model, clean, corrupted, answers, circuits=[circuit, *smaller], progress=False)
    return runs[0] - runs[1:]


def named(edges: Iterable[tuple[int, int]], found: PathMap) -> list[tuple[str, str]]:
    """Edges given as (receiver, sender) numbers of a map, as (sender, receiver) names."""
    return [(str(found.senders[sender]), str(found.receivers[receiver])) for receiver, sender in edges]


def check_below(senders: Sequence[tuple[int, int]], layer: int) -> None:
    """Raises ValueError where a sender, (layer, head), does not come before a receiver's layer."""
    for below, _ in senders:
        if below >= layer:
            raise ValueError(f"Layer {below} does not come before layer {layer}: a receiver reads what is below it.")
