"""Finding the parts of a decoder by their role in its tree of modules, with what :mod:`families` knows of its family.

What is found here is proven in :mod:`proving`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import Module, ModuleList

from course_utils.model.errors import AnatomyError
from course_utils.model.families import (
    ATTENTION,
    FINAL_NORM,
    MIXERS,
    MLP,
    OUT_PROJECTION,
    POST_NORMS,
    RECURRENT_KINDS,
    RESIDUAL_SCALES,
    Family,
    Layout,
    Source,
    family_of,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Scale = float | torch.Tensor
Written = tuple[tuple[Module, Scale], ...]


@dataclass(frozen=True)
class FoundLayer:
    """The parts of one layer, as torch modules; see :class:`~course_utils.model.anatomy.Anatomy` for what each is.

    kind: "attention", or what mixes positions without heads ("linear attention", ...), or "no mixing".
    """

    block: Module
    kind: str
    attention: Module | None
    out_projection: Module | None
    mixers: tuple[Module, ...]
    mlp: Module | None
    mlp_parts: tuple[Module, ...]
    attention_written: Written
    mlp_written: Written
    keeps: Scale
    n_heads: int
    n_kv_heads: int
    value_width: int
    kept_numbers: int
    window: int | None


def find_layers(hf: PreTrainedModel, config: PretrainedConfig) -> tuple[Module, list[FoundLayer]]:
    """The module that holds the layers, and the layers.

    Raises:
        AnatomyError: the family is one that the lessons do not fit, or a part was not found; the message says why.
    """
    name = config.model_type
    family = family_of(name)
    for known in (hf.config.model_type, name):  # the whole, and its text side
        if why := family_of(known).refused:
            raise AnatomyError(f"{known}: {why}. Try another model, such as GPT-2, Llama, Qwen or Gemma.")
    holder, blocks = _layer_list(hf, config, name)
    kinds = _kinds(config, blocks)
    layers = [
        _layer(block, number, kind, family, config)
        for number, (block, kind) in enumerate(zip(blocks, kinds, strict=True))
    ]
    if not any(layer.attention is not None for layer in layers):
        raise AnatomyError(f"{name}: none of its layers has attention, so there are no heads or patterns to look at.")
    return holder, layers


def final_norm(holder: Module, family: str) -> Module:
    """The norm in front of the unembedding."""
    return _part(holder, FINAL_NORM, "final norm", family)


def find_unembedding(hf: PreTrainedModel) -> Any:
    """The module from which the logits come; None if there is none. A whole that also sees may leave it to its text
    side to say which it is (Nemotron-H Omni).
    """
    from transformers import PreTrainedModel

    models = (part for part in hf.modules() if isinstance(part, PreTrainedModel))
    return next((found for part in models if (found := part.get_output_embeddings()) is not None), None)


def _layer_list(hf: PreTrainedModel, config: PretrainedConfig, family: str) -> tuple[Module, list[Module]]:
    # By role: the list of modules that is as long as the model is deep. A vision tower beside it has another decoder.
    count = config.num_hidden_layers
    decoder = hf.get_decoder()
    lists: list[tuple[str, Module, ModuleList]] = []
    for root in (decoder, hf.base_model, hf):
        for name, module in root.named_modules():
            lists += [
                (f"{name}.{below}".strip("."), module, child)
                for below, child in module.named_children()
                if isinstance(child, ModuleList)
            ]
        for _, holder, found in lists:
            if len(found) == count:
                return holder, list(found)
    names = ", ".join(dict.fromkeys(f"{name} ({len(found)})" for name, _, found in lists)) or "no list of modules"
    raise AnatomyError(
        f"{family}: looked for a list of {count} layers in {type(decoder).__name__}; found {names[:300]}."
    )


def _kinds(config: PretrainedConfig, blocks: list[Module]) -> list[str]:
    """What the configuration, or the layer itself, calls the kind of each layer; "" where neither says."""
    listed = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    if listed is None or len(listed) != len(blocks):
        listed = [getattr(block, "block_type", None) or "" for block in blocks]
    return [str(kind) for kind in listed]


def _layer(block: Module, number: int, kind: str, family: Family, config: PretrainedConfig) -> FoundLayer:
    name = config.model_type
    layout = family.kinds.get(kind, family.layer)
    attention, mixer, called = _mixing_halves(block, kind, layout, name)
    mlp = None if layout.mlp == "" else _part(block, (layout.mlp,) if layout.mlp else MLP, "MLP", name)
    mlp_parts = tuple(one for path in layout.mlp_parts if (one := below(block, path)) is not None)
    mlp_parts = mlp_parts or (() if mlp is None else (mlp,))
    out = None
    heads = kv_heads = value_width = kept = 0
    if attention is not None:
        paths = (layout.out_projection,) if layout.out_projection else OUT_PROJECTION
        out = _part(attention, paths, "attention output projection", name)
        heads = _count(attention, ("num_heads", "num_attention_heads", "n_heads", "n_head")) or _heads(config)
        kv_heads = _kv_heads(attention, heads, config)
        # The projection knows how wide what it reads is; the configuration's head_dim may be that of keys, or missing.
        value_width = _reads(out) // heads or getattr(config, "head_dim", None) or config.hidden_size // heads
        reads_below = number >= config.num_hidden_layers - (getattr(config, "num_kv_shared_layers", None) or 0)
        kept = 0 if reads_below else _kept(attention, kv_heads, value_width)  # Gemma 4: keys of a layer below
    mixers = tuple(one for one in (attention, mixer) if one is not None)
    norms = next((pair for pair in POST_NORMS if all(below(block, path) is not None for path in pair)), None)
    halves = (mixers, (mlp,) if mlp is not None else ())
    written = []
    for half, sources, norm in zip(
        halves, (layout.attention_writes, layout.mlp_writes), norms or (None, None), strict=True
    ):
        if sources is not None:
            written.append(_sources(block, sources))
        else:
            modules = half if norm is None or not half else (below(block, norm),)
            written.append(tuple((one, _residual_scale(block)) for one in modules))
    return FoundLayer(
        block=block,
        kind="attention" if attention is not None else called,
        attention=attention,
        out_projection=out,
        mixers=mixers,
        mlp=mlp,
        mlp_parts=mlp_parts,
        attention_written=written[0],
        mlp_written=written[1],
        keeps=layout.keeps(block),
        n_heads=heads,
        n_kv_heads=kv_heads,
        value_width=value_width,
        kept_numbers=kept,
        window=None if family.windowless else _window(config, number, kind),
    )


def _mixing_halves(block: Module, kind: str, layout: Layout, family: str) -> tuple[Module | None, Module | None, str]:
    """The module with heads, the one that mixes positions without any, and what the latter is called."""
    mixer, called = None, "no mixing"
    if layout.mixer != "":
        for path in (layout.mixer,) if layout.mixer else tuple(MIXERS):
            if (mixer := below(block, path)) is not None:
                called = MIXERS.get(path) or RECURRENT_KINDS.get(kind, "a recurrence")
                break
    if layout.attention == "":
        return None, mixer, called
    names = (layout.attention,) if layout.attention else ATTENTION
    attention = next((one for path in names if (one := below(block, path)) is not None), None)
    if attention is not None and kind in RECURRENT_KINDS and mixer is None:
        return None, attention, RECURRENT_KINDS[kind]  # attention's name, and something else in its place
    if attention is None and mixer is None:
        _part(block, names, "attention", family)
    return attention, mixer, called


def _sources(block: Module, sources: tuple[Source, ...]) -> Written:
    return tuple(
        (module, _number(source.scale(block)))
        for source in sources
        if (module := below(block, source.module)) is not None
    )


def _residual_scale(block: Module) -> Scale:
    for name in RESIDUAL_SCALES:
        value = getattr(block, name, None)
        if isinstance(value, int | float | torch.Tensor):
            return _number(value)
    return 1.0


def _number(value: Any) -> Scale:
    return value if isinstance(value, torch.Tensor) else float(value)


def _window(config: PretrainedConfig, number: int, kind: str) -> int | None:
    """How many tokens the layer's attention sees back, itself included; None for all."""
    local = getattr(config, "attention_layers", None)  # GPT-Neo
    if local is not None:
        return config.window_size if local[number] == "local" else None
    if kind == "chunked_attention":
        return getattr(config, "attention_chunk_size", None)
    # Mistral's configuration has a window and no kinds: every layer slides.
    slides = kind in ("sliding_attention", "hybrid_sliding") or getattr(config, "layer_types", None) is None
    return getattr(config, "sliding_window", None) if slides else None


