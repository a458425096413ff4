"""The sweeps against a loop of plain PyTorch hooks (every family), against TransformerLens (GPT-2 and the real model),
and against themselves with each shortcut alone, in chunks, and where a shortcut does not hold.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.sweeps import (
    Shortcuts,
    SweepError,
    ablate_heads,
    attribution_patching,
    growing_batch,
    mean_heads,
    memory,
    patch_attention,
    patch_heads,
    patch_mlp,
    patch_residual,
    permute_heads,
    runs,
)
from course_utils.sweeps.fast_linear import _product, fast_linear

CLEAN = "When Mike and Emma went to the cafe, Mike gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Emma gave a coffee to"
LONGER = "Then, when Mike and Emma went to the cafe, Emma gave a coffee to"
SHORTER = "Yes, Mike gave a coffee to"
ANSWERS = (" Mike", " Emma")
NAMES = [field.name for field in fields(Shortcuts)]
TOLERANCE = 1e-4


# The independent way: one forward pass for each patch, by PyTorch's own hooks.


def ids_of(model: Any, prompt: str) -> torch.Tensor:
    return torch.tensor([model.tokenizer(prompt)["input_ids"]])


def difference(model: Any, logits: torch.Tensor, answers: tuple[str, str] = ANSWERS) -> float:
    first, second = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in answers)
    return float(logits[0, -1, first] - logits[0, -1, second])


@contextmanager
def hooked(
    module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor | None], before: bool
) -> Iterator[None]:
    """Change (or with None only read) the first tensor that goes into a module, or that comes out of it."""

    def replace_first(values: Any) -> Any:
        first = values[0] if isinstance(values, tuple) else values
        changed = change(first)
        if changed is None:
            return None
        return (changed, *values[1:]) if isinstance(values, tuple) else changed

    if before:

        def hook_input(_: Any, args: tuple, kwargs: dict) -> Any:
            if args:
                changed = replace_first(args)
                return None if changed is None else (changed, kwargs)
            changed = change(kwargs["hidden_states"])
            return None if changed is None else (args, dict(kwargs, hidden_states=changed))

        handle = module.register_forward_pre_hook(hook_input, with_kwargs=True)
    else:
        handle = module.register_forward_hook(lambda _module, _args, output: replace_first(output))
    try:
        yield
    finally:
        handle.remove()


def place(parts: Anatomy, site: str, layer: int) -> tuple[torch.nn.Module, bool]:
    """The module at a site, and whether it is its input that counts."""
    envoys = {
        "head": (parts.out_projections, True),
        "residual": (parts.layers, True),
        "attention": (parts.attention_writers, False),
        "mlp": (parts.mlp_writers, False),
    }[site]
    return envoys[0][layer]._module, envoys[1]


@torch.no_grad()
def found_at(model: Any, prompt: torch.Tensor, site: str, layer: int) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    module, before = place(anatomy(model), site, layer)
    with hooked(module, lambda value: kept.append(value.clone()), before):
        model._module(prompt)
    return kept[0]


@torch.no_grad()
def patched_run(
    model: Any, prompt: torch.Tensor, site: str, layer: int, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """The logits (1, position, vocabulary) of a run in which what stands at a site is changed."""
    module, before = place(anatomy(model), site, layer)
    with hooked(module, change, before):
        return model._module(prompt).logits


def loop_heads(
    model: Any,
    prompt: str,
    source: Callable[[int, torch.Tensor], torch.Tensor],
    read: Callable[[torch.Tensor], float],
    positions: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
) -> torch.Tensor:
    """(layer, head): each head's part of the output projection's input replaced by that of `source(layer, own)`."""
    parts = anatomy(model)
    ids = ids_of(model, prompt)
    where = list(range(ids.shape[1])) if positions is None else list(positions)
    chosen = range(parts.n_layers) if layers is None else layers
    result = torch.zeros(len(chosen), parts.n_heads)
    for row, layer in enumerate(chosen):
        new = source(layer, found_at(model, ids, "head", layer))
        for head in range(parts.n_heads):
            columns = slice(head * parts.head_width, (head + 1) * parts.head_width)

            def change(own: torch.Tensor, columns: slice = columns, new: torch.Tensor = new) -> torch.Tensor:
                changed = own.clone()
                for position in where:
                    changed[:, position, columns] = new[:, position - ids.shape[1], columns]
                return changed

            result[row, head] = read(patched_run(model, ids, "head", layer, change))
    return result


def loop_patch_heads(
    model: Any,
    clean: str,
    corrupted: str,
    positions: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
) -> torch.Tensor:
    clean_ids = ids_of(model, clean)
    return loop_heads(
        model,
        corrupted,
        lambda layer, _own: found_at(model, clean_ids, "head", layer),
        lambda logits: difference(model, logits),
        positions,
        layers,
    )


def loop_positions(model: Any, clean: str, corrupted: str, site: str) -> torch.Tensor:
    """(layer, position)."""
    ids = ids_of(model, corrupted)
    result = torch.zeros(anatomy(model).n_layers, ids.shape[1])
    for layer in range(len(result)):
        new = found_at(model, ids_of(model, clean), site, layer)
        for position in range(ids.shape[1]):

            def change(own: torch.Tensor, position: int = position, new: torch.Tensor = new) -> torch.Tensor:
                changed = own.clone()
                changed[:, position] = new[:, position]
                return changed

            result[layer, position] = difference(model, patched_run(model, ids, site, layer, change))
    return result


def must_agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    assert ours.shape == theirs.shape and ours.dtype == torch.float32
    assert float((ours - theirs).abs().max()) <= tolerance


# Every family against the loop.


@pytest.mark.parametrize("name", TINY_MODELS)
def test_heads_are_those_of_the_loop_of_hooks(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    expected = loop_patch_heads(model, CLEAN, CORRUPTED)
    assert float(expected.std()) > 1e-2  # else any answer would agree
    must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
@pytest.mark.parametrize("site", ["residual", "attention", "mlp"])
def test_positions_are_those_of_the_loop_of_hooks(tiny: Callable[..., Any], name: str, site: str) -> None:
    model = tiny(name, seed=1)
    sweep = {"residual": patch_residual, "attention": patch_attention, "mlp": patch_mlp}[site]
    expected = loop_positions(model, CLEAN, CORRUPTED, site)
    assert float(expected.std()) > 1e-2
    must_agree(sweep(model, CLEAN, CORRUPTED, ANSWERS), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_permuted_and_ablated_heads_are_those_of_the_loop_of_hooks(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    parts = anatomy(model)
    order = torch.randperm(parts.head_width, generator=torch.Generator().manual_seed(7))
    mean = torch.randn(parts.n_layers, parts.n_heads, parts.head_width)

    def loop(source: Callable[[int, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return loop_heads(model, CLEAN, source, lambda logits: difference(model, logits))

    permuted = loop(lambda _, own: own.unflatten(-1, (parts.n_heads, -1))[..., order].flatten(-2))
    must_agree(permute_heads(model, CLEAN, ANSWERS, seed=7), permuted)
    must_agree(ablate_heads(model, CLEAN, ANSWERS), loop(lambda _, own: torch.zeros_like(own)))
    averaged = loop(lambda layer, own: mean[layer].flatten().expand_as(own))
    must_agree(ablate_heads(model, CLEAN, ANSWERS, kind="mean", mean=mean), averaged)


def test_the_mean_is_over_the_tokens_of_all_prompts(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-qwen3")
    prompts = [CLEAN, LONGER]
    for layer in range(3):
        tokens = torch.cat([found_at(model, ids_of(model, prompt), "head", layer)[0] for prompt in prompts])
        expected = tokens.mean(0).unflatten(-1, (4, 24))
        torch.testing.assert_close(mean_heads(model, prompts)[layer], expected, atol=1e-5, rtol=0)
    of_itself = ablate_heads(model, prompts, ANSWERS, kind="mean")
    must_agree(of_itself, ablate_heads(model, prompts, ANSWERS, kind="mean", mean=mean_heads(model, prompts)), 1e-6)


# Each shortcut.


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_each_shortcut_alone_and_each_one_missing_gives_the_loop_s_numbers(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=2)
    expected = loop_patch_heads(model, CLEAN, CORRUPTED)
    for chosen in NAMES:
        alone = Shortcuts(**{other: other == chosen for other in NAMES})
        must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS, shortcuts=alone), expected)
        missing = Shortcuts(**{other: other != chosen for other in NAMES})
        must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS, shortcuts=missing), expected)


@pytest.mark.slow
@pytest.mark.parametrize("site", ["residual", "attention", "mlp"])
@pytest.mark.parametrize("chosen", NAMES)
def test_each_shortcut_alone_at_the_other_sites(tiny: Callable[..., Any], site: str, chosen: str) -> None:
    sweep = {"residual": patch_residual, "attention": patch_attention, "mlp": patch_mlp}[site]
    alone = Shortcuts(**{other: other == chosen for other in NAMES})
    for name in ("tiny-gpt2", "tiny-gemma3", "tiny-gpt-neox"):
        model = tiny(name, seed=2)
        must_agree(
            sweep(model, CLEAN, CORRUPTED, ANSWERS, shortcuts=alone), loop_positions(model, CLEAN, CORRUPTED, site)
        )


@contextmanager
def work_counted(model: Any) -> Iterator[dict[str, int]]:
    """What passes the modules: rows * positions through all attentions, the last MLP and the unembedding; and how often
    the model runs.
    """
    parts = anatomy(model)
    seen = {"tokens": 0, "last MLP": 0, "logits": 0, "runs": 0}

    def counting(what: str) -> Callable[[torch.Tensor], None]:
        def count(value: torch.Tensor) -> None:
            seen[what] += value.shape[0] * value.shape[1]

        return count

    handles = [
        hooked(parts.out_projections[layer]._module, counting("tokens"), True) for layer in range(parts.n_layers)
    ]
    # Inside the MLP: a hook on a module that the trace writes to shows what was there before.
    handles.append(hooked(parts.mlps[parts.n_layers - 1]._module.down_proj, counting("last MLP"), True))
    handles.append(hooked(parts.unembedding._module, counting("logits"), True))
    handles.append(hooked(parts.embedding._module, lambda _: seen.update(runs=seen["runs"] + 1), False))
    for handle in handles:
        handle.__enter__()
    try:
        yield seen
    finally:
        for handle in handles:
            handle.__exit__(None, None, None)


def test_each_shortcut_takes_its_share_of_the_work_away(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama", seed=1)
    layers, heads, length = 3, 4, len(ids_of(model, CLEAN)[0])
    suffix = length - int((ids_of(model, CLEAN) != ids_of(model, CORRUPTED)).nonzero()[0, 1])
    unpatched = 2 * layers * length

    def work(*names: str) -> dict[str, int]:
        with work_counted(model) as seen:
            patch_heads(
                model, CLEAN, CORRUPTED, ANSWERS, shortcuts=Shortcuts(**{name: name in names for name in NAMES})
            )
        return seen

    plain = work()
    assert plain["tokens"] == unpatched + layers * heads * layers * length
    assert plain["logits"] == layers * heads * length and plain["runs"] == 1 + layers * heads
    # From here on each trace carries one row more, with nothing patched.
    assert work("batch")["runs"] == 1 + layers
    assert work("batch")["tokens"] == unpatched + layers * (heads + 1) * layers * length
    from_their_layer = sum(layers - layer for layer in range(layers))
    assert work("batch", "skip")["tokens"] == unpatched + from_their_layer * (heads + 1) * length
    assert work("batch", "skip", "prefix")["tokens"] == unpatched + from_their_layer * (heads + 1) * suffix
    grown = work("batch", "skip", "prefix", "grow")
    assert grown["runs"] == 2
    assert grown["tokens"] == unpatched + (from_their_layer * heads + layers) * suffix
    least = work("batch", "skip", "prefix", "grow", "direction")
    assert least["logits"] == 0 and grown["logits"] == (layers * heads + 1) * suffix
    assert least["last MLP"] == grown["last MLP"] - (layers * heads + 1) * (suffix - 1)


def test_a_model_that_does_not_repeat_itself_is_found_out(tiny: Callable[..., Any], monkeypatch: Any) -> None:
    model = tiny("tiny-llama", seed=1)
    expected = loop_patch_heads(model, CLEAN, CORRUPTED)
    honest = growing_batch.SharedPrefix._in_front_of
    monkeypatch.setattr(
        growing_batch.SharedPrefix, "_in_front_of", lambda self, new, prefix: honest(self, new, prefix * 1.05)
    )
    with pytest.warns(UserWarning, match=r"nothing patched ends .* prefix=False"):
        must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS), expected)

    monkeypatch.setattr(runs, "AGREE", {torch.float32: -1.0})
    with pytest.warns(UserWarning), pytest.raises(SweepError, match="does not repeat its own runs"):
        patch_heads(model, CLEAN, CORRUPTED, ANSWERS)


# Prompts as they come.


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
@pytest.mark.parametrize(("clean", "corrupted"), [(CLEAN, LONGER), (LONGER, CLEAN), (SHORTER, LONGER)])
def test_prompts_of_different_lengths_are_aligned_at_their_ends(
    tiny: Callable[..., Any], name: str, clean: str, corrupted: str
) -> None:
    model = tiny(name, seed=1)
    length, other = len(ids_of(model, corrupted)[0]), len(ids_of(model, clean)[0])
    assert length != other
    shared = range(max(0, length - other), length)
    must_agree(patch_heads(model, clean, corrupted, ANSWERS), loop_patch_heads(model, clean, corrupted, shared))


@pytest.mark.parametrize("name", TINY_MODELS)
def test_no_common_beginning(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    unlike = torch.cat([torch.tensor([5]), ids_of(model, CORRUPTED)[0, 1:]])
    clean = ids_of(model, CLEAN)[0]
    assert clean[0] != unlike[0]
    expected = loop_patch_heads(model, model.tokenizer.decode(clean), model.tokenizer.decode(unlike))
    must_agree(patch_heads(model, clean, unlike, ANSWERS), expected)


def test_a_prompt_against_itself_gives_the_unpatched_number_everywhere(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-phi3")
    with torch.no_grad():
        expected = difference(model, model._module(ids_of(model, CLEAN)).logits)
    must_agree(patch_heads(model, CLEAN, CLEAN, ANSWERS), torch.full((3, 4), expected))


def test_one_token(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-olmo2")
    must_agree(patch_heads(model, " Mike", " Emma", ANSWERS), loop_patch_heads(model, " Mike", " Emma"))


@pytest.mark.slow
def test_many_pairs_are_each_one_alone(tiny: Callable[..., Any]) -> None:
    clean = [CLEAN, CORRUPTED, LONGER, SHORTER, CLEAN]
    corrupted = [CORRUPTED, CLEAN, LONGER.replace(" Emma gave", " Mike gave"), LONGER, CORRUPTED]
    answers = [ANSWERS, ANSWERS[::-1], ANSWERS, (" Emma", " to"), ANSWERS]
    for name in ("tiny-gpt2", "tiny-gemma3", "tiny-cohere"):
        model = tiny(name, seed=1)
        together = patch_heads(model, clean, corrupted, answers)
        assert together.shape == (5, 3, 4)
        for i in range(5):
            must_agree(together[i], patch_heads(model, clean[i], corrupted[i], answers[i]), 1e-5)
        same_length = patch_residual(model, clean[:2], corrupted[:2], ANSWERS)
        must_agree(same_length[1], patch_residual(model, clean[1], corrupted[1], ANSWERS), 1e-5)
        last = patch_mlp(model, clean, corrupted, ANSWERS, positions=[-2, -1])
        assert last.shape == (5, 3, 2)
        must_agree(last[2], patch_mlp(model, clean[2], corrupted[2], ANSWERS)[:, -2:], 1e-5)


def test_token_ids_in_place_of_texts(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    clean, corrupted = ids_of(model, CLEAN)[0], ids_of(model, CORRUPTED)[0]
    before = corrupted.clone()
    must_agree(patch_heads(model, clean, corrupted, ANSWERS), patch_heads(model, CLEAN, CORRUPTED, ANSWERS), 0)
    assert torch.equal(corrupted, before)
    ids = [model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS]
    must_agree(patch_heads(model, CLEAN, CORRUPTED, (ids[0], ids[1])), patch_heads(model, CLEAN, CORRUPTED, ANSWERS), 0)


@pytest.mark.slow
def test_a_choice_of_layers_heads_and_positions(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-qwen2", seed=1)
    every = patch_heads(model, CLEAN, CORRUPTED, ANSWERS)
    must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS, layers=[2, 0], heads=3), every[[2, 0]][:, [3]], 1e-5)
    for positions in ([-1], [8, 10], [0, 1]):
        length = len(ids_of(model, CORRUPTED)[0])
        expected = loop_patch_heads(model, CLEAN, CORRUPTED, [p % length for p in positions])
        must_agree(patch_heads(model, CLEAN, CORRUPTED, ANSWERS, positions=positions), expected)
    columns = patch_residual(model, CLEAN, CORRUPTED, ANSWERS, layers=1, positions=[-1, 9])
    must_agree(columns, patch_residual(model, CLEAN, CORRUPTED, ANSWERS)[[1]][:, [-1, 9]], 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_a_metric_of_all_logits(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)

    def entropy(logits: torch.Tensor) -> torch.Tensor:
        logs = logits.log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    clean = ids_of(model, CLEAN)
    expected = loop_heads(
        model,
        CORRUPTED,
        lambda layer, _: found_at(model, clean, "head", layer),
        lambda logits: float(entropy(logits[:, -1])),
    )
    must_agree(patch_heads(model, CLEAN, CORRUPTED, metric=entropy), expected)
    must_agree(patch_heads(model, CLEAN, CORRUPTED, metric=entropy, shortcuts=Shortcuts.none()), expected)


@pytest.mark.slow
def test_bfloat16_within_what_it_allows() -> None:
    from course_utils import load_model

    for name in ("tiny-llama", "tiny-gpt2"):
        model = load_model(name, seed=1, dtype=torch.bfloat16)
        exact = patch_heads(load_model(name, seed=1), CLEAN, CORRUPTED, ANSWERS)
        ours = patch_heads(model, CLEAN, CORRUPTED, ANSWERS)
        loop = loop_patch_heads(model, CLEAN, CORRUPTED)
        # Both differ from float32 by what bfloat16 rounds away; ours by no more than the loop does.
        worst = float((loop - exact).abs().max())
        assert float((ours - exact).abs().max()) <= 2 * worst + 0.02


# Memory.


def test_chunks_give_the_same_numbers(tiny: Callable[..., Any], monkeypatch: Any) -> None:
    model = tiny("tiny-gemma3", seed=1)
    clean, corrupted = [CLEAN, CORRUPTED, LONGER], [CORRUPTED, CLEAN, SHORTER]
    expected = patch_heads(model, clean, corrupted, ANSWERS)
    row = memory.row_bytes(anatomy(model), 16, 16, False)
    traces: list[int] = []
    run = runs.run_chunk

    def counted(parts: Any, chunk: Any, *rest: Any) -> torch.Tensor:
        traces.append(len(chunk.patches))
        return run(parts, chunk, *rest)

    monkeypatch.setattr(runs, "run_chunk", counted)
    must_agree(patch_heads(model, clean, corrupted, ANSWERS, memory_mb=4.2 * row / 2**20), expected, 1e-5)
    assert len(traces) > 4 and sum(traces) - len(traces) == expected.numel()


def test_a_bound_that_cannot_be_kept_says_what_is_needed(tiny: Callable[..., Any]) -> None:
    with pytest.raises(SweepError, match=r"memory_mb=0\.1 is too little: .* Give at least memory_mb="):
        patch_heads(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, memory_mb=0.1)


_PEAK = """
import sys, resource, torch
from course_utils import load_model
from course_utils.sweeps import patch_heads
model = load_model()
clean = "When Mike and Emma went to the cafe, Mike gave a coffee to"
corrupted = clean.replace("Mike gave", "Emma gave")
answers = (" Mike", " Emma")
patch_heads(model, clean, corrupted, answers, layers=[29])                     # whatever is made once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
length, n_pairs, layers, memory = (int(word) for word in sys.argv[1:])
ids = [torch.tensor(model.tokenizer(text)["input_ids"]) for text in (clean, corrupted)]
front = torch.randint(1000, 20000, (length - 15,), generator=torch.Generator().manual_seed(0))
pairs = [torch.cat([front, one]) for one in ids]
patch_heads(model, [pairs[0]] * n_pairs, [pairs[1]] * n_pairs, answers, layers=range(layers), memory_mb=memory)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage on Windows")
@pytest.mark.parametrize(
    ("length", "n_pairs", "layers", "memory"),
    [(15, 8, 12, 80), (512, 1, 8, 512)],  # without a bound they take 120 and 620 MB
)
def test_the_bound_on_memory_is_kept(length: int, n_pairs: int, layers: int, memory: int) -> None:
    """The peak of the whole process, before and after, in a process of its own."""
    command = [sys.executable, "-c", _PEAK, *map(str, (length, n_pairs, layers, memory))]
    taken = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert taken <= memory


