"""What a sweep refuses, and in which words: at one door, so each sweep says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from course_utils import sweeps
from course_utils.sweeps import SweepError

CLEAN, CORRUPTED, ANSWERS = "a b c d", "a b e d", (" a", " b")
CIRCUIT = [[("0.0", "logits")]]
SWEEPS: dict[str, Callable[..., Any]] = {
    "patch_heads": sweeps.patch_heads,
    "patch_residual": sweeps.patch_residual,
    "attribution_patching": sweeps.attribution_patching,
    "patch_paths": sweeps.patch_paths,
    "edge_attribution": sweeps.edge_attribution,
    "direct_effects": sweeps.direct_effects,
    "run_circuits": lambda *asked, **options: sweeps.run_circuits(*asked, circuits=CIRCUIT, **options),
}


@pytest.fixture(params=list(SWEEPS.values()), ids=list(SWEEPS))
def sweep(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    ("clean", "corrupted", "said"),
    [
        (None, CORRUPTED, "clean: expected a prompt or a list of prompts; got NoneType"),
        (CLEAN, 5, "corrupted: expected a prompt or a list of prompts; got int"),
        (CLEAN, [1, 2], "corrupted: expected a text, token ids .*; got int"),
        ("", "", "The text is empty"),
        (torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), "corrupted: The text is empty"),
        (torch.ones(600).long(), torch.ones(600).long(), "corrupted: The text has 600 tokens, more than .* of 512"),
        (torch.tensor([1, 2]), torch.tensor([True, False]), "corrupted: expected a text, token ids"),
        (torch.tensor([1, 2]), torch.tensor([1, 5000]), "corrupted: Token 5000 does not exist"),
        (torch.tensor([-1, 2]), torch.tensor([1, 2]), "clean: Token -1 does not exist"),
        (CLEAN, "\ud800", r"The text holds '\\ud800', which is half a character"),
    ],
)
def test_prompts(clean: Any, corrupted: Any, said: str, sweep: Any, tiny: Any) -> None:
    with pytest.raises(ValueError, match=said):
        sweep(tiny("tiny-llama"), clean, corrupted, ANSWERS)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([None], "1 pairs|expected two|got None"),
        ((None, None), "answers: expected texts of one token each, or token ids; got None"),
        ((1.5, 2), "answers: expected texts of one token each, or token ids; got 1.5"),
        ((True, 2), "answers: expected texts of one token each, or token ids; got True"),
        ((1, 9999), "answers: token 9999 does not exist; the vocabulary has 1131"),
        ([[1, 2, 3]], r"answers: expected two, got \[1, 2, 3\]"),
        (torch.tensor(3), "answers=3: expected two answers"),
        ("ab", "answers='ab': expected two answers"),
    ],
)
def test_answers(answers: Any, said: str, sweep: Any, tiny: Any) -> None:
    with pytest.raises(SweepError, match=said):
        sweep(tiny("tiny-llama"), CLEAN, CORRUPTED, answers)


@pytest.mark.parametrize(
    "answers", [torch.tensor([5, 7]), np.array([5, 7]), (np.int64(5), 7), [torch.tensor([5, 7])], [[5, 7]]]
)
def test_token_ids_of_any_make_are_answers(answers: Any, tiny: Any) -> None:
    model = tiny("tiny-llama")
    ours = sweeps.patch_heads(model, CLEAN, CORRUPTED, answers, layers=0)
    torch.testing.assert_close(ours, sweeps.patch_heads(model, CLEAN, CORRUPTED, (5, 7), layers=0))


@pytest.mark.parametrize("asked", [[1.0], 0.7, "1", [True, False], torch.tensor([0.5])])
def test_what_is_no_whole_number(asked: Any, tiny: Any) -> None:
    for option in ("layers", "heads", "positions"):
        with pytest.raises(SweepError, match=f"{option}: .* is no whole number"):
            sweeps.patch_heads(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, **{option: asked})


@pytest.mark.parametrize("asked", [0, -5, float("nan"), "100", None, True])
def test_memory(asked: Any, tiny: Any) -> None:
    for name in ("patch_heads", "patch_paths", "run_circuits"):
        with pytest.raises(SweepError, match=r"memory_mb=.*: expected a number of MB above 0, such as 1024"):
            SWEEPS[name](tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, memory_mb=asked)


def test_a_metric_that_is_no_function(sweep: Any, tiny: Any) -> None:
    if sweep is sweeps.direct_effects:
        return  # it has no metric
    with pytest.raises(SweepError, match="metric=5: expected a function of the last position's logits"):
        sweep(tiny("tiny-llama"), CLEAN, CORRUPTED, metric=5)


def test_a_metric_without_a_gradient(tiny: Any) -> None:
    for sweep in (sweeps.edge_attribution, sweeps.attribution_patching):
        with pytest.raises(SweepError, match=r"metric returned numbers that no gradient leads to.*leave detach\(\)"):
            sweep(tiny("tiny-llama"), CLEAN, CORRUPTED, metric=lambda logits: logits[:, 0].detach())


@pytest.mark.parametrize("steps", [1.5, "3", True])
def test_steps(steps: Any, tiny: Any) -> None:
    with pytest.raises(ValueError, match=r"steps: .* is no whole number"):
        sweeps.edge_attribution(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, steps=steps)


@pytest.mark.parametrize("circuits", [[None], [5], ["0.0"]])
def test_circuits(circuits: Any, tiny: Any) -> None:
    with pytest.raises(SweepError, match=r"edges=.*: expected a set of \(sender, receiver\)"):
        sweeps.run_circuits(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, circuits=circuits)
