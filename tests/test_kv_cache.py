"""Lesson 3's solutions against torch's own attention, transformers' caches and `generate`, and runs without a cache."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from course_utils import kv_cache
from course_utils.kv_cache import (
    OneLayerModel,
    PreallocatedCache,
    ScaledDotProductAttention,
    ScaledDotProductAttentionWithCache,
    cache_bytes,
    causal_mask,
)
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS

TEXT = "The old teacher took the red train to the city and the river was under the bridge."
D_MODEL, N_HEADS = 24, 3
Tiny = Callable[..., Any]


@pytest.fixture(params=[*TINY_MODELS, "embedded"])
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Any:
    return request.getfixturevalue("real_model") if request.param == "embedded" else tiny(request.param, seed=4)


@pytest.fixture
def layer() -> ScaledDotProductAttentionWithCache:
    torch.manual_seed(3)
    return ScaledDotProductAttentionWithCache(D_MODEL, N_HEADS).eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def torch_attention(layer: ScaledDotProductAttention) -> nn.MultiheadAttention:
    """torch's own multi-head attention with a layer's weights; its boolean masks mean the contrary of ours."""
    theirs = nn.MultiheadAttention(D_MODEL, N_HEADS, bias=False, batch_first=True).eval()
    with torch.no_grad():
        assert theirs.in_proj_weight is not None
        theirs.in_proj_weight.copy_(torch.cat([layer.W_q.weight, layer.W_k.weight, layer.W_v.weight]))
        theirs.out_proj.weight.copy_(layer.W_o.weight)
    return theirs


def expected(
    layer: ScaledDotProductAttention, new: torch.Tensor, whole: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What torch's attention gives for queries at `new` over all of `whole`.

    The mask is (query, key), boolean (True attends) or additive.
    """
    hidden = ~mask if mask is not None and mask.dtype == torch.bool else mask
    return torch_attention(layer)(new, whole, whole, attn_mask=hidden, average_attn_weights=False)


def same(ours: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor]) -> None:
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


# The layer without a cache.


@pytest.mark.parametrize("cls", [ScaledDotProductAttention, ScaledDotProductAttentionWithCache])
def test_attention_is_torchs(cls: type[ScaledDotProductAttention]) -> None:
    torch.manual_seed(1)
    attention = cls(D_MODEL, N_HEADS).eval()
    x, additive = draw(2, 6, D_MODEL), draw(6, 6, seed=1)
    boolean = (draw(6, 6, seed=2) > 0) | torch.eye(6, dtype=torch.bool)
    same(attention(x), expected(attention, x, x, None))
    same(attention(x, is_causal=True), expected(attention, x, x, causal_mask(6)))
    same(attention(x, attn_mask=boolean), expected(attention, x, x, boolean))
    same(attention(x, attn_mask=additive), expected(attention, x, x, additive))
    same(attention(x, attn_mask=boolean, is_causal=True), expected(attention, x, x, boolean & causal_mask(6)))
    below = additive.masked_fill(~causal_mask(6), -torch.inf)
    same(attention(x, attn_mask=additive, is_causal=True), expected(attention, x, x, below))


def test_masks_of_three_and_four_axes_are_by_row_and_by_head() -> None:
    """Held against torch's scaled_dot_product_attention, given the same mask."""
    torch.manual_seed(1)
    attention = ScaledDotProductAttention(D_MODEL, N_HEADS).eval()
    x = draw(2, 5, D_MODEL)
    for mask in (draw(2, 5, 5, seed=4), draw(2, 1, 1, 5, seed=5), draw(2, N_HEADS, 5, 5, seed=6), draw(1, 5, seed=7)):
        heads = nn.functional.scaled_dot_product_attention(
            *attention.project(x), attn_mask=mask[:, None] if mask.ndim == 3 else mask
        )
        output, weights = attention(x, attn_mask=mask)
        assert weights.shape == (2, N_HEADS, 5, 5)
        torch.testing.assert_close(output, attention.W_o(heads.transpose(1, 2).flatten(2)), rtol=1e-4, atol=1e-5)


def test_a_query_that_may_look_at_nothing_gets_zeros(layer: ScaledDotProductAttentionWithCache) -> None:
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1] = False
    output, weights = layer(draw(1, 3, D_MODEL), attn_mask=mask)
    assert not weights[:, :, 1].any() and not output[:, 1].any() and output.isfinite().all()
    additive = torch.zeros(3, 3).masked_fill(~mask, -torch.inf)
    same(layer(draw(1, 3, D_MODEL), attn_mask=additive), (output, weights))