# Refusals.


def test_what_does_not_exist_is_named(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"layers": 3}, "layers: 3 does not exist; there are 3, 0 to 2"),
        ({"heads": [0, -5]}, "heads: -5 does not exist"),
        ({"positions": 99}, "positions: 99 does not exist"),
        ({"positions": []}, "positions is empty"),
        ({"answers": (" Mike",)}, "expected two"),
        ({"answers": " Mike"}, "expected two answers"),
        ({"answers": (" Mike", 10**9)}, "token 1000000000 does not exist"),
        ({"answers": (" Mike", " supercalifragilistic")}, "exactly one token"),
        ({"answers": [ANSWERS, ANSWERS]}, "2 pairs of answers for 1 pairs of prompts"),
        ({"clean": [CLEAN]}, "clean and corrupted come in pairs; got a list of 1 and one prompt"),
        ({"clean": ""}, "empty"),
        ({"clean": torch.zeros(2, 3)}, r"got a tensor of shape \(2, 3\)|got float|expected a text"),
        ({"clean": "to", "positions": 3}, "position 3 of the corrupted prompt has no counterpart"),
        ({"metric": lambda logits: logits}, "metric returned"),
        ({"metric": lambda logits: 1.0}, "metric returned float"),
    ]
    for arguments, message in wrong:
        with pytest.raises(ValueError, match=message):
            patch_heads(model, **{"clean": CLEAN, "corrupted": CORRUPTED, "answers": ANSWERS, **arguments})
    with pytest.raises(SweepError, match=r"range\(-\d+, 0\)"):
        patch_residual(model, CLEAN, LONGER, ANSWERS)
    with pytest.raises(SweepError, match="expected 'zero' or 'mean'"):
        ablate_heads(model, CLEAN, ANSWERS, kind="median")  # type: ignore[arg-type]
    with pytest.raises(SweepError, match=r"expected \(layer, head, head width\) = \(3, 4, 16\)"):
        ablate_heads(model, CLEAN, ANSWERS, kind="mean", mean=torch.zeros(3, 4))


