"""Lesson 2's functions, on every family, against plain PyTorch hooks, transformers' outputs, and TransformerLens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.residual import (
    GEMMA_3_1B,
    GEMMA_3_270M,
    attention_mask,
    attention_patterns,
    blueprint,
    count_parameters,
    induction_scores,
    layer_output_with_hook,
    mask_kind,
    model_card,
    previous_token_scores,
    residual_stream,
    stream_change,
    stream_parts,
    word_position,
    word_similarity,
)

PROMPT = "When Mike and Emma went to the store, Mike gave a coffee to"
CHANGED = "When Mike and Emma went to the school, Mike gave a coffee to"
REAL = "the lesson's model"
MODELS = [*TINY_MODELS, REAL]

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(params=MODELS)
def model(request: Any, tiny: Callable[..., Any], real_model: Any) -> Any:
    return real_model if request.param == REAL else tiny(request.param)


def run_transformers(model: Any, prompt: str, **asked: bool) -> Any:
    """The model called as transformers has it: no trace, no anatomy."""
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model._module(input_ids=ids, use_cache=False, **asked)


def hooked(model: Any, prompt: str, modules: list[Any]) -> list[torch.Tensor]:
    """What each of these torch modules puts out, in the order given, through plain forward hooks."""
    found: dict[int, torch.Tensor] = {}

    def keep(module: Any, inputs: Any, output: Any) -> None:
        found[id(module)] = (output[0] if isinstance(output, tuple) else output)[0].clone()

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        run_transformers(model, prompt)
    finally:
        for handle in handles:
            handle.remove()
    return [found[id(module)] for module in modules]


# The stream.


@pytest.mark.slow
def test_stream_is_what_transformers_calls_hidden_states(model: Any) -> None:
    """Against transformers' hidden_states, whose last entry is after the final norm, and plain hooks for that one."""
    stream = residual_stream(model, PROMPT)
    states = run_transformers(model, PROMPT, output_hidden_states=True).hidden_states
    assert len(stream) == len(states) == anatomy(model).n_layers + 1
    scale = float(stream[:-1].abs().max())
    torch.testing.assert_close(stream[:-1], torch.cat(states[:-1]), rtol=1e-4, atol=1e-5 * scale)
    torch.testing.assert_close(anatomy(model).normalise(stream[-1]), states[-1][0], **CLOSE)
    (last,) = hooked(model, PROMPT, [anatomy(model).layers[-1]._module])
    torch.testing.assert_close(stream[-1], last, rtol=1e-4, atol=1e-5 * float(last.abs().max()))


@pytest.mark.slow
def test_a_later_token_cannot_change_an_earlier_one(model: Any) -> None:
    """Against the prompt itself: every mask is causal, so before the change the streams are equal bit by bit."""
    change = stream_change(model, PROMPT, CHANGED)
    where = word_position(model, PROMPT, " store")
    assert change.shape == (anatomy(model).n_layers + 1, len(model.tokenizer(PROMPT)["input_ids"]))
    assert (change[:, :where] == 0).all()
    assert (change[:, where] > 0).all(), "the changed token itself differs at every depth"
    assert (change[0, where + 1 :] == 0).all(), "at depth 0 no token has seen another"
    window = anatomy(model).windows[0]
    reach = slice(where + 1, where + window) if window else slice(where + 1, None)
    assert (change[1, reach] > 0).all(), "one layer is enough for a later token to see it"


def test_change_is_relative_to_the_first_prompt(tiny: Callable[..., Any]) -> None:
    """Against transformers' hidden states and the definition."""
    model = tiny("tiny-llama")
    before, after = (
        run_transformers(model, text, output_hidden_states=True).hidden_states[1][0] for text in (PROMPT, CHANGED)
    )
    expected = ((after - before) ** 2).sum(-1).sqrt() / (before**2).sum(-1).sqrt()
    torch.testing.assert_close(stream_change(model, PROMPT, CHANGED)[1], expected, **CLOSE)