def test_dropout_is_for_training_only() -> None:
    attention = ScaledDotProductAttentionWithCache(D_MODEL, N_HEADS, dropout_p=0.5)
    x = draw(2, 6, D_MODEL)
    plain = ScaledDotProductAttention(D_MODEL, N_HEADS)
    plain.load_state_dict(attention.state_dict())
    same(attention.eval()(x), plain.eval()(x))
    attention.train()
    output, weights = attention(x, use_cache=True)
    whole = plain(x)[1]
    kept = weights != 0
    assert 0.2 < float(kept.float().mean()) < 0.8
    torch.testing.assert_close(weights[kept], 2 * whole[kept])  # what is kept is scaled by 1 / (1 - p)
    # The weights that came back are those that were used.
    _, _, values = attention.project(x)
    torch.testing.assert_close(output, attention.W_o((weights @ values).transpose(1, 2).flatten(2)))
    # What is held was not dropped: a step in evaluation goes on as if there had been no dropout before.
    attention.eval()
    token = draw(2, 1, D_MODEL, seed=8)
    same(attention(token, use_cache=True), expected(attention, token, torch.cat([x, token], 1), None))


def test_gradients_reach_every_projection() -> None:
    attention = ScaledDotProductAttentionWithCache(D_MODEL, N_HEADS)
    attention(draw(1, 3, D_MODEL), is_causal=True, use_cache=True)
    attention(draw(1, 2, D_MODEL, seed=1), is_causal=True, use_cache=True)[0].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in attention.parameters())


@pytest.mark.parametrize(("d_model", "n_heads"), [(10, 3), (8, 0), (0, 1)])
def test_heads_that_do_not_fit_are_refused(d_model: int, n_heads: int) -> None:
    with pytest.raises(ValueError, match="n_heads"):
        ScaledDotProductAttention(d_model, n_heads)


@pytest.mark.parametrize("shape", [(4, D_MODEL), (1, 4, D_MODEL + 1), (1, 0, D_MODEL)])
def test_inputs_of_another_shape_are_refused(layer: ScaledDotProductAttentionWithCache, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, position, 24\)"):
        layer(torch.zeros(shape))
    layer(draw(1, 2, D_MODEL), use_cache=True)
    with pytest.raises(ValueError):
        layer(torch.zeros(shape), use_cache=True)
    assert layer.get_cache_size() == 2


# The layer with a cache.


@pytest.mark.parametrize("seed", range(8))
def test_any_cut_of_a_text_gives_what_the_whole_gives(layer: ScaledDotProductAttentionWithCache, seed: int) -> None:
    """Held against torch's attention over the whole text at once."""
    rng = random.Random(seed)
    x = draw(2, 12, D_MODEL, seed=seed)
    wanted, weights = expected(layer, x, x, causal_mask(12))
    start = 0
    while start < 12:
        end = min(12, start + rng.randint(1, 5))
        got = layer(x[:, start:end], is_causal=True, use_cache=True)
        same(got, (wanted[:, start:end], weights[:, :, start:end, :end]))
        start = end
        assert layer.get_cache_size() == end


