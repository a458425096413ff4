"""Direct effects against runs in which nothing later answers, and against the whole difference of the two runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.tiny import TINY_MODELS
from course_utils.sweeps import SweepError, direct_effects
from course_utils.sweeps.nodes import Receiver, Sender
from tests.sweeps.loop_of_paths import Loop
from tests.sweeps.test_sweeps import ANSWERS, CLEAN, CORRUPTED, LONGER, difference, hooked, ids_of, must_agree
from tests.test_patching import frozen_logits


def alone(model: Any, clean: str, corrupted: str, sender: Sender) -> float:
    """What the sender's change adds to the logit difference when nothing else changes and the norm's divisor stays."""
    runs, seen = Loop(model, ids_of(model, clean), ids_of(model, corrupted)), []
    norm = anatomy(model).norm._module
    with hooked(norm, lambda value: seen.append(value[0, -1].clone()), True), torch.no_grad():
        runs._first_run(sender, Receiver("logits"))
        model._module(ids_of(model, corrupted))
    return difference(model, frozen_logits(model, corrupted, seen[0] - seen[1])[None, None])


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
@pytest.mark.parametrize("clean", [CLEAN, LONGER])
def test_each_is_that_of_a_run_in_which_nothing_else_changes(tiny: Callable[..., Any], name: str, clean: str) -> None:
    model = tiny(name, seed=1)
    found = direct_effects(model, clean, CORRUPTED, ANSWERS)
    expected = [[alone(model, clean, CORRUPTED, Sender("head", i, h)) for h in range(4)] for i in range(3)]
    assert float(torch.tensor(expected).std()) > 1e-3
    must_agree(found.heads, torch.tensor(expected))
    must_agree(found.mlps, torch.tensor([alone(model, clean, CORRUPTED, Sender("mlp", i)) for i in range(3)]))
    assert abs(float(found.embedding) - alone(model, clean, CORRUPTED, Sender("embedding"))) < 1e-4


@pytest.mark.parametrize("name", TINY_MODELS)
def test_all_of_them_and_the_norm_are_the_whole_difference(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    found = direct_effects(model, [CLEAN, CORRUPTED], [CORRUPTED, LONGER], ANSWERS)
    with torch.no_grad():
        ends = [difference(model, model._module(ids_of(model, text)).logits) for text in (CLEAN, CORRUPTED, LONGER)]
    whole = torch.tensor([ends[0] - ends[1], ends[1] - ends[2]])
    parts = found.attention.sum(-1) + found.mlps.sum(-1) + found.embedding
    must_agree(parts + found.norm, whole)
    normed_alone = name in ("tiny-gemma2", "tiny-gemma3", "tiny-olmo2")
    adds_up = torch.allclose(found.heads.sum(-1), found.attention, atol=1e-4)
    assert adds_up is not normed_alone


def test_the_norm_s_part_is_not_nothing(tiny: Callable[..., Any]) -> None:
    """Else the rule above would say nothing about it."""
    norms = [direct_effects(tiny(name, seed=1), CLEAN, CORRUPTED, ANSWERS).norm.abs() for name in TINY_MODELS]
    assert float(torch.stack(norms).max()) > 0.05


@pytest.mark.slow
def test_the_real_model_s_are_the_whole_difference(real_model: Any) -> None:
    found = direct_effects(real_model, CLEAN, CORRUPTED, ANSWERS)
    with torch.no_grad():
        clean, corrupted = (
            difference(real_model, real_model._module(ids_of(real_model, text)).logits) for text in (CLEAN, CORRUPTED)
        )
    assert found.heads.shape == (30, 9)
    total = found.attention.sum() + found.mlps.sum() + found.embedding + found.norm
    assert abs(float(total) - (clean - corrupted)) < 1e-3


def test_what_cannot_be_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(SweepError, match="Give answers"):
        direct_effects(tiny("tiny-llama"), CLEAN, CORRUPTED)
    with pytest.raises(SweepError, match="expected two"):
        direct_effects(tiny("tiny-llama"), CLEAN, CORRUPTED, (" Mike",))  # type: ignore[arg-type]
