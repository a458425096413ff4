"""The parts that `anatomy` finds, held against transformers' hidden states, attentions, logits and plain hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nnsight
import pytest
import torch

from course_utils.model.anatomy import AnatomyError, anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.model.proving import prove

TEXT = "The teacher took the red train to the old city and read a long book by the river."
Tiny = Callable[..., Any]


@pytest.fixture(params=[*TINY_MODELS, "embedded"])
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Any:
    return request.getfixturevalue("real_model") if request.param == "embedded" else tiny(request.param, seed=2)


def transformers_run(model: Any) -> Any:
    """What transformers itself reports of a run."""
    ids = model.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model._module(ids, output_hidden_states=True, output_attentions=True)


@pytest.mark.slow
def test_residual_stream_and_attention_are_transformers(model: Any) -> None:
    parts = anatomy(model)
    theirs = transformers_run(model)
    with model.trace(TEXT):
        stream = nnsight.save([parts.layers[0].input])
        patterns = nnsight.save([])
        for layer in range(parts.n_layers):
            patterns.append(parts.pattern(layer))
            stream.append(parts.layers[layer].output)
        logits = model.output.logits.save()
    # transformers puts the final norm's output in the place of the last layer's.
    for layer in range(parts.n_layers):
        torch.testing.assert_close(stream[layer], theirs.hidden_states[layer], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(patterns[layer], theirs.attentions[layer], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.normalise(stream[-1]), theirs.hidden_states[-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.unembed(stream[-1]), theirs.logits, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(logits, theirs.logits, rtol=1e-4, atol=1e-4)


def test_layer_is_input_plus_what_was_written(model: Any) -> None:
    parts = anatomy(model)
    with model.trace(TEXT):
        steps = nnsight.save([])
        for layer in range(parts.n_layers):
            before = parts.layers[layer].input
            steps.append((before, parts.attention_written(layer), parts.mlp_written(layer), parts.layers[layer].output))
    for before, attention, mlp, after in steps:
        torch.testing.assert_close(before + attention + mlp, after, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_heads_are_what_the_output_projection_reads(model: Any) -> None:
    """A plain PyTorch hook on the projection sees the same numbers, in head order."""
    parts = anatomy(model)
    seen: list[torch.Tensor] = []
    handle = parts.out_projections[1]._module.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].clone())
    )
    try:
        transformers_run(model)
    finally:
        handle.remove()
    with model.trace(TEXT):
        heads = nnsight.save(parts.heads(1))
    assert heads.shape[2:] == (parts.n_heads, parts.head_width)
    for head in range(parts.n_heads):
        part = seen[0][..., head * parts.head_width : (head + 1) * parts.head_width]
        torch.testing.assert_close(heads[:, :, head], part, rtol=1e-4, atol=1e-5)


def test_writing_to_heads_changes_the_run(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    parts = anatomy(model)
    with model.trace(TEXT):
        parts.heads(1)[:, :, 0] = 0.0
        changed = model.output.logits.save()
    assert not torch.allclose(changed, transformers_run(model).logits)


def test_sizes_are_the_configurations(model: Any) -> None:
    parts = anatomy(model)
    config = model.config.get_text_config()
    assert parts.n_layers == config.num_hidden_layers and parts.n_heads == config.num_attention_heads
    assert parts.width == config.hidden_size and parts.vocabulary == len(model._module.get_output_embeddings().weight)
    assert len(parts.windows) == parts.n_layers


def test_special_architectures_are_seen(tiny: Tiny) -> None:
    """Against each family's published configuration: what makes it special is found."""
    assert anatomy(tiny("tiny-gpt-neox")).parallel and not anatomy(tiny("tiny-llama")).parallel
    assert anatomy(tiny("tiny-gemma2")).logit_cap == tiny("tiny-gemma2").config.final_logit_softcapping
    gemma = anatomy(tiny("tiny-gemma3"))
    assert any(gemma.windows) and not all(gemma.windows)
    assert anatomy(tiny("tiny-llama")).n_kv_heads < anatomy(tiny("tiny-llama")).n_heads
    assert gemma.n_heads * gemma.head_width != gemma.width


def test_found_once(tiny: Tiny) -> None:
    model = tiny("tiny-phi3")
    assert anatomy(model) is anatomy(model)


def test_half_precision_proves_itself() -> None:
    from course_utils import load_model

    assert anatomy(load_model("tiny-llama", dtype="bfloat16")).n_layers == 3


def wrap(family: str, **sizes: Any) -> Any:
    from nnsight import TransformersModel
    from transformers import AutoConfig, AutoModelForCausalLM

    from course_utils import load_model

    torch.manual_seed(0)
    hf = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes), attn_implementation="eager").eval()
    tokenizer = load_model("tiny-gpt2").tokenizer
    return TransformersModel(hf, tokenizer=tokenizer, task="text-generation", dispatch=True)


SMALL = {"vocab_size": 300, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("family", "sizes", "message"),
    [
        ("bert", {**SMALL, "intermediate_size": 64}, "bert is not a decoder-only language model"),
        ("mamba", SMALL, "mamba: it has no attention in any layer"),
        ("openai-gpt", {"vocab_size": 300, "n_embd": 48, "n_layer": 2, "n_head": 4}, "normalises the stream itself"),
    ],
)
def test_unknown_architecture_is_told(family: str, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnatomyError, match=message):
        anatomy(wrap(family, **sizes))


def test_parts_that_do_not_add_up_are_refused(tiny: Tiny) -> None:
    """The proof can fail: a wrong scale on what the layers write is noticed, and so is a missing logit cap."""
    import dataclasses

    parts = anatomy(tiny("tiny-gemma2"))
    with pytest.raises(AnatomyError, match="layer 0: input"):
        prove(dataclasses.replace(parts, mlp_sources=[((mlp, 0.5),) for mlp in parts.mlp_writers]))
    with pytest.raises(AnatomyError, match="does not give the model's logits"):
        prove(dataclasses.replace(parts, logit_cap=None))
    with pytest.raises(AnatomyError, match="not 3 heads"):
        prove(dataclasses.replace(parts, head_counts=(3, 3, 3)))