def test_each_key_and_value_is_computed_once(layer: ScaledDotProductAttentionWithCache) -> None:
    """Counted by plain PyTorch hooks on the projections."""
    counted = {"W_q": 0, "W_k": 0, "W_v": 0}

    def counting(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            counted[name] += inputs[0].shape[1]

        return hook

    for name in counted:
        getattr(layer, name).register_forward_hook(counting(name))
    for n in (5, 3, 1, 1):
        layer(draw(1, n, D_MODEL), is_causal=True, use_cache=True)
    assert counted == {"W_q": 10, "W_k": 10, "W_v": 10}


def test_masks_over_the_cache(layer: ScaledDotProductAttentionWithCache) -> None:
    """Whole and short masks, boolean and additive, with and without is_causal, held against torch's attention."""
    x = draw(2, 7, D_MODEL)
    for kind in ("boolean", "additive"):
        for width in (3, 5, 7):
            for is_causal in (False, True):
                mask = draw(3, width, seed=width)
                whole = torch.cat([torch.zeros(3, 7 - width), mask], dim=1)
                if kind == "boolean":
                    mask, whole = mask > 0, whole >= 0
                    mask[:, -3:] |= torch.eye(3, dtype=torch.bool)
                    whole[:, -3:] |= torch.eye(3, dtype=torch.bool)
                if is_causal:
                    seen = causal_mask(3, 4)
                    whole = whole & seen if kind == "boolean" else whole.masked_fill(~seen, -torch.inf)
                layer.clear_cache()
                layer(x[:, :4], use_cache=True)
                got = layer(x[:, 4:], attn_mask=mask, is_causal=is_causal, use_cache=True)
                same(got, expected(layer, x[:, 4:], x, whole))


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 2, dtype=torch.bool),  # fewer keys than there are new ones
        torch.ones(3, 8, dtype=torch.bool),  # more than there are
        torch.ones(4, 7, dtype=torch.bool),  # of another number of queries
        torch.ones(7, dtype=torch.bool),
        torch.ones(3, 7, dtype=torch.long),
    ],
)
def test_a_mask_that_does_not_fit_leaves_the_cache(
    layer: ScaledDotProductAttentionWithCache, mask: torch.Tensor
) -> None:
    layer(draw(1, 4, D_MODEL), use_cache=True)
    with pytest.raises(ValueError, match="attn_mask"):
        layer(draw(1, 3, D_MODEL, seed=1), attn_mask=mask, use_cache=True)
    assert layer.get_cache_size() == 4


def test_without_a_cache_a_mask_must_cover_every_key() -> None:
    with pytest.raises(ValueError, match="5 keys"):
        ScaledDotProductAttention(D_MODEL, N_HEADS)(draw(1, 5, D_MODEL), attn_mask=torch.ones(5, 4, dtype=torch.bool))


def test_another_batch_device_or_dtype_is_refused_and_the_cache_is_unharmed(
    layer: ScaledDotProductAttentionWithCache,
) -> None:
    x = draw(2, 5, D_MODEL)
    wanted = expected(layer, x[:, 4:], x, None)
    layer(x[:, :4], is_causal=True, use_cache=True)
    assert layer.held is not None
    before = [tensor.clone() for tensor in layer.held]
    for batch in (1, 3):
        with pytest.raises(ValueError, match="batch of"):
            layer(draw(batch, 1, D_MODEL), use_cache=True)
    layer.double()
    with pytest.raises(ValueError, match="float64"):
        layer(x[:, 4:].double(), use_cache=True)
    layer.float()
    weights = copy.deepcopy(layer.state_dict())
    # No second device is at hand; torch's meta device is one, with shapes and no numbers.
    layer.to("meta")
    with pytest.raises(ValueError, match=r"on meta, the cache holds 4 positions of torch\.float32 on cpu"):
        layer(torch.zeros(2, 1, D_MODEL, device="meta"), use_cache=True)
    layer.to_empty(device="cpu").load_state_dict(weights)
    for held, was in zip(layer.held, before, strict=True):
        torch.testing.assert_close(held, was, rtol=0, atol=0)
    same(layer(x[:, 4:], is_causal=True, use_cache=True), wanted)


def test_autocast_does_not_count_as_another_dtype(layer: ScaledDotProductAttentionWithCache) -> None:
    x = draw(1, 5, D_MODEL)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x[:, :4], is_causal=True, use_cache=True)
        output, _ = layer(x[:, 4:], is_causal=True, use_cache=True)
    torch.testing.assert_close(output.float(), expected(layer, x[:, 4:], x, None)[0], rtol=0.1, atol=0.05)


def test_cache_position_goes_on_and_goes_back(layer: ScaledDotProductAttentionWithCache) -> None:
    x, other = draw(1, 8, D_MODEL), draw(1, 2, D_MODEL, seed=1)
    layer(x[:, :6], is_causal=True, use_cache=True, cache_position=torch.arange(6))
    layer(x[:, 6:], is_causal=True, use_cache=True, cache_position=torch.tensor([6, 7]))
    assert layer.get_cache_size() == 8
    got = layer(other, is_causal=True, use_cache=True, cache_position=torch.tensor([3, 4]))
    assert layer.get_cache_size() == 5
    same(got, expected(layer, other, torch.cat([x[:, :3], other], 1), causal_mask(2, 3)))
    again = layer(other, is_causal=True, use_cache=True, cache_position=3)  # the first place alone
    same(again, got)