def _heads(config: PretrainedConfig) -> int:
    return config.num_attention_heads


def _kv_heads(attention: Module, heads: int, config: PretrainedConfig) -> int:
    own = _count(attention, ("num_key_value_heads", "num_kv_heads"))
    groups = _count(attention, ("num_key_value_groups",))
    return own or (heads // groups if groups else getattr(config, "num_key_value_heads", None) or heads)


def _count(module: Module, names: tuple[str, ...]) -> int | None:
    return next((value for name in names if isinstance(value := getattr(module, name, None), int) and value), None)


def _reads(projection: Module) -> int:
    """How many numbers a linear map reads for each token; 0 if it does not say (GPT-2's Conv1D calls it nx)."""
    return getattr(projection, "in_features", None) or getattr(projection, "nx", None) or 0


def _kept(attention: Any, kv_heads: int, value_width: int) -> int:
    """How many numbers a cache keeps of each token in this layer.

    Latent attention keeps one vector from which all heads' keys and values are made, and one rotary key (DeepSeek-AI
    2024, https://arxiv.org/abs/2405.04434).
    """
    if hasattr(attention, "kv_lora_rank"):
        return attention.kv_lora_rank + attention.qk_rope_head_dim
    key_width = _count(attention, ("head_dim", "head_size")) or value_width
    return kv_heads * (key_width + value_width)


def below(module: Module, path: str) -> Any:
    """The module at a dotted path below another, or None."""
    try:
        found = operator.attrgetter(path)(module)
    except AttributeError:
        return None
    return found if isinstance(found, Module) else None


def _part(parent: Module, names: tuple[str, ...], role: str, family: str) -> Module:
    for name in names:
        if (found := below(parent, name)) is not None:
            return found
    children = ", ".join(name for name, _ in parent.named_children()) or "nothing"
    raise AnatomyError(
        f"{family}: looked for the {role} in {type(parent).__name__} as {', '.join(names)}; found {children}."
    )
