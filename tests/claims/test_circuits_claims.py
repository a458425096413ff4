"""What lesson 7 says, on pairs that it does not have, and the controls without which it should not."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from course_utils.circuits import faithfulness, named, strongest_edges
from course_utils.model.anatomy import anatomy
from course_utils.patching import ioi_pairs, mean_and_error
from course_utils.sweeps import PathMap, edge_attribution, patch_paths, run_circuits
from course_utils.sweeps.nodes import all_edges

pytestmark = pytest.mark.slow

PAIRS = ioi_pairs(8, seed=1)
TEXTS: tuple[list[str], list[str], Any] = (
    [pair.clean for pair in PAIRS],
    [pair.corrupted for pair in PAIRS],
    [pair.answers for pair in PAIRS],
)
MOVERS = (0, 1, 2, 7)
SPEAKERS = ("19.2", "20.0")


@pytest.fixture(scope="module")
def into_23(real_model: Any) -> PathMap:
    """All heads of layers 19 and 20 into the queries of layer 23's five."""
    senders = [f"{layer}.{head}" for layer in (19, 20) for head in range(9)]
    receivers = [f"23.{head} query" for head in (*MOVERS, 3)]
    return patch_paths(real_model, *TEXTS, senders=senders, receivers=receivers, progress=False)


def test_19_2_and_20_0_turn_the_queries_of_the_name_movers(into_23: PathMap) -> None:
    """Lesson 7, "Not one sentence": against the sixteen other heads of the two layers."""
    means, errors = mean_and_error(into_23.effects)
    names = [str(sender) for sender in into_23.senders]
    others = [place for place, name in enumerate(names) if name not in SPEAKERS]
    for row in range(len(MOVERS)):
        for name in SPEAKERS:
            place = names.index(name)
            assert float(means[row, place]) > 2 * float(errors[row, place])
        largest = float(means[row, others].abs().max())
        assert float(means[row, names.index("20.0")]) > 2 * largest


def test_they_do_not_turn_23_3(into_23: PathMap) -> None:
    """Lesson 7, "Not one sentence": the strongest head of all is on a branch of its own."""
    for name in SPEAKERS:
        to_movers = torch.stack([into_23.effect(name, f"23.{head} query").mean() for head in MOVERS])
        assert abs(float(into_23.effect(name, "23.3 query").mean())) < 0.35 * float(to_movers.mean())


def test_17_4_is_read_as_a_value_and_not_as_a_query_or_a_key(real_model: Any) -> None:
    """Lesson 7, "All paths at once": of all keys and values between, and all queries of the two layers."""
    receivers = [f"{layer}.{group} {kind}" for layer in (18, 19, 20) for kind in ("key", "value") for group in range(3)]
    receivers += [f"{layer}.{head} query" for layer in (19, 20) for head in range(9)]
    found = patch_paths(real_model, *TEXTS, senders=["17.4"], receivers=receivers, progress=False)
    means = found.effects.mean(0)[:, 0]
    first, second = (str(found.receivers[place]) for place in means.abs().topk(2).indices.tolist())
    assert (first, second) == ("20.0 value", "19.0 value")
    rest = [row for row, to in enumerate(found.receivers) if str(to) not in (first, second)]
    assert float(found.effect("17.4", "20.0 value").mean()) > 5 * float(means[rest].abs().max())