@pytest.mark.parametrize("places", [[5, 6], [2, 4], [3, 2], [-1, 0], [1, 2, 3], []])
def test_places_with_gaps_are_refused(layer: ScaledDotProductAttentionWithCache, places: list[int]) -> None:
    layer(draw(1, 4, D_MODEL), use_cache=True)
    with pytest.raises(ValueError, match="cache_position"):
        layer(draw(1, 2, D_MODEL), use_cache=True, cache_position=torch.tensor(places))
    with pytest.raises(ValueError, match="use_cache"):
        layer(draw(1, 2, D_MODEL), cache_position=torch.tensor([4, 5]))
    assert layer.get_cache_size() == 4


def test_a_call_without_the_cache_and_clear_cache(layer: ScaledDotProductAttentionWithCache) -> None:
    x = draw(2, 6, D_MODEL)
    layer(x[:, :4], is_causal=True, use_cache=True)
    same(layer(x[:1, 4:], is_causal=True), expected(layer, x[:1, 4:], x[:1, 4:], causal_mask(2)))
    assert layer.get_cache_size() == 4
    layer.clear_cache()
    assert layer.get_cache_size() == 0
    same(layer(x[:1], is_causal=True, use_cache=True), expected(layer, x[:1], x[:1], causal_mask(6)))
    assert set(layer.state_dict()) == {"W_q.weight", "W_k.weight", "W_v.weight", "W_o.weight"}


def test_causal_mask_is_the_end_of_the_whole_one() -> None:
    for n_held in range(4):
        for n_new in range(1, 5):
            whole = torch.ones(n_held + n_new, n_held + n_new).tril().bool()
            assert torch.equal(causal_mask(n_new, n_held), whole[n_held:])
    for sizes in ((0, 3), (2, -1)):
        with pytest.raises(ValueError, match="at least one new token"):
            causal_mask(*sizes)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_small_model_generates_the_same_with_and_without_cache(batch: int) -> None:
    torch.manual_seed(0)
    small = OneLayerModel(50, D_MODEL, N_HEADS).eval()
    prompt = torch.randint(50, (batch, 6), generator=torch.Generator().manual_seed(5))
    made = small.generate(prompt, 12)
    assert torch.equal(made, small.generate(prompt, 12, use_cache=False))
    assert made.shape == (batch, 18) and torch.equal(made[:, :6], prompt)
    assert len(made[0, 6:].unique()) > 1  # else any mistake would go unseen
    # The token at each place is the most probable one after those before it, by one pass over the whole.
    with torch.no_grad():
        assert torch.equal(small(made)[:, 5:-1].argmax(-1), made[:, 6:])
    small.generate(prompt, 3)
    assert small.attention.get_cache_size() == 8  # the last token was chosen and never read


def test_the_small_model_refuses_what_it_cannot_do() -> None:
    small = OneLayerModel(50, D_MODEL, N_HEADS, context=8)
    for ids, n in (
        (torch.zeros(1, 0, dtype=torch.long), 2),
        (torch.zeros(1, 3, dtype=torch.long), 0),
        (torch.zeros(1, 3, dtype=torch.long), 6),
    ):
        with pytest.raises(ValueError, match="max_new_tokens"):
            small.generate(ids, n)


# The cache of a real model.


@pytest.mark.slow
@pytest.mark.parametrize("n_tokens", [3, 20])
def test_formula_is_what_transformers_holds(model: Any, n_tokens: int) -> None:
    """Held against the tensors in the cache that transformers itself makes; 20 tokens reach past the tiny windows."""
    ids = torch.arange(10, 10 + n_tokens).repeat(2, 1)
    with torch.no_grad():
        cache = model._module(ids, use_cache=True).past_key_values
    measured = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert cache_bytes(anatomy(model), n_tokens, batch=2) == measured


