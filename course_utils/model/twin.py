"""A small random twin of a model, from its configuration alone: the same code and the same kinds of layers, narrow.

What runs elsewhere, or has shapes and no weights, cannot be tried here. Its twin can: transformers builds it from the
same configuration with every size cut down, a layer or two of each kind, and loud random weights. Where the parts of
the twin add up, so do those of the model, since both run the same lines of code. No size is ever read off a twin.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from course_utils.model.classes import class_of
from course_utils.model.finding import find_unembedding

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_WIDTH, _HEADS, _HEAD_WIDTH, _VOCABULARY, _POSITIONS, _WINDOW = 64, 4, 16, 1152, 256, 8
_MOST_LAYERS = 8

# What each size becomes, by the names that configurations give it. A size that is missing, None or 0 stays so.
_SIZES: tuple[tuple[int, str], ...] = (
    (_WIDTH, "hidden_size d_model n_embd emb_dim embed_dim embedding_dim word_embed_proj_dim lru_width"),
    (96, "intermediate_size ffn_dim n_inner ffn_hidden_size intermediate_size_mlp dff dim_ff"),
    (96, "dense_intermediate_size prefix_dense_intermediate_size"),
    (48, "moe_intermediate_size expert_ffn_hidden_size shared_intermediate_size shared_expert_intermediate_size"),
    (48, "moe_shared_expert_intermediate_size shared_experts_intermediate_size"),
    (_HEADS, "num_attention_heads n_head n_heads num_heads attention_heads swa_num_attention_heads"),
    (_HEADS, "linear_num_value_heads linear_num_heads num_attention_heads_per_layer"),
    (2, "linear_num_key_heads index_n_heads indexer_n_heads indexer_kv_heads n_group num_expert_group n_groups"),
    (2, "num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k top_k_experts"),
    (1, "topk_group"),
    (_HEAD_WIDTH, "head_dim v_head_dim qk_nope_head_dim kv_channels dim_head swa_head_dim swa_v_head_dim"),
    (_HEAD_WIDTH, "linear_key_head_dim linear_value_head_dim linear_head_dim mamba_d_head mamba_head_dim"),
    (_HEAD_WIDTH, "mamba_headdim mamba_chunk_size chunk_size attention_head_dim index_head_dim indexer_head_dim"),
    (2 * _HEAD_WIDTH, "global_head_dim"),
    (8, "qk_rope_head_dim rotary_dim num_experts n_routed_experts num_local_experts moe_num_experts"),
    (8, "mamba_n_heads mamba_num_heads mamba_d_state ssm_state_size state_size mamba_dt_rank time_step_rank"),
    (8, "laurel_rank adapter_rank zero_expert_num hc_lowrank d_rel router_hidden_size"),
    (2 * _WIDTH, "mamba_d_ssm"),
    (_HEAD_WIDTH + 8, "qk_head_dim kv_lora_rank q_lora_rank o_lora_rank hidden_size_per_layer_input gated_norm_rank"),
    (_WINDOW, "sliding_window window_size attention_window_size local_attention sliding_window_size"),
    (_WINDOW, "attention_chunk_size"),
    (64, "index_topk max_inference_chunksize"),
    (_POSITIONS, "max_position_embeddings n_positions max_seq_len n_ctx context_length model_max_length rel_extent"),
    (_VOCABULARY, "vocab_size vocab_size_per_layer_input"),
)
_SMALL = {name: size for size, names in _SIZES for name in names.split()}
_HEAD_COUNTS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_KV_HEAD_COUNTS = (
    *("num_key_value_heads", "num_kv_heads", "num_global_key_value_heads", "swa_num_key_value_heads"),
    *("kv_n_heads", "num_query_groups"),
)
_LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks", "layers")
# Lists by number of layer, and not one entry for each: indices of the layers that are so.
_LAYER_INDICES = ("moe_layers", "full_attn_idxs", "mlp_only_layers", "hybrid_layer_ids", "attn_layer_indices")
# Sizes of a tower that are the width of the text side, which it writes to.
_OF_TEXT = ("out_hidden_size", "text_hidden_size")
_FIRST_DENSE = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")

_ZAMBA: dict[str, Any] = {
    "num_hidden_layers": 3,
    "layers_block_type": ["linear_attention", "hybrid", "hybrid"],  # the two share one attention
    "attention_hidden_size": 2 * _WIDTH,
    "attention_head_dim": 2 * _WIDTH // _HEADS,
    "hybrid_layer_ids": [1, 2],
}
# Sizes that hang on others of the same family, and periods that a few layers would not hold.
_EXCEPTIONS: dict[str, dict[str, Any]] = {
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_ssm": 128},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "dots3_note_text": {"num_key_value_heads": _HEADS},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "num_hidden_layers": 4, "expert_layer_period": 2},
    "bamba": {"attn_layer_indices": [1]},
    "ernie4_5_moe": {"moe_layer_end_index": 3},
    "zamba": _ZAMBA,
    "zamba2": _ZAMBA,
}


def small_config(config: PretrainedConfig) -> PretrainedConfig:
    """A copy of a configuration with every size cut down and a layer of each kind, two layers at least."""
    from transformers import CONFIG_MAPPING

    given = config.get_text_config(decoder=True).to_dict()
    settings = copy.deepcopy(given)
    settings.pop("quantization_config", None)
    heads = next((settings[name] for name in _HEAD_COUNTS if settings.get(name)), None)
    _few_layers(settings)
    for part in (settings, *(one for one in settings.values() if isinstance(one, dict))):
        _cut_sizes(part, heads)
    if given.get("head_dim") is not None and given.get("head_dim") == given.get("qk_rope_head_dim"):
        settings["head_dim"] = settings["qk_rope_head_dim"]  # what DeepSeek's configuration calls head_dim
    _turn_in_three(settings)
    settings.update(_EXCEPTIONS.get(settings["model_type"], {}))
    for name in settings:
        if name.endswith("_token_id"):
            settings[name] = None if settings[name] is None else 1
    return CONFIG_MAPPING[settings.pop("model_type")](**settings)


def small_twin(config: PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A model of :func:`small_config`, in float32 on the CPU, in evaluation mode, with loud random weights.

    Of a model that also sees or hears it is the whole class around a small text side, without its towers: no text
    meets them. torch's global random state is neither used nor changed.
    """
    build = class_of(config)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        small = small_config(config)
        how: dict[str, Any] = {"attn_implementation": "eager", "dtype": torch.float32}
        if type(small) in (type(config), build.config_class):
            module = build._from_config(small, **how)
        else:
            module = _without_towers(build, _around(config, small), how)
    draw_loud(module, seed)
    return module.eval().requires_grad_(False)