@pytest.mark.slow
def test_word_similarity(model: Any) -> None:
    """Against transformers' hidden states and the definition of the cosine."""
    first, second = "The coffee in the cafe was good", "After that we drink a coffee and go"
    found = word_similarity(model, first, second, " coffee")
    places = []
    for prompt in (first, second):
        tokens = [model.tokenizer.decode([i]) for i in model.tokenizer(prompt)["input_ids"]]
        places.append(tokens.index(" coffee"))
    a, b = (
        torch.cat(run_transformers(model, prompt, output_hidden_states=True).hidden_states)[:-1, place].double()
        for prompt, place in zip((first, second), places, strict=True)
    )
    expected = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    assert found.shape == (anatomy(model).n_layers + 1,)
    torch.testing.assert_close(found[:-1].double(), expected, rtol=1e-4, atol=1e-4)
    if model._module.config.model_type != "gpt2":  # its positions are in the stream from the start
        assert float(found[0]) == pytest.approx(1.0, abs=1e-5)


# The sum.


@pytest.mark.slow
def test_parts_add_up_to_every_depth(model: Any) -> None:
    """Against transformers' hidden states: the sum so far is the stream at each depth."""
    parts = stream_parts(model, PROMPT)
    n_layers = anatomy(model).n_layers
    assert len(parts) == 1 + 2 * n_layers
    states = torch.cat(run_transformers(model, PROMPT, output_hidden_states=True).hidden_states[:-1])
    so_far = parts.cumsum(dim=0)[0 : 2 * n_layers : 2]
    torch.testing.assert_close(so_far, states, rtol=1e-4, atol=1e-5 * float(states.abs().max()))
    last = residual_stream(model, PROMPT)[-1]
    torch.testing.assert_close(parts.sum(dim=0), last, rtol=1e-4, atol=1e-5 * float(last.abs().max()))


def test_parts_are_what_the_modules_put_out(tiny: Callable[..., Any]) -> None:
    """Against plain hooks, on a family without and one with norms after attention and MLP."""
    for name, ends in (
        ("tiny-llama", ("self_attn", "mlp")),
        ("tiny-gemma3", ("post_attention_layernorm", "post_feedforward_layernorm")),
    ):
        model = tiny(name)
        layers = model._module.model.layers
        expected = hooked(model, PROMPT, [getattr(layer, end) for layer in layers for end in ends])
        torch.testing.assert_close(stream_parts(model, PROMPT)[1:], torch.stack(expected), **CLOSE)


# Sizes.


def test_parameters_add_up(model: Any) -> None:
    """Against transformers' num_parameters and a count by the parameters' names."""
    counts = count_parameters(model)
    module = model._module
    assert counts["total"] == module.num_parameters()
    assert sum(counts.values()) == 2 * counts["total"]
    named = dict(module.named_parameters())  # a tied matrix is there once
    assert counts["mlp"] == sum(p.numel() for name, p in named.items() if ".mlp." in name)
    assert counts["attention"] == sum(
        p.numel() for name, p in named.items() if ".self_attn." in name or ".attn." in name or ".attention." in name
    )


def test_blueprints_have_the_published_sizes() -> None:
    """Against the parameter counts on the models' hub pages; no memory is used for weights."""
    for settings, published in ((GEMMA_3_270M, 268_098_176), (GEMMA_3_1B, 999_885_952)):
        model = blueprint(**settings)
        assert all(p.is_meta for p in model._module.parameters())
        assert count_parameters(model)["total"] == published


def test_a_model_that_also_sees_has_a_blueprint(caplog: pytest.LogCaptureFixture) -> None:
    """A family for which transformers has no class of the text side alone, against the whole one that it builds."""
    from transformers import AutoConfig, LlavaForConditionalGeneration

    text = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 24, "vocab_size": 40}  # fmt: skip
    eyes = {"model_type": "clip_vision_model", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 8, "image_size": 28, "patch_size": 14}  # fmt: skip
    settings = {"text_config": text, "vision_config": eyes}
    counts = count_parameters(blueprint("llava", **settings))
    assert not caplog.records
    whole = LlavaForConditionalGeneration(AutoConfig.for_model("llava", **settings))
    assert counts["total"] == sum(weight.numel() for weight in whole.parameters())
    named = dict(whole.model.language_model.layers.named_parameters())
    assert counts["attention"] == sum(weight.numel() for name, weight in named.items() if ".self_attn." in name)
    assert counts["mlp"] == sum(weight.numel() for name, weight in named.items() if ".mlp." in name)


