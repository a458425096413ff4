"""Models without their weights are proven by a twin; sizes are those of a real cache; published figures of models."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from course_utils.kv_cache import cache_bytes
from course_utils.model.anatomy import AnatomyError, StreamOfTuple, anatomy, find
from course_utils.model.proving import prove
from course_utils.model.tiny import tiny_tokenizer
from course_utils.model.twin import small_config, small_twin
from course_utils.model.wrapping import wrap
from course_utils.residual import attention_patterns, blueprint, model_card
from course_utils.sweeps import ablate_heads, attribution_patching, mean_heads, patch_heads, patch_mlp, patch_paths
from tests.model.variants import TOKENS, variant

SMALL_LLAMA = {
    "vocab_size": 1152, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip


def wrapped(config: Any) -> Any:
    torch.manual_seed(0)
    return wrap(AutoModelForCausalLM.from_config(config, attn_implementation="eager"), tiny_tokenizer())


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["gemma3n_text", "zaya", "mamba", "openai-gpt"])
def test_what_is_refused_with_weights_is_refused_without(model_type: str) -> None:
    with pytest.raises(AnatomyError, match=model_type):
        anatomy(blueprint(model_type))


def test_the_twin_of_a_blueprint_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes MPT acceptable is the line that says where its MLP writes and that its layers put out tuples."""
    from course_utils.model import anatomy as room
    from course_utils.model import proving
    from course_utils.model.families import Family

    assert anatomy(blueprint("mpt")).n_layers == 24
    monkeypatch.setattr(room, "family_of", lambda name: Family())
    proving._proven_twin.cache_clear()
    with pytest.raises(AnatomyError, match="mpt: "):
        anatomy(blueprint("mpt"))
    proving._proven_twin.cache_clear()


def test_a_layer_of_gptj_may_put_out_a_tuple_or_the_stream() -> None:
    """It did the one until transformers 5.23, and does the other since."""

    class Envoy:
        def __init__(self, output: Any):
            self.output = output

        def skip(self, output: Any) -> None:
            self.output = output

    stream, other = torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    for whole, expected in (((stream, None), (other, None)), (stream, other)):
        for write in (lambda layer: setattr(layer, "output", other), lambda layer: layer.skip(other)):
            layer = StreamOfTuple(Envoy(whole))
            assert layer.output is stream
            write(layer)
            assert layer.output is other and type(layer._envoy.output) is type(expected)


def test_a_twin_that_does_not_run_is_a_sentence() -> None:
    """A configuration that asks for a router without saying how many experts a token meets."""
    model = blueprint("deepseek_v2", num_hidden_layers=2, n_routed_experts=8)
    with pytest.raises(AnatomyError, match="deepseek_v2: a run of a few tokens fails"):
        anatomy(model)


def test_a_remote_model_is_proven_like_a_blueprint() -> None:
    """No weight is on this machine, and the proof is the twin's: nothing is traced remotely before it."""
    model = blueprint("llama", num_hidden_layers=2)
    parts = anatomy(model)
    assert parts.shows_patterns and not parts.sinks
    assert anatomy(blueprint("gpt_oss", num_hidden_layers=2)).sinks