def _around(config: PretrainedConfig, small: PretrainedConfig) -> PretrainedConfig:
    """The configuration of the whole, with a small one of its text side inside."""
    from transformers import CONFIG_MAPPING, PretrainedConfig

    text = config.get_text_config(decoder=True)
    settings = copy.deepcopy(config.to_dict())
    for name, value in settings.items():
        part = getattr(config, name, None)
        if part is text:
            settings[name] = small.to_dict()
        elif isinstance(part, PretrainedConfig):
            for size in _OF_TEXT:
                if value.get(size) == text.hidden_size:
                    value[size] = small.hidden_size
        elif name.endswith(("_token_id", "_token_index")):
            settings[name] = None if value is None else 1
    return CONFIG_MAPPING[settings.pop("model_type")](**settings)


def _without_towers(build: Any, config: PretrainedConfig, how: dict[str, Any]) -> PreTrainedModel:
    """A model whose text side alone is made: what sees or hears is laid out without memory, and taken off."""
    with torch.device("meta"):
        whole = build._from_config(config, **how)
    decoder, head = whole.get_decoder(), find_unembedding(whole)
    names = {module: name for name, module in whole.named_modules()}
    made = (
        type(decoder)._from_config(decoder.config, **how),
        torch.nn.Linear(head.in_features, head.out_features, bias=head.bias is not None),
    )
    for old, new in zip((decoder, head), made, strict=True):
        whole.set_submodule(names[old], new)
    whole.tie_weights()
    _take_off(whole, made)
    return whole


class _NoTower(torch.nn.Module):
    """What stands where a tower was: Qwen2-Audio asks it for its device."""

    device = torch.device("cpu")
    dtype = torch.float32