def test_a_blueprint_and_the_model_itself_have_one_card(tiny: Callable[..., Any]) -> None:
    """Against the same family with weights: all but the mask can be told without them."""
    model = tiny("tiny-gemma3")
    built = blueprint("gemma3_text", **{k: v for k, v in model._module.config.to_dict().items() if k != "model_type"})
    card, drawn = model_card(model), model_card(built)
    assert drawn.pop("mask").startswith("not seen") and card.pop("mask") == "additive"
    assert card == drawn


# What the families are, from their papers and their configurations in transformers.
KNOWN = {
    "tiny-gpt2": ("not gated, gelu_new", "LayerNorm", "before", "learned", "one after the other", True),
    "tiny-llama": ("gated, silu", "RMSNorm", "before", "rotary", "one after the other", False),
    "tiny-phi3": ("gated, silu", "RMSNorm", "before", "rotary", "one after the other", False),
    "tiny-gemma3": ("gated, gelu_pytorch_tanh", "RMSNorm", "before and after", "rotary", "one after the other", True),
    "tiny-gpt-neox": ("not gated, gelu", "LayerNorm", "before", "rotary", "side by side", False),
    "tiny-olmo2": ("gated, silu", "RMSNorm", "after", "rotary", "one after the other", False),
    "tiny-cohere": ("gated, silu", "LayerNorm", "before", "rotary", "side by side", True),
    REAL: ("gated, silu", "RMSNorm", "before", "rotary", "one after the other", True),
}


