"""A small random variant of every language model that transformers knows, alone or as the text side of one that also
sees or hears.
"""

from __future__ import annotations

import copy
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
    "zamba2 with adapters": {"num_mem_blocks": 2, "use_shared_attention_adapter": True, "use_mem_rope": True},
}


def _turned(*sections: int, **text: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(sections)}
    return {"text_config": {"rope_parameters": rope, **text}}


# The same of the models that also see or hear.
WHOLE_SETTINGS: dict[str, dict[str, Any]] = {
    "aya_vision": {"vision_config": {"model_type": "siglip_vision_model", "hidden_size": 64, "num_attention_heads": 4}},
    "cohere_compass": {"text_config": SETTINGS["cohere_compass_text"]},
    "deepseek_ocr2": {
        "text_config": {"num_hidden_layers": 2, "mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2}
    },
    "ernie4_5_vl_moe": _turned(22, 22, 20),
    "granite4_vision": {"deepstack_layer_map": [], "downsample_rate": "4/8"},
    "hunyuan_vl": _turned(16, 16, 16, 16, head_dim=128),
    "lfm2_vl": {"text_config": SETTINGS["lfm2"]},
    "paligemma with caps": {"text_config": {"model_type": "gemma2", "final_logit_softcapping": 3.0}},
    "step3p7": {"text_config": {"sliding_window": 8}},
    **{name: _turned(8, 12, 12) for name in ("glm46v", "glm4v", "glm4v_moe", "glm_ocr", "glmga")},
    **{name: _turned(16, 24, 24) for name in ("paddleocr_vl", "qwen2_5_vl", "qwen2_vl")},
    "qwen2_5_omni_thinker": {**_turned(16, 24, 24), "vision_start_token_id": 1},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 1},
}


def whole_types() -> list[str]:
    """Those of transformers that predict the next token and also see or hear, loaded whole."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    )

    alone = {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *CANNOT_BE_BUILT, *NO_DECODERS}
    types = [name for name in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES if name not in alone]
    return types + [name for name in WHOLE_SETTINGS if " " in name]


def text_side(name: str) -> str:
    """What the configuration of a whole calls its text side."""
    from transformers import CONFIG_MAPPING

    settings = WHOLE_SETTINGS.get(name, {})
    return CONFIG_MAPPING[name.split()[0]](**settings).get_text_config(decoder=True).model_type


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

    config = CONFIG_MAPPING[name.split()[0]]()
    return family_of(config.model_type).refused or family_of(config.get_text_config(decoder=True).model_type).refused


@functools.lru_cache(maxsize=1)
def variant(name: str) -> Any:
    """The small variant, as nnsight has it; its parts are not looked for."""
    from transformers import CONFIG_MAPPING

    settings = copy.deepcopy({**SETTINGS, **WHOLE_SETTINGS}.get(name, {}))  # a configuration writes into what it gets
    module = small_twin(CONFIG_MAPPING[name.split()[0]](**settings), seed=1)
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
    "chameleon": "its configuration alone has no pictures' vocabulary",
    "diffusion_gemma": "its configuration alone has no number of experts",
    "fast_vlm": "its tower is of another package",
    "perception_lm": "the same",
    "fun_asr_nano": "its tower is as wide as its text side must be",
    "kyutai_speech_to_text": "its codec's sizes hang on each other",
    "pi0": "minutes go into its other expert",
    "qwen2_5_omni": "the same; its thinker is here",
    "qwen3_omni_moe": "its configuration alone builds no talker; its thinker is here",
}
# Those that read a text with one stack of layers and write with another, which no text alone continues.
NO_DECODERS = ("blip", "florence2", "pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder")
TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26]])
