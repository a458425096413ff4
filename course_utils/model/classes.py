"""Which class of transformers reads a language model: of text alone, or the whole of one that also sees or hears.

Many models that people name first (Qwen-VL, LLaVA, Mistral 3, Gemma 3) are a language model with a tower for pictures
or sound beside it. Given a text and no picture, the towers do nothing: what runs is the language model, its "text
side". Where transformers has a class for the text side alone, that one is loaded; else the whole model is, and the
lessons look at its text side, whose parts are found and proven as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def reads_text_alone(config: PretrainedConfig) -> bool:
    """Whether transformers loads a model of this configuration as a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def can_continue_text(config: PretrainedConfig) -> bool:
    """Whether transformers has a class that predicts the next token with a model of this configuration."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

    return reads_text_alone(config) or config.model_type in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES


def auto_class(config: PretrainedConfig) -> Any:
    """The class of transformers' own choosing between families that loads a model of this configuration."""
    from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM

    return AutoModelForCausalLM if reads_text_alone(config) else AutoModelForMultimodalLM


def class_of(config: PretrainedConfig) -> Any:
    """The class that :func:`auto_class` would pick; None where transformers has none."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING

    known = MODEL_FOR_CAUSAL_LM_MAPPING if reads_text_alone(config) else MODEL_FOR_MULTIMODAL_LM_MAPPING
    return known.get(type(config), None)