@pytest.mark.parametrize("name", KNOWN)
def test_model_card(name: str, tiny: Callable[..., Any], real_model: Any) -> None:
    model = real_model if name == REAL else tiny(name)
    card = model_card(model)
    width, mlp = card["MLP"].split(", ", 1)
    assert (
        mlp,
        card["norm"],
        card["norm stands"],
        card["positions"],
        card["attention, MLP"],
        card["tied embedding"],
    ) == KNOWN[name]
    config = model._module.config
    assert int(width) == (getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    assert card["heads"] == config.num_attention_heads and card["layers"] == config.num_hidden_layers


def test_the_kind_of_norm_is_how_it_behaves(model: Any) -> None:
    """Against the norm itself: what a constant added to the input does.

    A LayerNorm subtracts the mean, so it changes nothing; an RMSNorm does not.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(anatomy(model).width, generator=generator)
    same = torch.allclose(anatomy(model).normalise(vector), anatomy(model).normalise(vector + 3), atol=1e-3)
    assert same == (model_card(model)["norm"] == "LayerNorm")


# Masks and patterns.


@pytest.mark.slow
def test_mask_is_what_the_model_uses(model: Any) -> None:
    """Against the attention weights of transformers: they are 0 exactly where the mask hides.

    The windows are the configured ones.
    """
    text = PROMPT + " the old man and the dog"
    weights = run_transformers(model, text, output_attentions=True).attentions
    for layer in (0, 1):
        mask = attention_mask(model, text, layer)
        assert mask_kind(mask) == "additive"
        n = len(mask)
        distance = torch.arange(n)[:, None] - torch.arange(n)
        seen = (distance >= 0) & (distance < (anatomy(model).windows[layer] or n))
        assert ((mask == 0) == seen).all()
        assert (weights[layer][0][:, ~seen] == 0).all() and bool((weights[layer][0][:, seen] > 0).any())


def test_mask_kinds() -> None:
    lower = torch.ones(4, 4).tril()
    assert mask_kind(lower) == "multiplicative"
    assert mask_kind(lower.bool()) == "boolean"
    assert mask_kind(torch.zeros(4, 4).masked_fill(lower == 0, float("-inf"))) == "additive"
    with pytest.raises(ValueError, match="neither"):
        mask_kind(torch.randn(4, 4))


@pytest.mark.slow
def test_patterns_and_previous_token_scores(model: Any) -> None:
    """Against transformers' output_attentions, and a plain loop over the positions."""
    weights = torch.cat(run_transformers(model, PROMPT, output_attentions=True).attentions)
    found = attention_patterns(model, model.tokenizer(PROMPT)["input_ids"])
    torch.testing.assert_close(found, weights, **CLOSE)
    n = weights.shape[-1]
    expected = sum(weights[:, :, q, q - 1] for q in range(1, n)) / (n - 1)
    torch.testing.assert_close(previous_token_scores(model, PROMPT), expected, **CLOSE)


@pytest.mark.slow
def test_induction_scores(model: Any) -> None:
    """Against transformers' output_attentions, and a plain loop over the second half."""
    half = [300, 421, 508, 777, 640, 555, 901]
    with torch.no_grad():
        weights = torch.cat(model._module(torch.tensor([half + half]), output_attentions=True).attentions)
    n = len(half)
    expected = sum(weights[:, :, q, half.index(half[q - n]) + 1] for q in range(n, 2 * n)) / n
    torch.testing.assert_close(induction_scores(model, half), expected, **CLOSE)


@pytest.mark.slow
def test_the_real_model_has_induction_heads(real_model: Any) -> None:
    """Against the model's own predictions: on the repetition it says what comes next.

    Without those heads it could not know.
    """
    generator = torch.Generator().manual_seed(3)
    half = torch.randint(1000, 40000, (30,), generator=generator).tolist()
    scores = induction_scores(real_model, half)
    assert float(scores.max()) > 0.6 and float(scores.median()) < 0.05
    with torch.no_grad():
        logits = real_model._module(torch.tensor([half + half])).logits[0]
    nats = -logits.log_softmax(-1)[torch.arange(59), torch.tensor([*half, *half][1:])]
    assert float(nats[30:].mean()) < float(nats[:29].mean()) - 5


@pytest.mark.slow
def test_hook_reads_what_the_trace_reads(model: Any) -> None:
    """The function is itself the plain hook: it must agree with the trace, and leave no hook, even if the run fails."""
    stream = residual_stream(model, PROMPT)
    for layer in (0, anatomy(model).n_layers - 1):
        found = layer_output_with_hook(model, PROMPT, layer)
        torch.testing.assert_close(found, stream[layer + 1], rtol=1e-4, atol=1e-5 * float(found.abs().max()))
    block = anatomy(model).layers[0]._module
    hooks_before = len(block._forward_hooks)
    broken = block.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    try:
        with pytest.raises(RuntimeError, match="broken"):
            layer_output_with_hook(model, PROMPT, 0)
    finally:
        broken.remove()
    assert len(block._forward_hooks) == hooks_before


@pytest.mark.slow
def test_against_transformer_lens(real_model: Any) -> None:
    """Stream, parts and patterns against TransformerLens on the same weights."""
    from transformer_lens.model_bridge import TransformerBridge

    from course_utils.model.releases import RELEASES
    from course_utils.model.weights import weights_folder

    folder = weights_folder(RELEASES["smollm2-135m"], None)
    lens = TransformerBridge.boot_transformers(str(folder), device="cpu")
    ids = torch.tensor([real_model.tokenizer(PROMPT)["input_ids"]])
    with torch.no_grad():
        _, cache = lens.run_with_cache(ids)
    stream, patterns = residual_stream(real_model, PROMPT), attention_patterns(real_model, ids[0].tolist())
    for layer in (0, 7, 29):
        theirs = cache[f"blocks.{layer}.hook_resid_post"][0]
        torch.testing.assert_close(stream[layer + 1], theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))
        torch.testing.assert_close(patterns[layer], cache[f"blocks.{layer}.attn.hook_pattern"][0], rtol=1e-3, atol=1e-4)


# What they refuse.


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: residual_stream(m, ""), "empty"),
        (lambda m: stream_parts(m, ""), "empty"),
        (lambda m: stream_change(m, "The cat", "The cat and the dog"), "equally many"),
        (lambda m: word_position(m, "The cat and the dog", " Eiffelish"), "exactly one token"),
        (lambda m: word_position(m, "The cat and the dog", " bird"), "0 times"),
        (lambda m: word_position(m, "A cat and a cat", " cat"), "2 times"),
        (lambda m: previous_token_scores(m, "The"), "single token"),
        (lambda m: induction_scores(m, [5]), "at least two"),
        (lambda m: attention_patterns(m, []), "at least one"),
        (lambda m: attention_patterns(m, [10**9]), "from 0 to"),
        (lambda m: layer_output_with_hook(m, "The cat", 3), "no layer 3"),
        (lambda m: layer_output_with_hook(m, "The cat", -1), "no layer -1"),
        (lambda m: attention_mask(m, "The cat", 99), "no layer 99"),
    ],
)
def test_bad_input_is_named(call: Callable[[Any], Any], says: str, tiny: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=says):
        call(tiny("tiny-gpt2"))
