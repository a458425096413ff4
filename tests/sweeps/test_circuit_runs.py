"""Circuits against a recursion of plain hooks, and against the two runs that they lie between."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.tiny import TINY_MODELS
from course_utils.sweeps import SweepError, patch_paths, run_circuits
from course_utils.sweeps.nodes import Edge, Receiver, Sender, all_edges, all_receivers, joined
from tests.sweeps.loop_of_paths import Loop, projection
from tests.sweeps.test_sweeps import ANSWERS, CLEAN, CORRUPTED, LONGER, difference, hooked, ids_of, must_agree


def by_hooks(model: Any, clean: str, corrupted: str, edges: set[Edge], mean_of: Sequence[str] = ()) -> float:
    """Receiver by receiver, in the order of a run: one run in which its senders are held at what they put out by now,
    and all others at what they put out in the corrupted run (or at their mean over some prompts), and what it makes of
    that is read; then one for the layer's heads, with all their queries, keys and values put in.
    """
    parts = anatomy(model)
    runs = Loop(model, ids_of(model, clean), ids_of(model, corrupted))
    if mean_of:
        several = [Loop(model, ids_of(model, clean), ids_of(model, text)).own for text in mean_of]
        runs.own = {site: torch.stack([own[site] for own in several]).mean(dim=0) for site in runs.own}
    now = {site: value.clone() for site, value in runs.own.items()}
    now["embedding", 0] = runs.theirs["embedding", 0]
    made: dict[Receiver, torch.Tensor] = {}

    def held(receiver: Receiver) -> tuple[torch.Tensor, torch.Tensor | None]:
        read: list[torch.Tensor] = []
        mixed = {site: value.clone() for site, value in runs.own.items()}
        for sender, to in edges:
            if to == receiver:
                site: tuple[str, int] = (sender.kind, sender.layer)
                width = parts.head_width
                columns = (
                    slice(sender.head * width, (sender.head + 1) * width) if sender.kind == "head" else slice(None)
                )
                mixed[site][..., columns] = now[site][..., columns]
        with ExitStack() as stack:
            if receiver.kind == "mlp":
                module = parts.mlp_writers[receiver.layer]._module
                stack.enter_context(hooked(module, lambda value: read.append(value.clone()), False))
            elif receiver.kind != "logits":
                module, _ = projection(model, receiver.layer, receiver.kind, receiver.head)
                stack.enter_context(hooked(module, lambda value: read.append(value.clone()), False))
            for site, (module, before) in runs.sites().items():
                stack.enter_context(hooked(module, lambda _, site=site: mixed[site], before))  # type: ignore[misc]
            logits = model._module(runs.corrupted).logits[0, -1]
        return logits, read[0] if read else None

    kept: list[torch.Tensor] = []  # what each layer's output projection reads
    with torch.no_grad():
        for layer in range(parts.n_layers):
            readers = [to for to in all_receivers(parts) if to.layer == layer and to.kind in ("query", "key", "value")]
            made = {to: held(to)[1] for to in readers}  # type: ignore[misc]
            with ExitStack() as stack:
                for to, value in made.items():
                    module, part = projection(model, layer, to.kind, to.head)

                    def put(own: torch.Tensor, part: Any = part, value: Any = value) -> torch.Tensor:
                        changed = own.clone()
                        changed[part(own)] = value[part(value)]
                        return changed

                    stack.enter_context(hooked(module, put, False))
                module = parts.out_projections[layer]._module
                stack.enter_context(hooked(module, lambda value: kept.append(value.clone()), True))
                model._module(runs.corrupted)
            now["head", layer] = kept[-1]
            now["mlp", layer] = held(Receiver("mlp", layer))[1]  # type: ignore[assignment]
        return difference(model, held(Receiver("logits"))[0][None, None])


def drawn(model: Any, share: float, seed: int) -> set[Edge]:
    rng = random.Random(seed)
    return {edge for edge in all_edges(anatomy(model)) if rng.random() < share}


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_any_circuit_is_that_of_the_hooks(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    circuits = [drawn(model, share, seed) for seed, share in enumerate((0.3, 0.6, 0.9))]
    expected = torch.tensor([by_hooks(model, CLEAN, CORRUPTED, edges) for edges in circuits])
    assert float(expected.std()) > 1e-3
    must_agree(run_circuits(model, CLEAN, CORRUPTED, ANSWERS, circuits=circuits), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_against_the_mean_it_is_that_of_the_hooks(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    parts = anatomy(model)
    corrupted = [CORRUPTED, CLEAN.replace("Mike and Emma", "Emma and Mike"), CLEAN]  # the same tokens in other orders
    circuits = [drawn(model, share, seed) for seed, share in enumerate((0.3, 0.6))] + [set()]
    options: dict[str, Any] = {"circuits": [*circuits, all_edges(parts)], "ablation": "mean"}
    if parts.attention_writers[0]._module is not parts.attentions[0]._module:
        with pytest.raises(SweepError, match=r'a norm stands between its heads and the stream.*ablation="resample"'):
            run_circuits(model, [CLEAN], [CORRUPTED], ANSWERS, **options)
        return
    found = run_circuits(model, [CLEAN] * len(corrupted), corrupted, ANSWERS, **options)
    expected = torch.tensor([by_hooks(model, CLEAN, CORRUPTED, edges, corrupted) for edges in circuits])
    assert float((found[0] - found[0, 0]).abs().max()) < 1e-4  # the mean is the same for each pair, and so the rest
    must_agree(found[:3, 0], expected)
    with torch.no_grad():
        must_agree(found[3, :1], torch.tensor([difference(model, model._module(ids_of(model, CLEAN)).logits)]))


@pytest.mark.parametrize("name", TINY_MODELS)
def test_with_all_edges_it_is_the_clean_run_and_with_none_the_corrupted(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    pairs = [(CLEAN, CORRUPTED), (CORRUPTED, CLEAN), ("Mike gave a coffee to", "Emma gave a coffee to")]
    clean, corrupted = (list(texts) for texts in zip(*pairs, strict=True))
    found = run_circuits(model, clean, corrupted, ANSWERS, circuits=[all_edges(anatomy(model)), []])
    with torch.no_grad():
        expected = torch.tensor(
            [
                [difference(model, model._module(ids_of(model, text)).logits) for text in some]
                for some in (clean, corrupted)
            ]
        )
    must_agree(found, expected)


def test_one_edge_and_all_that_follows_it_is_the_path(tiny: Callable[..., Any]) -> None:
    """The embedding's edge to a receiver, with every edge behind the receiver: that is the patched path."""
    model = tiny("tiny-qwen3", seed=1)
    parts = anatomy(model)
    for receiver in (Receiver("query", 1, 2), Receiver("mlp", 1), Receiver("value", 0, 1)):
        paths = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, senders="embedding", receivers=[receiver])
        behind = [edge for edge in all_edges(parts) if edge[0].kind != "embedding"]
        found = run_circuits(model, CLEAN, CORRUPTED, ANSWERS, circuits=[[("embedding", receiver), *behind]])
        assert abs(float(paths.effects)) > 1e-3  # ten times what may differ
        must_agree(found, paths.numbers[0])