def test_published_shapes_are_those_of_transformers_configurations() -> None:
    """As far as transformers' own default configurations are these models'; and Gemma 3's pattern of windows."""
    from transformers import DeepseekV3Config, Gemma3TextConfig, GPT2Config, LlamaConfig

    gpt2, llama = GPT2Config(), LlamaConfig()
    assert kv_cache.PUBLISHED["GPT-2"] == kv_cache.CacheShape(
        (None,) * gpt2.n_layer, gpt2.n_head, gpt2.n_head, gpt2.n_embd // gpt2.n_head
    )
    assert kv_cache.PUBLISHED["Llama 2 7B"] == kv_cache.CacheShape(
        (None,) * llama.num_hidden_layers, llama.num_attention_heads, llama.num_key_value_heads, llama.head_dim
    )
    for name, n_layers, window in (("Gemma 3 1B", 26, 512), ("Gemma 3 27B", 62, 1024)):
        gemma = Gemma3TextConfig(num_hidden_layers=n_layers, sliding_window=window)
        assert kv_cache.PUBLISHED[name].windows == tuple(
            window if kind == "sliding_attention" else None for kind in gemma.layer_types
        )
    latent = DeepseekV3Config()
    deepseek = kv_cache.PUBLISHED["DeepSeek-V3"]
    assert (len(deepseek.windows), deepseek.n_heads) == (latent.num_hidden_layers, latent.num_attention_heads)
    assert 2 * deepseek.n_kv_heads * deepseek.head_width == latent.kv_lora_rank + latent.qk_rope_head_dim
    assert (
        cache_bytes(kv_cache.PUBLISHED["Llama 2 7B"], 4096, bytes_per_number=2) == 2 * 2**30
    )  # 2 GiB, as is well known


def test_bytes_refuses_what_is_no_count() -> None:
    for arguments in ((-1,), (3, 0), (3, 1, 0)):
        with pytest.raises(ValueError, match="n_tokens"):
            cache_bytes(kv_cache.PUBLISHED["GPT-2"], *arguments)


@pytest.mark.slow
def test_filled_cache_holds_transformers_keys_and_values(model: Any) -> None:
    """Held against the cache of a plain forward of transformers, with no tracing."""
    ids = model.tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = model._module(ids, use_cache=True).past_key_values
    ours = kv_cache.filled_cache(model, TEXT)
    parts = anatomy(model)
    assert len(ours.layers) == parts.n_layers
    for layer, (got, want) in enumerate(zip(ours.layers, wanted.layers, strict=True)):
        torch.testing.assert_close(got.keys, want.keys, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(got.values, want.values, rtol=1e-4, atol=1e-5)
        window = parts.windows[layer]
        held = ids.shape[1] if window is None else min(ids.shape[1], window - 1)
        assert got.keys.shape == (1, parts.n_kv_heads, held, parts.head_width)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 12])
def test_greedy_is_generate(model: Any, n: int) -> None:
    """Token for token what transformers' `generate` gives."""
    prompt = "The Eiffel Tower is in the city of"
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    wanted = model._module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False)
    assert kv_cache.greedy_with_cache(model, prompt, n) == wanted[0, ids.shape[1] :].tolist()


def test_greedy_stops_at_the_end_token(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers' `generate` does, with one and with several tokens that end a text."""
    model = tiny("tiny-llama", seed=4)
    whole = kv_cache.greedy_with_cache(model, TEXT, 8)
    end = next(token for token in whole[2:] if token not in whole[:2])
    ids = model.tokenizer(TEXT, return_tensors="pt").input_ids
    for ends in (end, [end, 10**6]):
        monkeypatch.setattr(model._module.generation_config, "eos_token_id", ends)
        wanted = model._module.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=0,
        )
        assert kv_cache.greedy_with_cache(model, TEXT, 8) == wanted[0, ids.shape[1] :].tolist()
    monkeypatch.setattr(model._module.generation_config, "eos_token_id", None)
    assert kv_cache.greedy_with_cache(model, TEXT, 8) == whole


