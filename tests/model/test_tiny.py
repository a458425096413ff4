"""The tiny models: held against torch's modules and transformers' configurations, and shown to be worth testing on."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from course_utils.model.tiny import LAYERS, TINY_MODELS, WINDOW, build_tiny, draw_weights, tiny_tokenizer

PROMPT = "When Mike and Emma went to the cafe, Mike gave a coffee to the old man at the door"


def run(name: str, seed: int = 0, text: str = PROMPT, **kwargs: bool):
    """The tokens of `text` and what transformers' own module says about them."""
    ids = tiny_tokenizer()(text, return_tensors="pt").input_ids
    with torch.no_grad():
        return ids, build_tiny(name, seed)(ids, **kwargs)


# --- the models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY_MODELS)
def test_predictions_are_uneven_and_come_from_the_layers(name: str) -> None:
    """A model that predicts every token alike, or repeats its input, would let wrong answers pass."""
    ids, out = run(name)
    probabilities = out.logits.softmax(-1)
    entropy = -(probabilities * probabilities.log()).sum(-1).mean().item()
    even = torch.log(torch.tensor(float(probabilities.shape[-1]))).item()
    assert 2.0 < entropy < even - 1.0
    winners = out.logits.argmax(-1)
    assert len(winners.unique()) > 8, "the winner hardly depends on the position"
    assert (winners == ids).float().mean() < 0.2, "most tokens predict themselves"


@pytest.mark.parametrize("name", TINY_MODELS)
def test_attention_has_peaks_and_no_head_is_like_another(name: str) -> None:
    _, out = run(name, output_attentions=True)
    assert len(out.attentions) == LAYERS
    for pattern in out.attentions:  # (batch, head, query, key)
        last = pattern[0, :, -1]
        torch.testing.assert_close(last.sum(-1), torch.ones(len(last)), rtol=0, atol=1e-5)
        assert last.max(-1).values.mean() > 1.8 / pattern.shape[-1]
        assert torch.cdist(last, last).fill_diagonal_(1).min() > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_parameter_matters(name: str) -> None:
    """Forgetting any norm, bias or matrix changes the logits: none of them was left where it does nothing."""
    ids, out = run(name)
    model = build_tiny(name)
    for parameter_name, parameter in model.named_parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            neutral = 1.0 if kept.ndim == 1 and not parameter_name.endswith("bias") else 0.0
            if neutral and name.startswith("tiny-gemma"):
                neutral = 0.0  # Gemma stores norms minus one
            parameter.fill_(neutral)
            moved = (model(ids).logits - out.logits).abs().max().item()
            parameter.copy_(kept)
        # A bias on the key adds the same to all scores of a query where positions are not mixed in after it.
        if not re.search(r"k_proj\.bias", parameter_name):
            assert moved > 1e-3, f"{parameter_name} does not matter"


@pytest.mark.parametrize("name", TINY_MODELS)
def test_seed_decides_the_weights_and_nothing_else_moves(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = build_tiny(name, 3), build_tiny(name, 3), build_tiny(name, 4)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    later = build_tiny(name, 3)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        assert torch.equal(value, later.state_dict()[key])
    assert not torch.equal(first.get_output_embeddings().weight, other.get_output_embeddings().weight)
    draw_weights(other, 3)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in first.state_dict().items())


def test_families_differ_where_they_are_said_to() -> None:
    models = {name: build_tiny(name) for name in TINY_MODELS}
    config = {name: model.config for name, model in models.items()}
    parameters = {name: dict(model.named_parameters()) for name, model in models.items()}
    assert len({model.config.model_type for model in models.values()}) == len(TINY_MODELS)
    assert type(models["tiny-gpt2"].transformer.h[0].attn.c_proj).__name__ == "Conv1D"
    assert config["tiny-llama"].num_key_value_heads < config["tiny-llama"].num_attention_heads
    assert "model.layers.0.self_attn.q_proj.bias" in parameters["tiny-qwen2"]
    for name in ("tiny-qwen3", "tiny-gemma2", "tiny-gemma3"):
        assert config[name].head_dim * config[name].num_attention_heads != config[name].hidden_size
    assert "model.layers.0.self_attn.qkv_proj.weight" in parameters["tiny-phi3"]
    assert config["tiny-gemma2"].final_logit_softcapping and config["tiny-gemma2"].attn_logit_softcapping
    assert config["tiny-gpt-neox"].use_parallel_residual
    assert not any("input_layernorm" in key for key in parameters["tiny-olmo2"])
    assert config["tiny-cohere"].logit_scale != 1


def test_gemma2_logits_reach_their_cap() -> None:
    """Where no logit comes near the cap, forgetting it would not show."""
    _, out = run("tiny-gemma2")
    cap = build_tiny("tiny-gemma2").config.final_logit_softcapping
    assert 0.6 * cap < out.logits.abs().max() <= cap


@pytest.mark.parametrize("name", ["tiny-gemma2", "tiny-gemma3"])
def test_the_window_hides_old_tokens_on_some_layers_only(name: str) -> None:
    _, out = run(name, output_attentions=True)
    reach = [bool((pattern[0, :, -1, :-WINDOW] > 0).any()) for pattern in out.attentions]
    assert reach == [False, True, False]


# --- the tokenizer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt, tokens",
    [
        ("When Mike and Emma went to the cafe, Mike gave a coffee to", 14),
        ("When John and Mary went to the store, John gave a drink to", 14),
        ("The Eiffel Tower is in the city of Paris", 9),
        ("I think that this movie is wonderful", 7),
    ],
)
def test_the_words_of_the_course_are_one_token_each(prompt: str, tokens: int) -> None:
    assert len(tiny_tokenizer()(prompt).input_ids) == tokens


@pytest.mark.parametrize(
    "text",
    ["", " ", "in  1984 and   42", "antidisestablishmentarianism", "Привет, 世界 😀\t\r\n", "<|im_end|>x", "\x00é"],
)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_digits_are_single_and_nothing_is_added() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.tokenize("in 1984") == ["in", "Ġ", "1", "9", "8", "4"]
    assert tokenizer("1").input_ids == [tokenizer.convert_tokens_to_ids("1")]


def test_chat_template_speaks_chatml() -> None:
    tokenizer = tiny_tokenizer()
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in ids


def test_batches_are_padded_on_the_left() -> None:
    batch = tiny_tokenizer()(["Mike", "Mike and Emma"], padding=True, return_tensors="pt")
    assert batch.attention_mask.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_the_committed_json_is_what_the_script_makes() -> None:
    import course_utils

    path = Path(course_utils.__file__).parent / "model" / "data" / "make_tokenizer.py"
    spec = importlib.util.spec_from_file_location("make_tokenizer", path)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.make_tokenizer()
    committed = tiny_tokenizer()
    assert made.get_vocab() == committed.get_vocab()
    assert made.encode(PROMPT).ids == committed(PROMPT).input_ids
