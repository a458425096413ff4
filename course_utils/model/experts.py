"""The MLPs of a model, as they would be told to somebody: one of each layer, or many experts of which a few are asked.

A mixture of experts (Shazeer et al. 2017, https://arxiv.org/abs/1701.06538; Fedus et al. 2021,
https://arxiv.org/abs/2101.03961) has many MLPs in a layer, and a router that sends each token to a few of them. Its
modules are found by role: what is called ``experts`` holds them, what has "shared" in its name is asked for each token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from course_utils.model.anatomy import Anatomy

_ACTIVATIONS = ("hidden_activation", "hidden_act", "activation_function", "mlp_hidden_act", "activation")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts")


@dataclass(frozen=True)
class Experts:
    """The experts of a model.

    count: in one layer. active: how many a token is sent to, None if nothing says so. inner, gated: one expert's hidden
    width, and whether it has a gate. shared: the hidden width of what each token passes besides, 0 if there is none.
    layers: those that have experts. parameters: of all experts of all layers, without routers and shared ones.
    """

    count: int
    active: int | None
    inner: int
    gated: bool
    shared: int
    layers: tuple[int, ...]
    parameters: int


def find_experts(parts: Anatomy) -> Experts | None:
    """The experts of a model, or None where each layer has a single MLP."""
    found = {layer: one for layer in range(parts.n_layers) if (one := _experts_of(parts, layer)) is not None}
    if not found:
        return None
    layer, holder = next(iter(found.items()))
    config = parts.model._module.config.get_text_config(decoder=True)
    matrices = _matrices(holder)
    count = _count(holder, config, matrices)
    shared = [
        module
        for part in parts.mlp_parts[layer]
        for name, module in _named(part)
        if "shared" in name and "gate" not in name.split(".")[-1] and _matrices(module)
    ]
    total = sum(weight.numel() for one in found.values() for weight in one.parameters())
    inner, gated = _shape(matrices, parts.width, count)
    return Experts(
        count=count,
        active=_active(config, [module for part in parts.mlp_parts[layer] for _, module in _named(part)]),
        inner=inner,
        gated=gated,
        shared=_shape(_matrices(shared[0]), parts.width, 1)[0] if shared else 0,
        layers=tuple(found),
        parameters=total,
    )


def describe_mlp(parts: Anatomy) -> str:
    """How wide a single MLP is, gated or not, and with which activation, of the first layer that has one."""
    config = parts.model._module.config.get_text_config(decoder=True)
    dense = [layer for layer in range(parts.n_layers) if parts.mlp_parts[layer] and _experts_of(parts, layer) is None]
    experts = find_experts(parts)
    if experts is not None:
        text = f"{experts.count} experts, {experts.active or 'not said how many'} active, each {experts.inner}"
        text += f", {'gated' if experts.gated else 'not gated'}, {_activation(parts, config)}"
        text += f"; a shared one of {experts.shared}" if experts.shared else ""
        if dense:
            of = [weight for part in parts.mlp_parts[dense[0]] for weight in _matrices(part._module)]
            wide, _ = _shape(of, parts.width, 1)
            text += f"; one of {wide} in layer{'s' * (len(dense) > 1)} {_numbers(dense)}"
        return text
    if not dense:
        return "none"
    matrices = [weight for part in parts.mlp_parts[dense[0]] for weight in _matrices(part._module)]
    inner, gated = _shape(matrices, parts.width, 1)
    return f"{inner}, {'gated' if gated else 'not gated'}, {_activation(parts, config)}"


def _experts_of(parts: Anatomy, layer: int) -> torch.nn.Module | None:
    for part in parts.mlp_parts[layer]:
        for name, module in _named(part):
            if name.split(".")[-1] == "experts" and _matrices(module):
                return module
        if hasattr(part._module, "router") and hasattr(part._module, "input_linear"):  # Granite's, in one module
            return part._module
    return None


def _named(part: Any) -> list[tuple[str, torch.nn.Module]]:
    """The modules of a half, by their names in the model's tree, so that a half that is itself `experts` is seen."""
    own = part.path.split(".")[-1]
    return [(f"{own}.{name}".strip("."), module) for name, module in part._module.named_modules()]


def _matrices(module: torch.nn.Module) -> list[torch.Tensor]:
    """Its weights without biases and routers: where experts lie in one tensor each, those of three dimensions."""
    weights: list[torch.Tensor] = [
        weight
        for name, weight in module.named_parameters()
        if weight.ndim >= 2 and "bias" not in name and "router" not in name
    ]
    deep = [weight for weight in weights if weight.ndim == 3]
    return deep or weights


def _count(holder: torch.nn.Module, config: Any, matrices: list[torch.Tensor]) -> int:
    if isinstance(holder, torch.nn.ModuleList):
        return len(holder)
    if matrices[0].ndim == 3:
        return matrices[0].shape[0]
    names = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
    asked = (holder, config, getattr(config, "ffn_config", None))
    return next((value for one in asked for name in names if (value := getattr(one, name, None))), 1)


def _active(config: Any, modules: list[torch.nn.Module]) -> int | None:
    for one in (config, getattr(config, "ffn_config", None)):
        for name in _ACTIVE:
            value = getattr(one, name, None)
            if value is not None:
                return int(value[0] if isinstance(value, list) else value)
    return next((value for one in modules if isinstance(value := getattr(one, "top_k", None), int)), None)


def _shape(matrices: list[torch.Tensor], width: int, count: int) -> tuple[int, bool]:
    """The hidden width of one of `count` MLPs, and whether it is gated: a gated one has three matrices of one size (or
    one of double size and one), any other two.
    """
    sizes = [weight.numel() for weight in matrices]
    total, alone = sum(sizes), max(sizes) < sum(sizes) / 2 + 1  # no matrix of double size
    gated = total == 3 * sizes[-1] or (not alone and total == 3 * min(sizes)) or len(sizes) % 3 == 0
    return total // (3 if gated else 2) // width // count, gated


def _activation(parts: Anatomy, config: Any) -> str:
    for name in _ACTIVATIONS:
        value = getattr(config, name, None)
        if isinstance(value, str):
            return value
        if isinstance(value, dict) and "name" in value:
            return str(value["name"])
    block = parts.layers[0]._module
    kinds = [type(module).__name__ for name, module in block.named_modules() if "act" in name.split(".")[-1]]
    return kinds[0] if kinds else "an activation that the configuration does not name"


def _numbers(layers: list[int]) -> str:
    return ", ".join(map(str, layers[:6])) + (", ..." if len(layers) > 6 else "")