@pytest.mark.slow
def test_endings_are_scored_as_if_each_had_been_run_alone(model: Any) -> None:
    """Held against transformers' forward over prefix and ending together, without a cache."""
    endings = [" Paris", " Rome and the old river", " the city"]
    start = model.tokenizer(TEXT).input_ids
    wanted = []
    for ending in endings:
        ids = torch.tensor([start + model.tokenizer(ending, add_special_tokens=False).input_ids])
        with torch.no_grad():
            log_probabilities = model._module(ids).logits[0].log_softmax(-1)
        wanted.append(sum(float(log_probabilities[i - 1, ids[0, i]]) for i in range(len(start), ids.shape[1])))
    assert kv_cache.score_endings(model, TEXT, endings) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_bad_texts_are_refused(tiny: Tiny) -> None:
    model = tiny("tiny-gpt2", seed=4)
    with pytest.raises(ValueError, match="empty"):
        kv_cache.greedy_with_cache(model, "", 3)
    with pytest.raises(ValueError, match="max_new_tokens"):
        kv_cache.greedy_with_cache(model, TEXT, 0)
    with pytest.raises(ValueError, match="one str"):
        kv_cache.greedy_with_cache(model, [TEXT], 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no endings"):
        kv_cache.score_endings(model, TEXT, [])
    with pytest.raises(ValueError, match="empty"):
        kv_cache.score_endings(model, TEXT, [" a", ""])


# The cache of a fixed size.


def test_preallocated_cache_is_concatenation_without_copies() -> None:
    """Held against torch.cat, and against torch.nn.functional's attention over what it returns."""
    cache = PreallocatedCache(2, N_HEADS, 10, 4)
    whole_keys, whole_values = draw(2, N_HEADS, 10, 4), draw(2, N_HEADS, 10, 4, seed=1)
    memory = cache.keys.data_ptr(), cache.values.data_ptr()
    for start, end in ((0, 4), (4, 5), (5, 10)):
        keys, values = cache.append(whole_keys[:, :, start:end], whole_values[:, :, start:end])
        assert torch.equal(keys, whole_keys[:, :, :end]) and torch.equal(values, whole_values[:, :, :end])
        assert (keys.data_ptr(), values.data_ptr()) == memory
    with pytest.raises(ValueError, match="more than the 10"):
        cache.append(whole_keys[:, :, :1], whole_values[:, :, :1])
    assert cache.size == 10
    cache.crop(3)
    keys, _ = cache.append(whole_values[:, :, :2], whole_keys[:, :, :2])
    assert torch.equal(keys, torch.cat([whole_keys[:, :, :3], whole_values[:, :, :2]], 2))
    for size in (6, -1):
        with pytest.raises(ValueError, match="cannot go back"):
            cache.crop(size)


@pytest.mark.parametrize("shape", [(1, 3, 1, 4), (2, 2, 1, 4), (2, 3, 1, 5), (3, 1, 4)])
def test_preallocated_cache_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    cache = PreallocatedCache(2, 3, 10, 4)
    with pytest.raises(ValueError, match="came; expected"):
        cache.append(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(ValueError, match="came; expected"):
        cache.append(torch.zeros(2, 3, 1, 4), torch.zeros(2, 3, 2, 4))
    assert cache.size == 0
    with pytest.raises(ValueError, match="at least 1"):
        PreallocatedCache(2, 3, 0, 4)


# Towards serving.


def test_rotate_is_transformers_rotary(tiny: Any) -> None:
    """Against transformers' own rotary embedding; turning back gives what was there."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    hf = tiny("tiny-llama")._module
    base, width = hf.config.rope_parameters["rope_theta"], hf.model.layers[0].self_attn.head_dim
    x, places = draw(2, 3, 7, width), torch.arange(4, 11)
    expected, _ = apply_rotary_pos_emb(x, x, *hf.model.rotary_emb(x, places[None]))
    turned = kv_cache.rotate(x, places, base)
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(kv_cache.rotate(turned, -places, base), x, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-llama", "embedded"])
def test_own_cache_gives_transformers_logits(name: str, tiny: Any, real_model: Any) -> None:
    """However the text is cut, against one pass of transformers without a cache."""
    model = real_model if name == "embedded" else tiny(name)
    ids = torch.arange(20, 32)[None]
    with torch.no_grad():
        expected = model._module(ids).logits
    for pieces in ([12], [5, 4, 1, 2], [1] * 12):
        own = kv_cache.DecoderWithOwnCache(model, max_positions=12, cache=PreallocatedCache)
        got = torch.cat([own(piece) for piece in ids.split(pieces, dim=1)], dim=1)
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_pages_hold_what_concatenation_holds() -> None:
    pages = kv_cache.PagedCache(n_pages=9, page=4, n_heads=2, head_width=8)
    whole: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for text, new in (("a", 3), ("b", 5), ("a", 1), ("a", 6), ("c", 2), ("b", 4)):
        keys, values = torch.randn(2, 2, new, 8)
        pages.append(text, keys, values)
        before = whole.get(text, (keys[:, :0], values[:, :0]))
        whole[text] = torch.cat([before[0], keys], dim=1), torch.cat([before[1], values], dim=1)
    for text, expected in whole.items():
        assert all(torch.equal(*pair) for pair in zip(pages.get(text), expected, strict=True))
    assert len(pages.free) == 9 - 3 - 3 - 1
    with pytest.raises(ValueError, match="'d' needs 3 more pages and 2 are free"):
        pages.append("d", *torch.randn(2, 2, 9, 8))
    with pytest.raises(ValueError, match=r"expected \(2, new position, 8\)"):
        pages.append("d", *torch.randn(2, 3, 1, 8))
    assert len(pages.free) == 2 and "d" not in pages.tables
    pages.release("b")
    pages.append("d", *torch.randn(2, 2, 9, 8))
    assert all(torch.equal(*pair) for pair in zip(pages.get("a"), whole["a"], strict=True))
    assert sorted(sum(pages.tables.values(), pages.free)) == list(range(9))


@pytest.mark.parametrize("dim", [-1, -2])
def test_few_bits_are_torchs_fake_quantization(dim: int) -> None:
    x = draw(2, 3, 5, 16)
    rows = x if dim == -1 else x.transpose(-1, -2)
    flat = rows.flatten(0, -2)
    for bits, largest in ((8, 127), (4, 7)):
        scale = flat.abs().amax(-1) / largest
        zero = torch.zeros(len(flat), dtype=torch.int32)
        expected = torch.fake_quantize_per_channel_affine(flat, scale, zero, 0, -largest, largest).view_as(rows)
        got = kv_cache.in_few_bits(x, bits, dim)
        torch.testing.assert_close(got if dim == -1 else got.transpose(-1, -2), expected, rtol=1e-4, atol=1e-5)


def test_kept_keys_of_the_first_layer_are_those_of_the_shorter_text(tiny: Any) -> None:
    """Against a run on the kept tokens alone: the first layer's keys depend on their places alone."""
    model, ids, kept = tiny("tiny-llama"), torch.arange(20, 40)[None], [0, 7, 8, 9, 15]
    with torch.no_grad():
        cache = model._module(ids, use_cache=True).past_key_values
        shorter = model._module(ids[:, kept], use_cache=True).past_key_values.layers[0]
    turned = kv_cache.kept_positions(cache, kept, model.config.rope_parameters["rope_theta"]).layers[0]
    torch.testing.assert_close(turned.keys, shorter.keys, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned.values, shorter.values, rtol=1e-4, atol=1e-5)
    left = kv_cache.kept_positions(cache, kept).layers[0]
    torch.testing.assert_close(left.keys, cache.layers[0].keys[:, :, kept], rtol=0, atol=0)


def test_reading_on_is_the_whole_text_at_once(tiny: Any) -> None:
    """Against one pass of transformers over the whole; and at other places, against its own position_ids."""
    model, ids = tiny("tiny-llama"), torch.arange(20, 44).view(2, 12)
    with torch.no_grad():
        cache = model._module(ids[:, :7], use_cache=True).past_key_values
        whole = model._module(ids).logits.double().log_softmax(-1)
        places = torch.tensor([[*range(7), *range(30, 35)]])
        elsewhere = model._module(ids, position_ids=places).logits.double().log_softmax(-1)
    copied = kv_cache.changed_cache(cache)
    torch.testing.assert_close(kv_cache.read_on(model, copied, ids[:, 7:]), whole[:, 7:], rtol=1e-4, atol=1e-4)
    assert (copied.get_seq_length(), cache.get_seq_length()) == (12, 7)
    torch.testing.assert_close(kv_cache.read_on(model, cache, ids[:, 7:], 30), elsewhere[:, 7:], rtol=1e-4, atol=1e-4)


def test_another_batch_is_both_a_value_error_and_a_runtime_error() -> None:
    layer = ScaledDotProductAttentionWithCache(8, 2)
    layer(torch.randn(1, 2, 8), use_cache=True)
    with pytest.raises(RuntimeError, match="batch of 2") as caught:
        layer(torch.randn(2, 1, 8), use_cache=True)
    assert isinstance(caught.value, ValueError) and layer.get_cache_size() == 2