def test_an_edge_that_nothing_clean_reaches_changes_nothing(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gemma3", seed=1)
    cut_off = [edge for edge in all_edges(anatomy(model)) if edge[0].kind != "embedding"]
    found = run_circuits(model, CLEAN, CORRUPTED, ANSWERS, circuits=[cut_off, [("embedding", "0.1 query")], []])
    assert found[0] == found[2] and found[1] == found[2]


def test_rows_do_not_depend_on_each_other_nor_on_memory(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-phi3", seed=1)
    circuits = [drawn(model, 0.5, seed) for seed in range(5)]
    clean, corrupted = [CLEAN, CORRUPTED, LONGER], [CORRUPTED, CLEAN, LONGER.replace("Emma gave", "Mike gave")]
    together = run_circuits(model, clean, corrupted, ANSWERS, circuits=circuits)
    must_agree(run_circuits(model, clean, corrupted, ANSWERS, circuits=circuits, memory_mb=4), together, 1e-5)
    for pair in range(3):
        alone = run_circuits(model, clean[pair], corrupted[pair], ANSWERS, circuits=[circuits[pair]])
        must_agree(alone, together[pair, pair][None], 1e-5)
    logits = run_circuits(model, CLEAN, CORRUPTED, metric=lambda logits: logits[:, 3], circuits=[circuits[0], []])
    with torch.no_grad():
        assert abs(float(logits[1] - model._module(ids_of(model, CORRUPTED)).logits[0, -1, 3])) < 1e-4


def test_what_cannot_be_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"circuits": [[]], "ablation": "zero"}, r"ablation='zero': expected one of 'resample', 'mean'"),
        ({"circuits": []}, r"circuits=\[\]: expected a list of circuits"),
        ({"circuits": [["0.1"]]}, r"edges: '0\.1' is no edge; expected \(sender, receiver\)"),
        ({"circuits": [[("1.1", "0.2 query")]]}, r"0\.2 query reads before 1\.1 writes"),
        ({"circuits": [[("7.1", "logits")]]}, r"7\.1 does not exist; there are 3 layers"),
        ({"circuits": [[]], "clean": LONGER}, r"equally long prompts, .* the clean one has 16 tokens"),
        ({"circuits": [[]], "memory_mb": 0.001}, r"memory_mb=0\.001 is too little for a circuit"),
    ]
    for arguments, message in wrong:
        with pytest.raises(SweepError, match=message):
            run_circuits(model, **{"clean": CLEAN, "corrupted": CORRUPTED, "answers": ANSWERS, **arguments})
    assert joined(anatomy(model), Sender("head", 1, 0), Receiver("mlp", 1))
