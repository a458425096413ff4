"""A small random variant of every family that is accepted, held against plain hooks and transformers' own outputs."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nnsight
import pytest
import torch
from transformers import DynamicCache

from course_utils.kv_cache import cache_bytes
from course_utils.logit_lens import ablate_parts
from course_utils.model.anatomy import Anatomy, AnatomyError, anatomy
from course_utils.model.families import FAMILIES
from course_utils.model.tiny import tiny_tokenizer
from course_utils.residual import attention_patterns, layer_output_with_hook, model_card, stream_parts
from course_utils.sweeps import patch_heads, patch_mlp, patch_residual, run_circuits
from course_utils.sweeps.nodes import all_edges
from tests.model.variants import TOKENS, model_types, refusal, variant, whole_types
from tests.model.what_works import has_paths, refused_row, row

TEXT = "The cat and the dog"
READ = tiny_tokenizer()(TEXT, return_tensors="pt")["input_ids"]
TABLE = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8").splitlines()
CLOSE: Any = {"rtol": 2e-3, "atol": 2e-3}
# What adds a number of its own to the stream besides what its parts write, which shows only once it is not zero.
DO_NOT_ADD_UP = ("gpt_neox_japanese", "zaya")
ALL = model_types() + whole_types()
ACCEPTED = [name for name in ALL if not refusal(name) and name not in DO_NOT_ADD_UP]
# Each day some others are in the fast tests; all of them are in the full run.
TODAY = ACCEPTED[datetime.date.today().toordinal() % 20 :: 20]


@pytest.mark.parametrize("model_type", TODAY)
def test_a_family_is_right_today(model_type: str) -> None:
    holds(model_type)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ACCEPTED)
def test_a_family_is_right(model_type: str) -> None:
    holds(model_type)


@pytest.mark.parametrize("name", [name for name in ALL if refusal(name)])
def test_the_table_says_why_not(name: str) -> None:
    assert refused_row(name, refusal(name)) in TABLE


def test_most_families_are_accepted() -> None:
    families = {name.split()[0] for name in ACCEPTED}
    assert len(families - set(whole_types())) >= 120
    assert len(families & set(whole_types())) >= 60


@pytest.mark.parametrize("model_type", DO_NOT_ADD_UP)
def test_what_does_not_add_up_is_refused(model_type: str) -> None:
    with pytest.raises(AnatomyError, match="is not its output"):
        anatomy(variant(model_type))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["mamba", "rwkv", "xlstm", "openai-gpt", "jetmoe", "longcat_flash", "hrm_text"])
def test_what_the_lessons_do_not_fit_is_refused_in_a_sentence(model_type: str) -> None:
    with pytest.raises(AnatomyError, match=f"^{model_type}: {FAMILIES[model_type].refused[:20]}"):
        anatomy(variant(model_type))


def hooked(
    model: Any, module: Any, read: Callable[[tuple, Any], Any], tokens: torch.Tensor = TOKENS, **how: Any
) -> Any:
    """What a plain PyTorch hook sees at a module in one run; `read` takes the inputs and the output."""
    seen: list[Any] = []
    handle = module.register_forward_hook(lambda _, args, output: seen.append(read(args, output)))
    try:
        with torch.no_grad():
            run = model._module(tokens, **how)
    finally:
        handle.remove()
    return seen[-1], run


def first(output: Any) -> torch.Tensor:
    return (output[0] if isinstance(output, tuple) else output).clone()


def holds(name: str) -> None:
    model = variant(name)
    parts = anatomy(model)
    the_stream_adds_up(model, parts)
    heads_and_patterns(model, parts)
    the_cache_is_as_large_as_said(model, parts)
    one_patch_is_a_hooks(model, parts)
    if has_paths(parts):
        all_edges_are_the_clean_run(model, parts)
    assert model_card(model)["family"] == parts.family
    assert row(name, parts) in TABLE


def all_edges_are_the_clean_run(model: Any, parts: Anatomy) -> None:
    other = TOKENS.clone()
    other[0, 4] = 7
    found = run_circuits(model, other[0], TOKENS[0], (5, 6), circuits=[all_edges(parts), []], progress=False)
    with torch.no_grad():
        ends = [model._module(tokens).logits[0, -1] for tokens in (other, TOKENS)]
    expected = torch.stack([logits[5] - logits[6] for logits in ends])
    assert float((expected[0] - expected[1]).abs()) > 1e-3
    torch.testing.assert_close(found, expected.float(), **CLOSE)


def the_stream_adds_up(model: Any, parts: Anatomy) -> None:
    written = stream_parts(model, TEXT)
    for layer in (0, parts.n_layers - 1):
        own, run = hooked(model, parts.layers[layer]._module, lambda _, output: first(output), READ)
        torch.testing.assert_close(layer_output_with_hook(model, TEXT, layer), own[0], **CLOSE)
    torch.testing.assert_close(written.sum(0), own[0], **CLOSE)
    torch.testing.assert_close(parts.unembed(own), run.logits, **CLOSE)
    silent = ablate_parts(model, TEXT, [1, 2 * parts.n_layers])
    torch.testing.assert_close(silent[0], run.logits[0, -1], **CLOSE)
    assert all(bool(row.isfinite().all()) for row in silent)


def heads_and_patterns(model: Any, parts: Anatomy) -> None:
    layer = parts.head_layers[-1]
    joined, _ = hooked(model, parts.out_projections[layer]._module, lambda args, _: args[0].clone())
    with model.trace(TOKENS):
        heads = nnsight.save(parts.heads(layer))
    assert heads.shape[2:] == (parts.head_counts[layer], parts.head_widths[layer])
    torch.testing.assert_close(heads.flatten(2), joined.view(1, TOKENS.shape[1], -1), **CLOSE)
    if not parts.shows_patterns:
        with pytest.raises(AnatomyError, match="no patterns"):
            attention_patterns(model, TOKENS[0].tolist())
        return
    patterns = attention_patterns(model, TOKENS[0].tolist())
    assert patterns.shape[:2] == (parts.n_layers, max(parts.head_counts))
    theirs, _ = hooked(model, parts.attentions[layer]._module, lambda _, output: output[1].clone())
    torch.testing.assert_close(patterns[layer, : theirs.shape[1]], theirs[0], **CLOSE)
    sums = theirs.sum(-1)
    assert bool((sums < 1.001).all()) and (parts.sinks or bool((sums > 0.98).all()))
    # Nothing is seen ahead, nor beyond the window that the anatomy speaks of.
    q, k = torch.arange(TOKENS.shape[1])[:, None], torch.arange(TOKENS.shape[1])
    window = parts.windows[layer] or TOKENS.shape[1]
    assert float(theirs[0][:, (k > q) | (k <= q - window)].abs().sum()) == 0
    missing = [layer for layer, kind in enumerate(parts.kinds) if kind != "attention"]
    assert all(bool(patterns[layer].isnan().all()) for layer in missing)


def the_cache_is_as_large_as_said(model: Any, parts: Anatomy) -> None:
    cache = DynamicCache(config=model._module.config)
    with torch.no_grad():
        model._module(TOKENS, past_key_values=cache, use_cache=True)
    tensors = [getattr(held, name, None) for held in cache.layers for name in ("keys", "values", "index_keys")]
    held = sum(one.numel() * one.element_size() for one in tensors if isinstance(one, torch.Tensor))
    assert cache_bytes(parts, TOKENS.shape[1]) == held


def one_patch_is_a_hooks(model: Any, parts: Anatomy) -> None:
    """The last head of the last layer with heads, the stream and an MLP, from another prompt: by sweep and by hooks."""
    other = TOKENS.clone()
    other[0, 4] = 7
    layer, length = parts.head_layers[-1], TOKENS.shape[1]
    head = parts.head_counts[layer] - 1
    projection = parts.out_projections[layer]._module
    clean, _ = hooked(model, projection, lambda args, _: args[0].clone(), other)

    def put(_: Any, args: tuple) -> tuple:
        mixed = args[0].clone()
        width = parts.head_widths[layer]
        mixed.view(length, -1)[:, head * width : (head + 1) * width] = clean.view(length, -1)[
            :, head * width : (head + 1) * width
        ]
        return (mixed, *args[1:])

    handle = projection.register_forward_pre_hook(put)
    try:
        with torch.no_grad():
            last = model._module(TOKENS).logits[0, -1]
    finally:
        handle.remove()
    found = patch_heads(model, other[0], TOKENS[0], (5, 6), layers=layer, heads=head)
    torch.testing.assert_close(found[0, 0], last[5] - last[6], **CLOSE)
    with torch.no_grad():
        own = model._module(TOKENS).logits[0, -1]
    assert float((own - last).abs().max()) > 1e-3  # the head counts
    at_end = patch_residual(model, other[0], TOKENS[0], (5, 6), layers=0, positions=-1)
    torch.testing.assert_close(at_end[0, 0], own[5] - own[6], **CLOSE)  # the two prompts end with the same token
    if parts.mlp_writers[-1] is not None:
        found = patch_mlp(model, other[0], TOKENS[0], (5, 6), layers=parts.n_layers - 1, positions=-1)
        assert bool(found.isfinite().all())
    for kind in set(parts.kinds) - {"attention"}:
        without = parts.kinds.index(kind)
        with pytest.raises(ValueError, match=f"layer {without} has no attention heads"):
            patch_heads(model, other[0], TOKENS[0], (5, 6), layers=without)
