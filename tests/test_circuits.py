"""Lesson 7's functions against the loop of plain hooks, and against the sweeps that do the same for all paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils import circuits
from course_utils.model.anatomy import anatomy
from course_utils.sweeps import direct_effects, patch_paths, run_circuits
from course_utils.sweeps.nodes import Receiver, Sender
from tests.sweeps.loop_of_paths import Loop
from tests.sweeps.test_sweeps import ANSWERS, CLEAN, CORRUPTED, difference, hooked, ids_of

FAMILIES = ("tiny-llama", "tiny-qwen2")
OTHER = (" Emma", " Mike")


@pytest.mark.parametrize("name", ["tiny-gpt2", *FAMILIES])
def test_what_a_head_sends_is_what_its_layer_adds_otherwise(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    runs, seen = Loop(model, ids_of(model, CLEAN), ids_of(model, CORRUPTED)), []
    above = anatomy(model).layers[2]._module
    with hooked(above, lambda value: seen.append(value.clone()), True), torch.no_grad():
        runs._first_run(Sender("head", 1, 3), Receiver("logits"))
        model._module(ids_of(model, CORRUPTED))
    expected = (seen[0] - seen[1])[0]
    assert float(expected.abs().max()) > 1e-2
    torch.testing.assert_close(circuits.sent(model, CLEAN, CORRUPTED, 1, 3), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-cohere", *FAMILIES])
def test_a_direct_effect_is_that_of_all_of_them(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    expected = direct_effects(model, CLEAN, CORRUPTED, OTHER).heads[1, 2]
    assert abs(float(expected)) > 1e-3
    assert circuits.direct_effect(model, CLEAN, CORRUPTED, 1, 2, OTHER) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_path_and_several_are_those_of_the_loop(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    runs = Loop(model, ids_of(model, CLEAN), ids_of(model, CORRUPTED))
    senders = [(1, 0), (0, 3)]
    found = circuits.query_paths(model, CLEAN, CORRUPTED, senders, (2, 1))
    for sender, several in zip(senders, found.tolist(), strict=True):
        logits = runs.edge(Sender("head", *sender), Receiver("query", 2, 1))
        expected = difference(model, logits[None, None])
        one = circuits.query_path(model, CLEAN, CORRUPTED, sender, (2, 1))
        assert one == pytest.approx(expected, abs=1e-4) and several == pytest.approx(expected, abs=1e-4)


def test_the_strongest_edges_are_by_the_size_of_the_mean() -> None:
    nan = float("nan")
    effects = torch.tensor([[[1.0, nan, -4.0], [3.0, 0.5, 0.0]], [[1.0, nan, -2.0], [-3.0, 0.5, 0.1]]])
    assert circuits.strongest_edges(effects, 3) == [(0, 2), (0, 0), (1, 1)]
    assert len(circuits.strongest_edges(effects, 5)) == 5
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"count is {count}; there are 5 edges"):
            circuits.strongest_edges(effects, count)


def test_faithfulness_and_what_is_unexplained() -> None:
    clean, corrupted = torch.tensor([4.0, 2.0, 6.0]), torch.tensor([0.0, -2.0, -6.0])
    kept = torch.tensor([4.0, -1.0, -3.0])
    assert circuits.faithfulness(kept, clean, corrupted) == pytest.approx((0 + 8 / 3) / (4 + 8 / 3))
    assert (
        circuits.faithfulness(clean, clean, corrupted) == 1 and circuits.faithfulness(corrupted, clean, corrupted) == 0
    )
    assert circuits.unexplained(kept, clean, corrupted) == [1, 2]
    assert circuits.unexplained(kept, clean, corrupted, 0.2) == []
    assert circuits.unexplained(kept, clean, corrupted, 2.0) == [1, 2, 0]


@pytest.mark.parametrize("name", ["tiny-gemma3", *FAMILIES])
def test_what_each_edge_is_worth_is_the_difference_of_two_circuits(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    circuit = [
        ("embedding", "0.0 key"),
        ("embedding", "mlp 0"),
        ("0.1", "logits"),
        ("mlp 0", "2.1 value"),
        ("2.3", "logits"),
    ]
    circuit += [("0.0", "mlp 1"), ("mlp 1", "logits"), ("embedding", "logits")]
    found = circuits.without_each(model, CLEAN, CORRUPTED, circuit, OTHER)
    whole = run_circuits(model, CLEAN, CORRUPTED, OTHER, circuits=[circuit])
    for place in range(len(circuit)):
        rest = circuit[:place] + circuit[place + 1 :]
        torch.testing.assert_close(
            found[place], (whole - run_circuits(model, CLEAN, CORRUPTED, OTHER, circuits=[rest]))[0], atol=1e-5, rtol=0
        )
    assert float(found.abs().max()) > 1e-3


def test_edges_get_the_names_of_their_ends(tiny: Callable[..., Any]) -> None:
    found = patch_paths(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS, senders=["0.1", "mlp 0"], receivers=["logits"])
    assert circuits.named([(0, 1), (0, 0)], found) == [("mlp 0", "logits"), ("0.1", "logits")]


def test_what_does_not_exist_is_named(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    with pytest.raises(ValueError, match="There is no head 9"):
        circuits.sent(model, CLEAN, CORRUPTED, 0, 9)
    with pytest.raises(ValueError, match="The clean prompt has 14 tokens"):
        circuits.sent(model, CLEAN, "Mike gave", 0, 1)
    with pytest.raises(ValueError, match="Layer 1 does not come before layer 1"):
        circuits.query_path(model, CLEAN, CORRUPTED, (1, 0), (1, 1))
    with pytest.raises(ValueError, match="Layer 2 does not come before layer 1"):
        circuits.query_paths(model, CLEAN, CORRUPTED, [(0, 0), (2, 0)], (1, 1))
    with pytest.raises(ValueError, match="There is no layer 3"):
        circuits.query_path(model, CLEAN, CORRUPTED, (1, 0), (3, 1))
    for name in ("tiny-phi3", "tiny-qwen3"):
        with pytest.raises(ValueError, match="queries are read where q_proj makes them"):
            circuits.query_path(tiny(name), CLEAN, CORRUPTED, (0, 0), (1, 1))


def test_the_queries_of_gpt2_stand_in_front_in_its_fused_matrix(tiny: Callable[..., Any]) -> None:
    """A path by hand is the exact path of the sweep, which puts its queries together from the weights."""
    model = tiny("tiny-gpt2")
    swept = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, senders=["0.2"], receivers=["1.3 query"], progress=False)
    with torch.no_grad():
        logits = model._module(ids_of(model, CORRUPTED)).logits
    start = difference(model, logits)  # from transformers alone
    by_hand = circuits.query_path(model, CLEAN, CORRUPTED, (0, 2), (1, 3), ANSWERS) - start
    assert abs(by_hand) > 1e-3 and abs(by_hand - float(swept.effect("0.2", "1.3 query"))) < 1e-4


def test_where_no_path_can_be_had_by_hand(tiny: Callable[..., Any]) -> None:
    wanted = {"tiny-llama": True, "tiny-gpt2": True, "tiny-gemma3": False, "tiny-olmo2": False, "tiny-phi3": False}
    assert {name: circuits.has_paths_by_hand(tiny(name)) for name in wanted} == wanted