def test_a_twin_is_narrow_and_has_each_kind_of_layer() -> None:
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING["qwen3_next"]()
    small = small_config(config)
    assert set(small.layer_types) == set(config.layer_types) and small.num_hidden_layers == 2
    assert sum(p.numel() for p in small_twin(config).parameters()) < 1_000_000
    state = torch.random.get_rng_state()
    one, again, other = (small_twin(config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_sizes_come_from_a_real_cache_and_not_from_what_is_said() -> None:
    found = find(variant("llama"))
    lied = dataclasses.replace(found, kept_numbers=(1, 1), kv_head_counts=(3, 3))
    proven = prove(lied)
    assert proven.kept_numbers == found.kept_numbers and proven.kv_head_counts == found.kv_head_counts


@pytest.mark.parametrize("window", [1, 2, 3, 50])
def test_a_window_shorter_than_the_run_that_proves_is_counted_rightly(window: int) -> None:
    settings = {**SMALL_LLAMA, "sliding_window": window}
    model = wrapped(AutoConfig.for_model("mistral", **settings))
    cache = DynamicCache(config=model._module.config)
    with torch.no_grad():
        model._module(TOKENS, past_key_values=cache, use_cache=True)
    held = sum(one.numel() * one.element_size() for layer in cache.layers for one in (layer.keys, layer.values))
    assert cache_bytes(anatomy(model), TOKENS.shape[1]) == held


def test_widths_that_do_not_meet_are_a_sentence() -> None:
    """An OPT whose embeddings are narrower than its stream has a matrix between the norm and the unembedding."""
    settings = {"hidden_size": 64, "word_embed_proj_dim": 32, "ffn_dim": 70, "num_hidden_layers": 2}
    model = wrapped(AutoConfig.for_model("opt", **settings, num_attention_heads=4, vocab_size=1152))
    with pytest.raises(AnatomyError, match=r"does not give the model's logits .*shapes cannot be multiplied"):
        anatomy(model)


def test_a_scale_is_believed_where_the_logits_show_it() -> None:
    """The whole of Aya Vision leaves out what its text side, alone, does to the logits; so does one without weights."""
    whole, alone = anatomy(variant("cohere2_vision")), anatomy(variant("cohere2"))
    assert (whole.logit_scale, alone.logit_scale) == (1.0, 0.0625)
    assert whole.model._module.config.get_text_config().logit_scale == 0.0625
    assert anatomy(blueprint("cohere2_vision")).logit_scale == 1.0
    paligemma = anatomy(variant("paligemma with caps"))
    caps = "final_logit_softcapping" in inspect.getsource(type(paligemma.model._module))  # not yet in transformers 5.20
    assert paligemma.logit_cap == (3.0 if caps else None)


def test_layers_of_zamba_share_weights_and_have_heads_of_their_own() -> None:
    parts = anatomy(variant("zamba2"))
    assert parts.kinds == ("a state space", "attention", "attention")
    one, other = (parts.out_projections[layer]._module for layer in parts.head_layers)
    assert one is not other and one.weight is other.weight
    moved = patch_heads(parts.model, TOKENS[0].roll(1), TOKENS[0], (5, 6), layers=[1, 2], heads=0)[:, 0]
    assert len({round(float(value), 4) for value in moved}) == 2


def test_an_error_at_one_quiet_position_is_seen() -> None:
    """The first position of many models is a hundred times as long as the rest, and must not hide what is wrong."""
    from course_utils.model.proving import TOLERANCE, _must_agree

    parts = anatomy(variant("llama"))
    theirs = torch.ones(1, 3, 4)
    theirs[0, 0] = 1e4
    ours = theirs.clone()
    ours[0, 2] += 0.1
    _must_agree(theirs, theirs, TOLERANCE, parts, "the same")
    with pytest.raises(AnatomyError, match=r"differ by up to 0\.1"):
        _must_agree(ours, theirs, TOLERANCE, parts, "one position")


# What the models' papers and cards say, in billions of parameters, and the cache of 1,000 tokens in MB, two bytes each.
PUBLISHED = {
    "mixtral": (46.7, 12.9, 131),  # Jiang et al. 2024, https://arxiv.org/abs/2401.04088: 47 and 13
    "deepseek_v3": (671, 37.5, 70),  # DeepSeek-AI 2024, https://arxiv.org/abs/2412.19437: 671 and 37
    "gpt_oss": (116.8, 5.7, 41.5),  # OpenAI 2025: 116.8, and 5.1 without the embedding and unembedding
}


@pytest.mark.slow
@pytest.mark.parametrize("model_type", PUBLISHED)
def test_the_card_of_a_mixture_of_experts_has_the_published_sizes(model_type: str) -> None:
    total, active, megabytes = PUBLISHED[model_type]
    model = blueprint(model_type)
    card = model_card(model)
    assert card["parameters"] / 1e9 == pytest.approx(total, rel=0.01)
    assert card["parameters, active"] / 1e9 == pytest.approx(active, rel=0.02)
    assert card["attention parameters"] + card["MLP parameters"] < card["parameters"]
    assert cache_bytes(anatomy(model), 1000, bytes_per_number=2) / 1e6 == pytest.approx(megabytes, rel=0.01)


def test_the_card_tells_experts_and_what_is_dense() -> None:
    deepseek = model_card(blueprint("deepseek_v3"))["MLP"]
    assert deepseek == (
        "256 experts, 8 active, each 2048, gated, silu; a shared one of 2048; one of 18432 in layers 0, 1, 2"
    )
    assert model_card(blueprint("mixtral"))["MLP"] == "8 experts, 2 active, each 14336, gated, silu"
    nemotron = model_card(variant("nemotron_h"))
    assert "not gated" in nemotron["MLP"] and nemotron["layers without heads"].startswith("3 of 4")
    assert "attention sinks" in model_card(variant("gpt_oss")) and "attention sinks" not in model_card(variant("llama"))


def test_active_parameters_are_those_that_a_token_meets() -> None:
    """Counted from the experts themselves, of a variant of two layers."""
    model = variant("qwen3_moe")
    card = model_card(model)
    experts = [m for name, m in model._module.named_modules() if name.endswith("experts")]
    in_all = sum(p.numel() for one in experts for p in one.parameters())
    assert card["parameters"] - card["parameters, active"] == in_all * 6 // 8


def test_a_layer_without_heads_says_so_and_the_rest_works() -> None:
    model = variant("qwen3_next")
    parts = anatomy(model)
    without = parts.kinds.index("linear attention")
    other = TOKENS[0].clone()
    other[4] = 7
    with pytest.warns(UserWarning, match=f"layer {without} has no attention heads: it is linear attention"):
        table = patch_heads(model, other, TOKENS[0], (5, 6))
    assert bool(table[without].isnan().all()) and bool(table[parts.head_layers].isfinite().all())
    with pytest.warns(UserWarning, match="no attention heads"):
        near = attribution_patching(model, other, TOKENS[0], (5, 6))
    assert torch.equal(near.isnan(), table.isnan())
    mean = mean_heads(model, TOKENS[0])
    assert bool(mean[without].isnan().all()) and bool(mean[parts.head_layers].isfinite().all())
    with pytest.warns(UserWarning, match="no attention heads"):
        assert ablate_heads(model, TOKENS[0], (5, 6), kind="mean").isnan().equal(table.isnan())
    with pytest.raises(AnatomyError, match="has no attention heads"):
        parts.heads(without)
    with pytest.raises(AnatomyError, match="has no attention heads"):
        parts.pattern(without)
    with pytest.raises(ValueError, match="layers are not all alike"):
        patch_paths(model, other, TOKENS[0], (5, 6))


def test_a_half_that_writes_in_two_places_is_not_patched() -> None:
    model = variant("granitemoehybrid")
    with pytest.raises(ValueError, match="its MLP writes to the stream in 2 places"):
        patch_mlp(model, TOKENS[0], TOKENS[0], (5, 6), layers=1)


def test_heads_of_several_sizes_do_not_fit_in_one_table() -> None:
    model = variant("gemma4_text")
    assert len(set(anatomy(model).head_widths)) == 2
    with pytest.raises(ValueError, match="heads of several sizes"):
        mean_heads(model, TOKENS[0])
    assert bool(ablate_heads(model, TOKENS[0], (5, 6)).isfinite().all())


def test_patched_runs_of_many_pairs_are_those_of_one(tiny: Any) -> None:
    """Layers of Gemma 4 read the tokens: each row has to be a run of its own prompt."""
    model = variant("gemma4_text")
    pairs = [(TOKENS[0].clone(), TOKENS[0].clone()) for _ in range(3)]
    for number, (clean, corrupted) in enumerate(pairs):
        corrupted[2] = 100 + number
        clean[2:4] = torch.tensor([200 + number, 300])
    sources, patched = ([pair[side] for pair in pairs] for side in (0, 1))
    together = patch_heads(model, sources, patched, (5, 6))
    alone = torch.stack([patch_heads(model, *pair, (5, 6)) for pair in pairs])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)
    assert float((alone[0] - alone[1]).abs().max()) > 1e-2


def test_what_a_pattern_is_short_of_is_on_the_sink() -> None:
    """gpt-oss adds one logit for each head to the softmax: the rest of a row is that logit's share."""
    model = variant("gpt_oss")
    sums = attention_patterns(model, TOKENS[0].tolist()).sum(-1)
    assert float(sums.min()) < 0.95 and float(sums.max()) <= 1.0 + 1e-5
