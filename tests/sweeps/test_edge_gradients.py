"""Edge attribution against the slope of the exact path, taken by a small step in a loop of plain hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils import load_model
from course_utils.model.anatomy import anatomy
from course_utils.model.tiny import TINY_MODELS
from course_utils.sweeps import SweepError, edge_attribution, patch_paths
from course_utils.sweeps.nodes import all_edges
from tests.sweeps.loop_of_paths import Loop
from tests.sweeps.test_paths import of_map
from tests.sweeps.test_sweeps import ANSWERS, CLEAN, CORRUPTED, LONGER, difference, ids_of, must_agree

NORMED = ("tiny-gemma2", "tiny-gemma3", "tiny-olmo2")


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_an_edge_s_estimate_is_the_slope_of_its_path(name: str) -> None:
    model = load_model(name, seed=1, dtype=torch.float64)
    edges = all_edges(anatomy(model))
    if name in NORMED:  # there a head's change goes through a norm, and is taken whole
        edges = [edge for edge in edges if edge[0].kind != "head"]
    found = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS)
    runs = Loop(model, ids_of(model, CLEAN), ids_of(model, CORRUPTED))
    step, theirs = 1e-3, dict(runs.theirs)
    slopes = torch.zeros(2, len(edges))
    for side, sign in enumerate((1, -1)):
        runs.theirs = {site: runs.own[site] + sign * step * (theirs[site] - runs.own[site]) for site in theirs}
        slopes[side] = torch.tensor([difference(model, runs.edge(*edge)[None, None]) for edge in edges])
    expected = (slopes[0] - slopes[1]) / (2 * step)
    assert float(expected.std()) > 1e-2
    must_agree(of_map(found, edges) - found.unpatched.float(), expected, 2e-3)


def test_one_step_takes_the_clean_run_s_gradient(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-qwen2", seed=1)
    edges = all_edges(anatomy(model))
    there = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, steps=1)
    back = edge_attribution(model, CORRUPTED, CLEAN, ANSWERS)
    must_agree(of_map(there, edges) - there.unpatched, back.unpatched - of_map(back, edges))


@pytest.mark.slow
def test_with_many_steps_what_the_embedding_sends_is_the_whole_difference(tiny: Callable[..., Any]) -> None:
    """The integral of a gradient along a way is the difference of its ends; of the corrupted gradient it is not."""
    model = tiny("tiny-llama", seed=1)
    with torch.no_grad():
        ends = [difference(model, model._module(ids_of(model, text)).logits) for text in (CLEAN, CORRUPTED)]
    many = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, senders="embedding", steps=200)
    one = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, senders="embedding")
    assert abs(float(many.effects.sum()) - (ends[0] - ends[1])) < 0.1
    assert abs(float(one.effects.sum()) - (ends[0] - ends[1])) > 0.3


def test_paths_to_the_logits_are_nearly_exact_and_others_are_not(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-qwen3", seed=1)
    exact, estimate = (way(model, CLEAN, CORRUPTED, ANSWERS) for way in (patch_paths, edge_attribution))
    wrong = (exact.effects - estimate.effects).nan_to_num().abs()
    assert torch.equal(exact.numbers.isnan(), estimate.numbers.isnan())
    assert float(wrong.max()) > 0.1


def test_positions_lists_and_metrics(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gpt-neox", seed=1)
    some: dict[str, Any] = {"senders": ["embedding", "0.1", "mlp 0"], "receivers": ["1.0 query", "mlp 1", "logits"]}
    both = edge_attribution(model, [CLEAN, CORRUPTED], [CORRUPTED, CLEAN], ANSWERS, **some)
    must_agree(both.numbers[0], edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, **some).numbers, 1e-5)
    last = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, positions=-1, **some)
    rest = edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, positions=range(len(ids_of(model, CLEAN)[0]) - 1), **some)
    must_agree(last.effects + rest.effects, both.effects[0], 1e-5)
    doubled = edge_attribution(model, CLEAN, CORRUPTED, metric=lambda logits: 2 * logits[:, 5], **some)
    once = edge_attribution(model, CLEAN, CORRUPTED, metric=lambda logits: logits[:, 5], **some)
    must_agree(doubled.effects, 2 * once.effects)
    same = edge_attribution(model, CLEAN, CLEAN, ANSWERS, **some)
    assert float(same.effects.abs().max()) == 0.0


def test_what_cannot_be_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    with pytest.raises(SweepError, match="steps=0: expected at least 1"):
        edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, steps=0)
    with pytest.raises(SweepError, match="needs prompts of one length; the clean one has 16 tokens"):
        edge_attribution(model, LONGER, CORRUPTED, ANSWERS)
    with pytest.raises(TypeError, match="no option 'memory_mb'"):
        edge_attribution(model, CLEAN, CORRUPTED, ANSWERS, memory_mb=3)  # type: ignore[call-arg]
