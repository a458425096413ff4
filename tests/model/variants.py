"""A small random variant of every causal language model that transformers knows."""

from __future__ import annotations

import functools
from typing import Any

import torch

from course_utils.model.families import family_of
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
    "granitemoeshared": {"shared_intermediate_size": 48, "residual_multiplier": 0.5},
    "granitemoe_swa": {"shared_intermediate_size": 48},
    # The same family, built in another way.
    "gpt_neox in a row": {"use_parallel_residual": False},
    "falcon with groups": {"new_decoder_architecture": True, "num_kv_heads": 2, "num_attention_heads": 8},
    "falcon in a row": {"parallel_attn": False, "alibi": True, "multi_query": False},
    "gemma4_text with experts": {
        "enable_moe_block": True,
        "num_experts": 8,
        "top_k_experts": 2,
        "moe_intermediate_size": 48,
    },
    "gemma4_text with shared keys": {"num_kv_shared_layers": 10},
    "deepseek_v3 with whole queries": {"q_lora_rank": None},
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
    return types + [name for name in SETTINGS if " " in name]


def refusal(name: str) -> str:
    """Why the lessons do not fit a family, as the table of families has it; "" where they do."""
    from transformers import CONFIG_MAPPING

    own = CONFIG_MAPPING[name.split()[0]]().get_text_config(decoder=True).model_type
    return family_of(own).refused


@functools.lru_cache(maxsize=1)
def variant(name: str) -> Any:
    """The small variant, as nnsight has it; its parts are not looked for."""
    from transformers import CONFIG_MAPPING

    module = small_twin(CONFIG_MAPPING[name.split()[0]](**SETTINGS.get(name, {})), seed=1)
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
