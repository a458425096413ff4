"""What people use instead: the head sweep as tutorials write it, with plain hooks, with one trace a head, and with
TransformerLens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from course_utils.model.anatomy import anatomy
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.nodes import Edge

HeadList = Sequence[tuple[int, int]]


def all_heads(model: Any) -> list[tuple[int, int]]:
    parts = anatomy(model)
    return [(layer, head) for layer in range(parts.n_layers) for head in range(parts.n_heads)]


@torch.no_grad()
def loop_of_hooks(
    model: Any, clean: torch.Tensor, corrupted: torch.Tensor, answers: Sequence[int], heads: HeadList | None = None
) -> torch.Tensor:
    """One forward pass for each head, by PyTorch's hooks; `heads` for a part of them. Prompts are token ids
    (position,).
    """
    parts, network = anatomy(model), model._module
    kept: dict[int, torch.Tensor] = {}
    projections = [envoy._module for envoy in parts.out_projections]

    def keep(layer: int) -> Any:
        return lambda _module, args: kept.__setitem__(layer, args[0].clone())

    handles = [module.register_forward_pre_hook(keep(layer)) for layer, module in enumerate(projections)]
    network(clean[None])
    for handle in handles:
        handle.remove()
    found = []
    for layer, head in heads or all_heads(model):
        columns = slice(head * parts.head_width, (head + 1) * parts.head_width)

        def patch(_module: Any, args: tuple, layer: int = layer, columns: slice = columns) -> tuple:
            changed = args[0].clone()
            changed[..., columns] = kept[layer][..., columns]
            return (changed, *args[1:])

        handle = projections[layer].register_forward_pre_hook(patch)
        logits = network(corrupted[None]).logits
        handle.remove()
        found.append(logits[0, -1, answers[0]] - logits[0, -1, answers[1]])
    return torch.stack(found) if heads else torch.stack(found).reshape(parts.n_layers, parts.n_heads)


@torch.no_grad()
def trace_per_head(model: Any, clean: torch.Tensor, corrupted: torch.Tensor, answers: Sequence[int]) -> torch.Tensor:
    """One nnsight trace for each head."""
    parts = anatomy(model)
    with model.trace(clean[None]):
        kept = [parts.heads(layer) for layer in range(parts.n_layers)].save()  # type: ignore[attr-defined]
    result = torch.zeros(parts.n_layers, parts.n_heads)
    for layer, head in all_heads(model):
        with model.trace(corrupted[None]):
            parts.heads(layer)[:, :, head] = kept[layer][:, :, head]
            logits = model.output.logits[0, -1].save()
        result[layer, head] = logits[answers[0]] - logits[answers[1]]
    return result


@torch.no_grad()
def loop_of_paths(
    model: Any, clean: torch.Tensor, corrupted: torch.Tensor, answers: Sequence[int], edges: Sequence[Edge]
) -> torch.Tensor:
    """One forward pass for each edge from a head to a query, key, value or MLP, by PyTorch's hooks, as one writes it
    for the Llama family: the receiver's own copy of the stream gets what the sender writes otherwise. Two runs before.
    """
    parts, network = anatomy(model), model._module
    runs: list[dict[tuple[str, int], torch.Tensor]] = []
    for tokens in (clean, corrupted):
        kept: dict[tuple[str, int], torch.Tensor] = {}
        handles = []
        for layer, envoy in enumerate(parts.layers):
            block = envoy._module
            for name, module in (
                ("heads", block.self_attn.o_proj),
                ("stream", block.input_layernorm),
                ("middle", block.post_attention_layernorm),
            ):

                def keep(_module: Any, args: tuple, key: tuple = (name, layer), kept: dict = kept) -> None:
                    kept[key] = args[0].clone()

                handles.append(module.register_forward_pre_hook(keep))
        network(tokens[None])
        for handle in handles:
            handle.remove()
        runs.append(kept)
    found, width = [], parts.head_width
    for sender, receiver in edges:
        columns = slice(sender.head * width, (sender.head + 1) * width)
        moved = (runs[0]["heads", sender.layer] - runs[1]["heads", sender.layer])[..., columns]
        written = moved @ parts.layers[sender.layer]._module.self_attn.o_proj.weight[:, columns].T
        block = parts.layers[receiver.layer]._module
        if receiver.kind == "mlp":
            read = block.post_attention_layernorm(runs[1]["middle", receiver.layer] + written)
            module, part = block.mlp, slice(None)
        else:
            read = block.input_layernorm(runs[1]["stream", receiver.layer] + written)
            module = getattr(block.self_attn, f"{receiver.kind[0]}_proj")
            part = slice(receiver.head * width, (receiver.head + 1) * width)
        new = module(read)

        def put(_module: Any, _args: tuple, output: torch.Tensor, new: Any = new, part: slice = part) -> torch.Tensor:
            changed = output.clone()
            changed[..., part] = new[..., part]
            return changed

        handle = module.register_forward_hook(put)
        logits = network(corrupted[None]).logits
        handle.remove()
        found.append(logits[0, -1, answers[0]] - logits[0, -1, answers[1]])
    return torch.stack(found)


def transformer_lens_paths(model: Any) -> Callable[..., torch.Tensor] | None:
    """TransformerLens's direct paths from one head into the queries above it, on the same weights; None if it is not
    installed.
    """
    try:
        from transformer_lens import patching
    except ImportError:
        return None
    bridge = _bridge(model)

    @torch.no_grad()
    def sweep(
        clean: torch.Tensor, corrupted: torch.Tensor, answers: Sequence[int], layer: int, head: int
    ) -> torch.Tensor:
        _, theirs = bridge.run_with_cache(clean[None])
        _, own = bridge.run_with_cache(corrupted[None])
        return patching.get_act_patch_direct_path(
            bridge,
            corrupted[None],
            theirs,
            own,
            lambda logits: logits[0, -1, answers[0]] - logits[0, -1, answers[1]],
            layer,
            head,
            "q",
            verbose=False,
        )

    return sweep


def _bridge(model: Any) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:
        model._module.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device=str(model._module.device), dtype=torch.float32)


def transformer_lens(model: Any) -> Callable[[torch.Tensor, torch.Tensor, Sequence[int]], torch.Tensor] | None:
    """TransformerLens's own head patching on the same weights, or None where it is not installed."""
    try:
        from transformer_lens import patching
    except ImportError:
        return None
    patching.tqdm = partial(patching.tqdm, disable=True)  # a bar would stand between the measurements
    bridge = _bridge(model)

    @torch.no_grad()
    def sweep(clean: torch.Tensor, corrupted: torch.Tensor, answers: Sequence[int]) -> torch.Tensor:
        _, cache = bridge.run_with_cache(clean[None])
        return patching.get_act_patch_attn_head_out_all_pos(
            bridge, corrupted[None], cache, lambda logits: logits[0, -1, answers[0]] - logits[0, -1, answers[1]]
        )

    return sweep


@torch.no_grad()
def products_alone(model: Any, positions: int, fast: bool) -> None:
    """Only the matrix products that no head sweep with a growing batch can do without, on random numbers: the
    arithmetic limit.

    At layer l there are heads * (l + 1) rows of `positions` tokens, and every linear map of the layer has to be applied
    to them.
    """
    parts = anatomy(model)
    with fast_linear(fast):
        for layer, envoy in enumerate(parts.layers):
            tokens = parts.n_heads * (layer + 1) * positions
            inputs: dict[int, torch.Tensor] = {}
            for module in envoy._module.modules():
                if isinstance(module, torch.nn.Linear):
                    x = inputs.setdefault(
                        module.in_features, torch.ones(tokens, module.in_features, device=module.weight.device)
                    )
                    torch.nn.functional.linear(x, module.weight)