@pytest.mark.parametrize("sweep", [patch_heads, patch_residual, patch_attention, patch_mlp, attribution_patching])
def test_what_to_measure_must_be_said(tiny: Callable[..., Any], sweep: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(SweepError, match=r"Give answers, two texts of one token each, .* or metric="):
        sweep(tiny("tiny-llama"), CLEAN, CORRUPTED)


@pytest.mark.parametrize("sweep", [permute_heads, ablate_heads])
def test_what_to_measure_must_be_said_of_one_prompt(tiny: Callable[..., Any], sweep: Callable[..., Any]) -> None:
    with pytest.raises(SweepError, match=r"Give answers, two texts of one token each, .* or metric="):
        sweep(tiny("tiny-llama"), CLEAN)
    assert sweep(tiny("tiny-llama"), CLEAN, metric=lambda logits: logits[:, 0]).shape == (3, 4)


def test_an_unknown_option_is_named_with_those_that_there_are(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    every = "positions, layers, memory_mb, progress, shortcuts."
    wrong: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (patch_heads, {"layer": 1}, "'layer'; did you mean 'layers'? It has answers, heads, metric, " + every),
        (patch_residual, {"heads": 1}, "'heads'. It has answers, metric, " + every),
        (patch_attention, {"position": 1}, "'position'; did you mean 'positions'? It has answers, metric, " + every),
        (patch_mlp, {"memory": 1}, "'memory'; did you mean 'memory_mb'? It has answers, metric, " + every),
        # Two runs and one backward pass: nothing to cut, nothing to leave out.
        (attribution_patching, {"shortcuts": None}, "'shortcuts'. It has answers, heads, metric, positions, layers."),
    ]
    for sweep, options, says in wrong:
        with pytest.raises(TypeError) as refused:
            sweep(model, CLEAN, CORRUPTED, ANSWERS, **options)
        assert str(refused.value) == f"{sweep.__name__} has no option {says}"
    for sweep, own in ((permute_heads, "seed"), (ablate_heads, "kind, mean")):
        with pytest.raises(TypeError) as refused:
            sweep(model, CLEAN, ANSWERS, patience=1)  # type: ignore[call-arg]
        says = f"{sweep.__name__} has no option 'patience'. It has answers, {own}, heads, metric, {every}"
        assert str(refused.value) == says


def test_the_model_is_left_as_it_was(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gemma2", seed=5)
    weights = {name: value.clone() for name, value in model._module.state_dict().items()}
    with torch.no_grad():
        before = model._module(ids_of(model, CLEAN)).logits
    patch_heads(model, CLEAN, CORRUPTED, ANSWERS)
    attribution_patching(model, CLEAN, CORRUPTED, ANSWERS)
    with pytest.raises(ZeroDivisionError):
        patch_heads(model, CLEAN, CORRUPTED, metric=lambda logits: torch.tensor(1 / 0))
    with torch.no_grad():
        assert torch.equal(model._module(ids_of(model, CLEAN)).logits, before)
    assert all(torch.equal(value, weights[name]) for name, value in model._module.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model._module.parameters())


# The approximation.


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_attribution_is_the_gradient_that_autograd_gives(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    parts = anatomy(model)
    ids, clean = ids_of(model, CORRUPTED), ids_of(model, CLEAN)
    expected = torch.zeros(parts.n_layers, parts.n_heads)
    for layer in range(parts.n_layers):
        own = found_at(model, ids, "head", layer)
        moved = found_at(model, clean, "head", layer) - own
        nudge = torch.zeros_like(own, requires_grad=True)
        module, before = place(parts, "head", layer)
        with hooked(module, lambda value, nudge=nudge: value + nudge, before):  # type: ignore[misc]
            logits = model._module(ids).logits
        first, second = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS)
        value = logits[0, -1, first] - logits[0, -1, second]
        value.backward()
        assert nudge.grad is not None
        expected[layer] = value.detach() + (nudge.grad * moved).sum((0, 1)).unflatten(-1, (parts.n_heads, -1)).sum(-1)
    must_agree(attribution_patching(model, CLEAN, CORRUPTED, ANSWERS), expected)
    both = attribution_patching(model, [CLEAN, CORRUPTED], [CORRUPTED, CLEAN], ANSWERS, layers=[1], heads=[2, 0])
    must_agree(both[0], expected[[1]][:, [2, 0]])
    by_metric = attribution_patching(
        model, CLEAN, CORRUPTED, metric=lambda logits: logits[:, first] - logits[:, second]
    )
    must_agree(by_metric, expected)


# Others' work.


def theirs(
    folder: Any, clean: torch.Tensor, corrupted: torch.Tensor, answers: list[int], heads: list[tuple[int, int]]
) -> torch.Tensor:
    """TransformerLens's head patching, of some heads: it takes a forward pass for each."""
    import pandas  # type: ignore[import-untyped]
    from transformer_lens import patching
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(clean)
        return patching.generic_activation_patch(
            bridge,
            corrupted,
            cache,
            lambda logits: logits[0, -1, answers[0]] - logits[0, -1, answers[1]],
            patch_setter=patching.layer_head_vector_patch_setter,
            activation_name="z",
            index_df=pandas.DataFrame(heads, columns=["layer", "head"]),
        ).float()


@pytest.mark.slow
def test_the_real_model_against_the_loop_of_hooks(real_model: Any) -> None:
    """At both ends, and where the largest effects are. The loop takes 12 s a layer on one slow core."""
    layers = [0, 12, 17, 20, 23, 29]
    expected = loop_patch_heads(real_model, CLEAN, CORRUPTED, layers=layers)
    assert float(expected.abs().max()) > 4
    must_agree(patch_heads(real_model, CLEAN, CORRUPTED, ANSWERS)[layers], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-gpt2", "real"])
def test_against_transformer_lens(name: str, tiny: Callable[..., Any], real_model: Any, tmp_path: Any) -> None:
    model = real_model if name == "real" else tiny(name, seed=1)
    model._module.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    answers = [model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS]
    found = patch_heads(model, CLEAN, CORRUPTED, ANSWERS)
    heads = random.Random(0).sample([divmod(i, found.shape[1]) for i in range(found.numel())], 12)
    heads.append(divmod(int((found - found.median()).abs().argmax()), found.shape[1]))  # one that is sure to matter
    expected = theirs(tmp_path, ids_of(model, CLEAN), ids_of(model, CORRUPTED), answers, heads)
    must_agree(torch.stack([found[head] for head in heads]), expected)


# The faster product.


@pytest.mark.skipif(_product() is None, reason="this PyTorch has no oneDNN")
def test_the_faster_product_is_the_same_product(monkeypatch: Any) -> None:
    from course_utils.sweeps import fast_linear as module

    monkeypatch.setattr(module, "onednn_wins", lambda: True)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 32, generator=generator)
    weight, bias = torch.randn(48, 32, generator=generator), torch.randn(48, generator=generator)
    called: list[int] = []
    product = module._product()
    assert product is not None

    def counted(*tensors: Any) -> torch.Tensor:
        called.append(1)
        return product(*tensors)

    monkeypatch.setattr(module, "_product", lambda: counted)
    with torch.no_grad():
        expected = x @ weight.T + bias
        with fast_linear():
            torch.testing.assert_close(torch.nn.functional.linear(x, weight, bias), expected)
            torch.testing.assert_close(torch.nn.functional.linear(x[:, -1:], weight), x[:, -1:] @ weight.T)
            torch.testing.assert_close(torch.addmm(bias, x[0], weight.T.contiguous()), expected[0])
            assert len(called) == 3
            double = torch.nn.functional.linear(x.double(), weight.double())
            assert double.dtype == torch.float64 and len(called) == 3
        with fast_linear(enabled=False):
            torch.nn.functional.linear(x, weight)
        assert len(called) == 3
    learned = weight.clone().requires_grad_()
    with fast_linear():
        torch.nn.functional.linear(x, learned).sum().backward()
    assert learned.grad is not None and len(called) == 3