def test_edge_attribution_finds_the_same_senders_and_not_the_same_numbers(real_model: Any) -> None:
    """Lesson 7, "Without asking each path": on one pair of which the lesson does not speak."""
    one = TEXTS[0][2], TEXTS[1][2], TEXTS[2][2]
    receivers = [f"23.{head} query" for head in range(9)]
    exact = patch_paths(real_model, *one, receivers=receivers, progress=False)
    guess = edge_attribution(real_model, *one, receivers=receivers)
    there = ~exact.effects.isnan()
    both = torch.stack([exact.effects[there], guess.effects[there]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.7
    assert float((both[0] - both[1]).abs().max()) > 0.1


@pytest.fixture(scope="module")
def chosen(real_model: Any) -> list[tuple[str, str]]:
    """The two hundred edges that the estimate ranks first on four pairs of the lesson."""
    pairs = ioi_pairs(4, seed=0)
    scores = edge_attribution(
        real_model, [pair.clean for pair in pairs], [pair.corrupted for pair in pairs], [pair.answers for pair in pairs]
    )
    return named(strongest_edges(scores.effects, 200), scores)


def test_two_hundred_chosen_edges_go_a_long_way_and_two_hundred_random_ones_nowhere(
    real_model: Any, chosen: list[tuple[str, str]]
) -> None:
    """Lesson 7, "A circuit": chosen on four pairs of the lesson, tested on four that it does not have."""
    rng, edges = random.Random(1), [(str(a), str(b)) for a, b in all_edges(anatomy(real_model))]
    chance = [rng.sample(edges, 200) for _ in range(2)]
    ours, theirs, answers = TEXTS[0][:4], TEXTS[1][:4], TEXTS[2][:4]
    runs = run_circuits(real_model, ours, theirs, answers, circuits=[chosen, [], *chance], progress=False)
    clean = run_circuits(real_model, theirs, ours, answers, circuits=[[]], progress=False)[0]
    assert faithfulness(runs[0], clean, runs[1]) > 0.25
    assert max(abs(faithfulness(run, clean, runs[1])) for run in runs[2:]) < 0.05


def arrows(at_17: int, at_19: int, at_20: int) -> list[tuple[str, str]]:
    """The lesson's drawing, with heads of one's choice in layers 17, 19 and 20; three heads share a value."""
    return [
        (f"17.{at_17}", f"19.{at_19 // 3} value"),
        (f"17.{at_17}", f"20.{at_20 // 3} value"),
        *((name, f"23.{head} query") for head in MOVERS for name in (f"19.{at_19}", f"20.{at_20}")),
        *((f"23.{head}", "logits") for head in (*MOVERS, 3)),
    ]


ROAD = [("embedding", "mlp 0"), ("mlp 0", "17.4 query"), ("mlp 0", "23.1 value")]
THROUGH_17 = [("17.4", "mlp 17"), ("mlp 17", "19.0 value"), ("mlp 17", "20.0 value")]


def test_the_drawn_arrows_are_a_circuit_once_the_names_reach_them(real_model: Any) -> None:
    """Lesson 7, "A circuit": nothing without the road, much with it, more through MLP 17; not so for other heads of
    the same layers on the same road.
    """
    rng, drawn = random.Random(1), arrows(4, 2, 0)
    others = [arrows(*(rng.choice([1, 3, 5, 6, 7, 8]) for _ in range(3))) + ROAD for _ in range(3)]
    circuits = [drawn, drawn + ROAD, drawn + ROAD + THROUGH_17, [], *others]
    runs = run_circuits(real_model, *TEXTS, circuits=circuits, progress=False)
    clean = run_circuits(real_model, TEXTS[1], TEXTS[0], TEXTS[2], circuits=[[]], progress=False)[0]
    alone, with_road, through, _, *control = (faithfulness(run, clean, runs[3]) for run in runs)
    assert abs(alone) < 0.01
    assert with_road > 0.35 and through > with_road + 0.05
    assert max(control) < with_road - 0.05


def test_against_the_mean_a_circuit_looks_better_and_so_does_none(
    real_model: Any, chosen: list[tuple[str, str]]
) -> None:
    """Lesson 7, 7.8: no edge at all goes a part of the way there, since the mean is no longer the corrupted run."""
    circuits = [chosen, []]
    resampled = run_circuits(real_model, *TEXTS, circuits=circuits, progress=False)
    by_mean = run_circuits(real_model, *TEXTS, circuits=circuits, ablation="mean", progress=False)
    clean = run_circuits(real_model, TEXTS[1], TEXTS[0], TEXTS[2], circuits=[[]], progress=False)[0]
    (one, _), (other, none) = (
        [faithfulness(run, clean, resampled[1]) for run in runs] for runs in (resampled, by_mean)
    )
    assert other > one + 0.1
    assert 0.15 < none < other
