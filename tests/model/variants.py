"""A small random variant of every causal language model that transformers knows."""

from __future__ import annotations

import functools
from typing import Any

import torch

from course_utils.model.tiny import tiny_tokenizer
from course_utils.model.twin import small_twin
from course_utils.model.wrapping import wrap

# What the configuration class alone leaves out, or sets so that nothing of interest is left.
SETTINGS: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"num_experts_per_tok": 2, "topk_group": 1, "n_group": 1},
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16, "num_experts": 4, "moe_topk": 2},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 4},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}},
    },
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "clip_qkv": 8.0}},
    "granitemoehybrid": {
        "num_hidden_layers": 2,
        "layer_types": ["linear_attention", "full_attention"],
        "residual_multiplier": 0.5,
        "logits_scaling": 2.0,
    },
    "granite": {"residual_multiplier": 0.5, "logits_scaling": 2.0, "embedding_multiplier": 3.0},
    "lfm2": {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "gpt_neox": {"use_parallel_residual": True},
}


def model_types() -> list[str]:
    """Those of transformers that predict the next token: no encoders, and no two-sided ones."""
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    types = []
    for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        if name not in MODEL_FOR_MASKED_LM_MAPPING_NAMES and name not in CANNOT_BE_BUILT:
            config = CONFIG_MAPPING[name]()
            if not getattr(config, "is_encoder_decoder", False):
                types.append(name)
    return types


@functools.lru_cache(maxsize=1)
def variant(model_type: str) -> Any:
    """The small variant, as nnsight has it; its parts are not looked for."""
    from transformers import CONFIG_MAPPING

    module = small_twin(CONFIG_MAPPING[model_type](**SETTINGS.get(model_type, {})), seed=1)
    return wrap(module, tiny_tokenizer())


# What transformers lists among them and is no model of its own: drafts for another one, or a part of a larger one whose
# configuration alone builds nothing.
CANNOT_BE_BUILT: dict[str, str] = {
    "gemma4_assistant": "a draft for Gemma 4, whose configuration refuses its own defaults",
    "gemma4_unified_assistant": "a draft for Gemma 4, which reads its keys and values",
    "dots3_note": "its sizes hang on those of its towers",
    "dots3_note_text": "the same",
    "mllama": "its layers look at pictures",
    "phi4_multimodal": "its tower for sound alone has eleven million parameters",
}
TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26]])
