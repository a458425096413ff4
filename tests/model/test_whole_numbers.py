"""Whole numbers of every make, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from course_utils import patching, residual, steering, sweeps
from course_utils.model.whole_numbers import place, whole_number, whole_numbers


@pytest.mark.parametrize("given", [1, np.int64(1), np.uint8(1), np.array(1), torch.tensor(1)])
def test_a_whole_number_of_any_make(given: Any) -> None:
    assert whole_number(given, "layer") == 1 and type(whole_number(given, "layer")) is int
    assert whole_numbers(given, "layers") == [1]


@pytest.mark.parametrize(
    "given", [[0, 2], (0, 2), range(0, 3, 2), np.array([0, 2]), torch.tensor([0, 2]), {0: 1, 2: 1}]
)
def test_several(given: Any) -> None:
    assert whole_numbers(given, "layers") == [0, 2]


@pytest.mark.parametrize("given", [1.0, "1", None, True, torch.tensor(1.5), np.array([[1]]), [1], object()])
def test_what_is_none_is_named(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^layer: .* is no whole number; one such as 3 was expected\.$"):
        whole_number(given, "layer")


@pytest.mark.parametrize("given", [1.0, [1.0], "12", [True, False], None, torch.tensor([0.5])])
def test_one_that_is_none_among_several(given: Any) -> None:
    with pytest.raises(ValueError, match=r"layers: .* is no whole number"):
        whole_numbers(given, "layers")


@pytest.mark.parametrize("given", [-1, 3])
def test_there_is_none_of_that_number(given: int) -> None:
    assert place(2, 3, "layer") == 2
    with pytest.raises(ValueError, match=f"There is no layer {given}: there are layers 0 to 2"):
        place(given, 3, "layer")


@pytest.mark.slow
@pytest.mark.parametrize("layer", [np.int64(1), torch.tensor(1)])
def test_the_functions_of_the_lessons_take_them(layer: Any, tiny: Any) -> None:
    model, prompts = tiny("tiny-llama"), ("a b c d", "a b e d")
    answers = (" a", " b")
    same = torch.testing.assert_close
    same(steering.concept_direction(model, *prompts, layer), steering.concept_direction(model, *prompts, 1))
    same(residual.layer_output_with_hook(model, prompts[0], layer), residual.residual_stream(model, prompts[0])[2])
    same(patching.patch_head(model, *prompts, layer, layer), patching.patch_head(model, *prompts, 1, 1))
    option: Any
    for option in ("layers", "heads", "positions"):
        ours = sweeps.patch_heads(model, *prompts, answers, **{option: layer})
        same(ours, sweeps.patch_heads(model, *prompts, answers, **{option: 1}))  # type: ignore[arg-type]
    table = sweeps.patch_residual(model, *prompts, answers, positions=layer)
    same(table, sweeps.patch_residual(model, *prompts, answers, positions=[1]))


@pytest.mark.parametrize("layer", [1.0, "1", True, None])
def test_the_functions_of_the_lessons_name_what_is_none(layer: Any, tiny: Any) -> None:
    model, prompts = tiny("tiny-llama"), ("a b c d", "a b e d")
    for run in (
        lambda: steering.concept_direction(model, *prompts, layer),
        lambda: residual.attention_mask(model, prompts[0], layer),
        lambda: patching.patch_head(model, *prompts, layer, 0),
    ):
        with pytest.raises(ValueError, match=r"layer: .* is no whole number"):
            run()
