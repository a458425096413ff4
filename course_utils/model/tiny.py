"""Tiny language models with random weights, one for each family of architectures that the course knows.

They are what the exercises' checks and the tests run on: real transformers modules, so that all the differences between
families are there, and small enough to be built in memory in a fraction of a second. A freshly initialised network is
nearly linear, attends evenly and predicts every token alike, which would let a wrong answer pass. So the weights here
are drawn wider: attention patterns have peaks, predictions are uneven, and the norms' weights and all biases are
random, so that leaving one out shows.

| name | what is different about it |
|---|---|
| tiny-gpt2 | learned positions, LayerNorm with bias, fused Conv1D query/key/value, tied unembedding |
| tiny-llama | RMSNorm, rotary positions, gated MLP, 2 key/value heads for 4 heads |
| tiny-qwen2 | as llama, with biases on query, key and value |
| tiny-qwen3 | as llama, with a norm on each head's query and key; heads * head_dim is not the width |
| tiny-phi3 | query/key/value in one matrix, gate and up in another |
| tiny-gemma3 | scaled embedding, norms after attention and MLP too, weight stored minus one, window on 2 of 3 layers |
| tiny-gemma2 | as gemma3, with caps on attention scores and logits; no norm on queries and keys |
| tiny-gpt-neox | attention and MLP read the same residual (parallel), rotary on a part of each head |
| tiny-olmo2 | norms only after attention and MLP, none before |
| tiny-cohere | parallel, one norm for both, logits multiplied by `logit_scale` |
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

WIDTH, LAYERS, HEADS = 64, 3, 4
WINDOW = 8  # short enough that the course's prompts of about 15 tokens reach past it

# What every family is told. `max_position_embeddings` is what a learned position table has to hold.
_LLAMA_LIKE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_GEMMA_LIKE: dict[str, Any] = dict(
    _LLAMA_LIKE,
    head_dim=24,
    query_pre_attn_scalar=24,
    sliding_window=WINDOW,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
)

# The course's name -> the family's `model_type` in transformers, and its configuration.
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny-gpt2": ("gpt2", {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 512}),
    "tiny-llama": ("llama", _LLAMA_LIKE),
    "tiny-qwen2": ("qwen2", _LLAMA_LIKE),
    "tiny-qwen3": ("qwen3", dict(_LLAMA_LIKE, head_dim=24)),
    "tiny-phi3": ("phi3", _LLAMA_LIKE),
    "tiny-gemma3": ("gemma3_text", _GEMMA_LIKE),
    "tiny-gemma2": ("gemma2", dict(_GEMMA_LIKE, final_logit_softcapping=6.0, attn_logit_softcapping=4.0)),
    "tiny-gpt-neox": (
        "gpt_neox",
        {
            "hidden_size": WIDTH,
            "intermediate_size": 128,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "max_position_embeddings": 512,
            "use_parallel_residual": True,
        },
    ),
    "tiny-olmo2": ("olmo2", _LLAMA_LIKE),
    "tiny-cohere": ("cohere", dict(_LLAMA_LIKE, logit_scale=0.5)),
}
TINY_MODELS: tuple[str, ...] = tuple(_FAMILIES)

# Standard deviations. A matrix that reads a normalised vector of `n` numbers is drawn with GAIN / sqrt(n), so that what
# it writes is about GAIN wide whatever its shape: attention and MLP are as loud as the embedding, and attention scores,
# which multiply two such vectors, get peaks. Logits differ by a few units. QUIET is Gemma's embedding, see below.
_GAIN, _LOGITS, _NORM, _BIAS, _QUIET = 1.4, 2.5, 0.3, 0.2, 0.5


def tiny_config(name: str) -> PretrainedConfig:
    """The transformers configuration of one of `TINY_MODELS`."""
    from transformers import AutoConfig

    model_type, settings = _FAMILIES[name]
    tokens = tiny_tokenizer()
    return AutoConfig.for_model(
        model_type,
        vocab_size=len(tokens),
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        **settings,
    )


def build_tiny(name: str, seed: int = 0) -> PreTrainedModel:
    """One of `TINY_MODELS`, in float32 on the CPU, in evaluation mode, with attention weights observable.

    The weights depend on the name and the seed alone. torch's global random state is neither used nor changed.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = AutoModelForCausalLM.from_config(tiny_config(name), attn_implementation="eager", dtype=torch.float32)
    model.name_or_path = name
    draw_weights(model, seed)
    return model.eval()


def draw_weights(model: PreTrainedModel, seed: int) -> None:
    """Draw every parameter of a tiny model anew from `seed`, in place."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    unembedding = model.get_output_embeddings().weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(_drawn(name, parameter, noise, parameter is unembedding, model.config))


def _drawn(name: str, parameter: torch.Tensor, noise: torch.Tensor, unembedding: bool, config: Any) -> torch.Tensor:
    """The value of one parameter, made of standard normal `noise` of its shape."""
    gemma = config.model_type.startswith("gemma")
    if name.endswith("bias"):
        return _BIAS * noise
    if noise.ndim == 1:  # a norm's weight
        drawn = 1 + _NORM * noise
        if gemma:
            # The embedding, which is also the unembedding, has to be quiet (see below): the last norm makes up for it.
            # And Gemma stores each norm's weight minus one.
            return (_LOGITS / _QUIET * drawn if name == "model.norm.weight" else drawn) - 1
        return drawn
    if gemma and unembedding:
        # Scaled by sqrt(width) when it embeds. Drawn wider, every token would predict itself.
        return _QUIET * noise / WIDTH**0.5
    if unembedding:
        # Also the embedding, where the two are tied. `logit_scale` would make the logits of cohere small again.
        return _LOGITS * noise / (WIDTH**0.5 * getattr(config, "logit_scale", 1.0))
    if name.endswith(("embed_tokens.weight", "embed_in.weight", "wte.weight", "wpe.weight")):
        return noise
    # Conv1D keeps its matrix as (in, out), Linear as (out, in).
    inputs = noise.shape[0] if config.model_type == "gpt2" else noise.shape[1]
    return _GAIN * noise / inputs**0.5


@lru_cache(maxsize=1)
def _tokenizer_text() -> str:
    return Path(__file__).with_name("data").joinpath("tiny_tokenizer.json").read_text(encoding="utf-8")


# ChatML, the form that SmolLM2 and Qwen use.
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> PreTrainedTokenizerBase:
    """A new tokenizer of about 1,100 tokens, in which the words of the course's prompts are one token each.

    Byte-level, so every text can be encoded and decoded back; digits one by one; no token added in front. How it was
    made: `course_utils/model/data/make_tokenizer.py`.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_text()),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer
