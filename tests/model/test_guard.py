"""What holds for every run: each rule through a plain trace and through the functions of the lessons and sweeps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import nnsight
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from course_utils import anatomy, explore, load_model, logit_lens, residual, steering, sweeps, tokens
from course_utils.model.guard import guard
from course_utils.model.tiny import build_tiny, tiny_tokenizer
from course_utils.model.wrapping import wrap

CLEAN, CORRUPTED, ANSWERS = "a b c d", "a b e d", (" a", " b")
Run = Callable[[Any, str], Any]


def traced(model: Any, prompt: Any, **options: Any) -> torch.Tensor:
    with model.trace(prompt, **options):
        logits = model.output.logits.save()
    return logits


def generated(model: Any, prompt: Any, count: int) -> torch.Tensor:
    with model.generate(prompt, max_new_tokens=count, do_sample=False) as tracer:
        made = tracer.result.save()
    return made


RUNS: dict[str, Run] = {
    "a plain trace": traced,
    "top_next_tokens": tokens.top_next_tokens,
    "next_token_probabilities": tokens.next_token_probabilities,
    "greedy": lambda model, text: tokens.greedy(model, text, 1),
    "surprisals": tokens.surprisals,
    "residual_stream": residual.residual_stream,
    "layer_output_with_hook": lambda model, text: residual.layer_output_with_hook(model, text, 0),
    "logit_lens": logit_lens.logit_lens,
    "explore.attention": explore.attention,
    "explore.next_token": explore.next_token,
    "explore.lens": explore.lens,
    "steering": lambda model, text: steering.concept_direction(model, [text], [CLEAN], 0),
    "patch_heads": lambda model, text: sweeps.patch_heads(model, text, text, ANSWERS, layers=0),
    "attribution_patching": lambda model, text: sweeps.attribution_patching(model, text, text, ANSWERS, layers=0),
    "patch_paths": lambda model, text: sweeps.patch_paths(model, text, text, ANSWERS, senders="0.0"),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])  # learned positions, and rotary ones that run on
def test_a_text_longer_than_the_window_is_told_the_same_way_everywhere(name: str, run: Run, tiny: Any) -> None:
    with pytest.raises(ValueError, match="The text has 600 tokens, more than this model's window of 512: shorten it"):
        run(tiny(name), " a" * 600)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_an_empty_text_is_told_the_same_way_everywhere(run: Run, tiny: Any) -> None:
    with pytest.raises(ValueError, match="The text is empty"):
        run(tiny("tiny-llama"), "")


def test_an_empty_text_in_a_batch_is_none_either(tiny: Any) -> None:
    with pytest.raises(ValueError, match="The text is empty"):
        traced(tiny("tiny-llama"), [CLEAN, ""])


@pytest.fixture
def in_training() -> Iterator[Any]:
    model = load_model("tiny-gpt2", seed=3)  # GPT-2 drops a tenth of nearly everything
    model._module.train()
    yield model
    model._module.eval()


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_model_in_training_mode_shows_no_number(run: Run, in_training: Any) -> None:
    with pytest.raises(ValueError, match=r"training mode, where dropout .* model\._module\.eval\(\)"):
        run(in_training, CLEAN)


def test_a_steered_model_in_training_mode_writes_nothing() -> None:
    model = load_model("tiny-gpt2", seed=3)
    steerer = steering.LLMSteering(model).set_steering(" a", " b", 0)
    model._module.train()
    with pytest.raises(ValueError, match="training mode"):
        steerer.generate(CLEAN, max_new_tokens=2)


def test_one_part_in_training_mode_is_enough(tiny: Any) -> None:
    model = load_model("tiny-gpt2", seed=4)
    list(model._module.modules())[5].train()
    with pytest.raises(ValueError, match="training mode"):
        traced(model, CLEAN)


def test_what_a_cache_holds_counts(tiny: Any) -> None:
    model = tiny("tiny-llama")
    whole = model.tokenizer(" a" * 510, return_tensors="pt")["input_ids"]
    assert generated(model, whole, 2).shape[1] == 512
    with pytest.raises(ValueError, match="The text has 513 tokens"):
        generated(model, whole, 4)


@pytest.mark.parametrize("bad", [-1, 10**6])
def test_a_token_beyond_the_vocabulary_is_named(bad: int, tiny: Any) -> None:
    model = tiny("tiny-gpt2")
    with pytest.raises(ValueError, match=f"Token {bad} does not exist; the vocabulary has 1131"):
        traced(model, torch.tensor([[1, bad]]))
    ids = torch.tensor([1, bad])
    for sweep in (sweeps.patch_heads, sweeps.patch_paths, sweeps.edge_attribution, sweeps.attribution_patching):
        with pytest.raises(sweeps.SweepError, match=f"corrupted: Token {bad} does not exist"):
            sweep(model, torch.tensor([1, 2]), ids, ANSWERS)


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-gemma2"])
def test_the_rules_change_no_number(name: str, tiny: Any) -> None:
    """Against transformers' own run of the same model without the rules."""
    model = tiny(name)
    fresh = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").eval()
    fresh.load_state_dict(model._module.state_dict())
    ids = model.tokenizer(CLEAN, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(fresh(ids).logits, traced(model, ids))


def test_twice_is_as_once_and_a_copy_is_held_against_the_rules_by_itself() -> None:
    module = load_model("tiny-gpt2", seed=5)._module
    guarded = module.forward
    guard(module)
    assert module.forward is guarded
    copied = copy.deepcopy(module)
    with torch.no_grad():
        copied.lm_head.weight.zero_()
        ids = torch.tensor([[1, 2]])
        assert not copied(ids).logits.any() and module(ids).logits.any()
    copied.train()
    module(ids)
    with pytest.raises(ValueError, match="training mode"):
        copied(ids)


def test_the_rules_are_no_hook() -> None:
    """Lesson 5 has its reader count the hooks on a model, and clear them."""
    model = load_model("tiny-gpt2", seed=6)
    assert steering.LLMSteering(model).force_clear_all_hooks() == 0
    with pytest.raises(ValueError, match="The text is empty"):
        traced(model, "")


# Rotary frequencies that follow the length: a small Phi-3 that was first trained on 8 tokens.


@pytest.fixture(scope="module")
def longrope() -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "phi3", vocab_size=len(tiny_tokenizer()), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, original_max_position_embeddings=8,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4,
                         "long_factor": [4.0, 6.0, 8.0, 9.0], "original_max_position_embeddings": 8, "factor": 8.0},
    )  # fmt: skip
    module = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    return wrap(module, tiny_tokenizer())


def test_short_and_long_texts_of_one_batch_are_refused_where_frequencies_follow_the_length(longrope: Any) -> None:
    short, long = " a" * 4, " a" * 12
    with pytest.raises(ValueError, match=r"more than 8 tokens, and in a batch all alike: run shorter and longer texts"):
        traced(longrope, [short, long])
    for pair in ([short, " a" * 6], [long, " a" * 10]):  # all short, all long: as alone
        together = traced(longrope, pair)
        for row, text in zip(together, pair, strict=True):
            alone = traced(longrope, text)[0]
            torch.testing.assert_close(row[-len(alone) :], alone, atol=1e-5, rtol=0)


def test_what_is_refused_would_have_been_wrong(longrope: Any) -> None:
    """The control: without the rules, the short row of the mixed batch is another than alone."""
    ids = longrope.tokenizer([" a b c d", " a b" * 6], return_tensors="pt", padding=True)
    free = AutoModelForCausalLM.from_config(longrope.config, attn_implementation="eager").eval()
    free.load_state_dict(longrope._module.state_dict())
    with torch.no_grad():
        places = (ids["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        mixed = free(**ids, position_ids=places).logits[0, -1]
        alone = free(ids["input_ids"][:1, -4:]).logits[0, -1]
    assert float((mixed - alone).abs().max()) > 1e-4


def test_a_cache_of_a_short_text_does_not_fit_a_long_one(longrope: Any) -> None:
    from transformers import DynamicCache

    cache = DynamicCache()
    ids = longrope.tokenizer(" a" * 12, return_tensors="pt")["input_ids"]
    traced(longrope, ids[:, :6], past_key_values=cache, use_cache=True)
    with pytest.raises(ValueError, match="the cache holds 6 turned for a shorter one: run the whole text"):
        traced(longrope, ids[:, 6:], past_key_values=cache, use_cache=True)


@pytest.fixture
def foreign(tmp_path: Any) -> Any:
    """A model that its owner gave to nnsight, without `load_model`, once the course has seen it."""
    build_tiny("tiny-llama", seed=2).save_pretrained(tmp_path)
    module = AutoModelForCausalLM.from_pretrained(tmp_path)
    model = nnsight.TransformersModel(module, task="text-generation", tokenizer=tiny_tokenizer())
    assert anatomy(model) is anatomy(model)
    return model


def test_a_model_that_was_wrapped_elsewhere_keeps_to_the_rules(foreign: Any) -> None:
    assert len(foreign._module._forward_pre_hooks) == 1  # once, however often it is looked at
    long = "a " * 600
    for run in (traced, tokens.surprisals, residual.residual_stream, logit_lens.logit_lens):
        with pytest.raises(ValueError, match="more than this model's window of 512"):
            run(foreign, long)
    with pytest.raises(ValueError, match="A text was expected"):
        foreign.tokenizer(5)
    foreign._module.train()
    with pytest.raises(ValueError, match="training mode"):
        tokens.next_token_probabilities(foreign, CLEAN)


def test_a_model_of_ours_that_is_wrapped_again_gets_no_hook() -> None:
    """A lesson has its readers count the hooks on a model."""
    model = load_model("tiny-llama")
    for _ in range(2):
        again = nnsight.TransformersModel(model._module, task="text-generation", tokenizer=model.tokenizer)
        assert anatomy(again).n_layers == 3
    assert not any(part._forward_pre_hooks for part in model._module.modules())


def test_a_model_that_was_wrapped_elsewhere_is_read_as_ours(foreign: Any) -> None:
    ours = load_model("tiny-llama", seed=2)
    torch.testing.assert_close(residual.residual_stream(foreign, CLEAN), residual.residual_stream(ours, CLEAN))
    for theirs, own in zip(logit_lens.logit_lens(foreign, CLEAN), logit_lens.logit_lens(ours, CLEAN), strict=True):
        assert theirs["top_tokens"] == own["top_tokens"]
    torch.testing.assert_close(
        sweeps.patch_heads(foreign, CLEAN, CORRUPTED, ANSWERS), sweeps.patch_heads(ours, CLEAN, CORRUPTED, ANSWERS)
    )


def test_a_plain_model_is_told_where_texts_are_read() -> None:
    module = build_tiny("tiny-llama")
    for read in (tokens.greedy, tokens.perplexity, residual.previous_token_scores):
        with pytest.raises(ValueError, match=r"A model with a tokenizer was expected, .*LlamaForCausalLM came"):
            read(module, CLEAN)