def _take_off(module: Any, kept: tuple[Any, ...]) -> None:
    """Let go of every part below a module that neither holds nor is one of those to keep, whatever it is."""
    for name, child in list(module.named_children()):
        if not any(one in child.modules() for one in kept):
            setattr(module, name, _NoTower())
        elif child not in kept:
            _take_off(child, kept)
    for name, parameter in list(module.named_parameters(recurse=False)):
        if parameter.is_meta:  # what begins a line of a picture (LLaVA-NeXT)
            setattr(module, name, None)


def draw_loud(module: torch.nn.Module, seed: int) -> None:
    """Draw each matrix wide enough that what every part writes counts, and move each vector off where it starts.

    Freshly initialised parts write next to nothing: whatever one leaves out, the rest would add up within rounding.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(noise * 1.4 / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(0.2 * noise)
        for name, buffer in module.named_buffers():
            if name.endswith("layer_scalar"):  # learned, and stored as a buffer (Gemma 4)
                buffer.fill_(0.8)


def _cut_sizes(settings: dict[str, Any], heads: int | None) -> None:
    for name, size in _SMALL.items():
        given = settings.get(name)
        if isinstance(given, list):
            settings[name] = [min(size, one) for one in given]
        elif isinstance(given, int) and not isinstance(given, bool):
            settings[name] = min(size, given)
    for name in _KV_HEAD_COUNTS:
        given = settings.get(name)
        if isinstance(given, int) and given:
            settings[name] = 1 if given == 1 else _HEADS if given == heads else 2


def _turn_in_three(settings: dict[str, Any]) -> None:
    """Split the rotary half of the narrow heads between time, height and width (Qwen2-VL) as that of the wide ones was:
    what was as large as another stays so.
    """
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    if (sections := rope.get("mrope_section")) is not None:
        half = int(_HEAD_WIDTH * (rope.get("partial_rotary_factor") or 1)) // 2
        cut = [half * one // sum(sections) for one in sections]
        unlike = next((i for i, one in enumerate(sections) if sections.count(one) == 1), 0)
        cut[unlike] += half - sum(cut)
        rope["mrope_section"] = cut


def _few_layers(settings: dict[str, Any]) -> None:
    """Keep the first layer of each kind, in order, in every list that says something of each layer."""
    count = next((settings[name] for name in _LAYER_COUNTS if settings.get(name)), None)
    if count is None:
        return
    lists = {
        name: value for name, value in settings.items() if isinstance(value, list | tuple) and len(value) == count > 1
    }
    lists = {name: value for name, value in lists.items() if name not in _LAYER_INDICES}
    per_layer = settings.pop("per_layer_config", None) or {}
    # The last of them may take the keys and values of the ones below (Gemma 3n and 4).
    own = count - (settings.get("num_kv_shared_layers") or 0)
    kinds = [str([value[i] for value in lists.values()] + [per_layer.get(f"{i:02d}"), i >= own]) for i in range(count)]
    kept = sorted({kinds.index(kind) for kind in kinds})[:_MOST_LAYERS]
    kept = sorted({*kept, *range(min(2, count))} if len(kept) < 2 else kept)
    for name, value in lists.items():
        settings[name] = [value[i] for i in kept]
    if per_layer:
        # As many times as large as in the other layers as it was (Gemma 4: heads of twice the width).
        settings["per_layer_config"] = {
            f"{new:02d}": {
                name: _SMALL[name] * max(1, value // (settings.get(name) or value)) if name in _SMALL else value
                for name, value in per_layer[f"{old:02d}"].items()
            }
            for new, old in enumerate(kept)
            if f"{old:02d}" in per_layer
        }
    for name in _LAYER_COUNTS:
        if settings.get(name):
            settings[name] = len(kept)
    if settings.get("num_kv_shared_layers"):
        settings["num_kv_shared_layers"] = sum(i >= own for i in kept)
    for name in _LAYER_INDICES:
        if settings.get(name):
            settings[name] = [kept.index(i) for i in settings[name] if i in kept]
    for name in _FIRST_DENSE:
        if settings.get(name):
            settings[name] = 1
