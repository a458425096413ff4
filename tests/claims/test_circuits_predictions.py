"""What is said of guesses in lesson 7, and the answers that it reveals."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from course_utils.circuits import (
    direct_effect,
    faithfulness,
    named,
    query_path,
    query_paths,
    sent,
    strongest_edges,
    unexplained,
)
from course_utils.patching import ioi_pairs, logit_difference, patch_head
from course_utils.sweeps import edge_attribution, patch_paths, run_circuits
from tests.claims.predicted import Claims, Truths, three_tests_of

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
ANSWERS = (" Mike", " Emma")
SPEAKING = [(17, 4), (19, 2), (20, 0), (23, 3)]

Texts = tuple[list[str], list[str], list[tuple[str, str]]]
Head = tuple[int, int]


def texts(count: int, seed: int) -> Texts:
    pairs = ioi_pairs(count, seed=seed)
    return [pair.clean for pair in pairs], [pair.corrupted for pair in pairs], [pair.answers for pair in pairs]


@cache
def differs(model: Any) -> list[bool]:
    """At which positions any of the four heads sends something else."""
    lengths = sum(sent(model, CLEAN, CORRUPTED, *head).norm(dim=-1) for head in SPEAKING)
    return [float(length) > 1e-3 for length in lengths]


@cache
def corrupted(model: Any) -> float:
    return logit_difference(model, CORRUPTED, ANSWERS)


@cache
def whole(model: Any, head: Head) -> float:
    return patch_head(model, CLEAN, CORRUPTED, *head, ANSWERS) - corrupted(model)


@cache
def direct(model: Any, head: Head) -> float:
    return direct_effect(model, CLEAN, CORRUPTED, *head, ANSWERS)


@cache
def through(model: Any, reader: Head) -> float:
    """What 20.0 does through one query of layer 23."""
    return query_path(model, CLEAN, CORRUPTED, (20, 0), reader, ANSWERS) - corrupted(model)


@cache
def roads(model: Any) -> torch.Tensor:
    """What 20.0 does through each query of layers 21 to 29."""
    receivers = [f"{layer}.{head} query" for layer in range(21, 30) for head in range(9)]
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, senders=["20.0"], receivers=receivers, progress=False)
    return found.effects.flatten()


@cache
def traces(model: Any, senders: int) -> int:
    """How often the model runs for the paths of so many senders, without the two runs of each one's message."""
    count = -2 * senders

    def one_more(*_: Any) -> None:
        nonlocal count
        count += 1

    hook = model._module.register_forward_pre_hook(one_more)
    try:
        query_paths(model, CLEAN, CORRUPTED, SPEAKING[:senders], (23, 0), ANSWERS)
    finally:
        hook.remove()
    return count


@cache
def chosen(model: Any, count: int) -> list[tuple[str, str]]:
    """The strongest edges of the estimate over the first eight pairs."""
    scores = edge_attribution(model, *texts8(0))
    return named(strongest_edges(scores.effects, count), scores)


def texts8(part: int) -> Texts:
    clean, other, answers = texts(16, 0)
    here = slice(8 * part, 8 * part + 8)
    return clean[here], other[here], answers[here]


@cache
def ends(model: Any, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    some = PLACES[where]()
    clean, other = ([logit_difference(model, *each) for each in zip(side, some[2], strict=True)] for side in some[:2])
    return torch.tensor(clean), torch.tensor(other)


@cache
def kept(model: Any, where: str) -> torch.Tensor:
    """The answers of the circuits of `COUNTS` edges, (circuit, pair)."""
    circuits = [chosen(model, count) for count in COUNTS]
    return run_circuits(model, *PLACES[where](), circuits=circuits, progress=False)


def goes(model: Any, count: int) -> float:
    return faithfulness(kept(model, "tested")[COUNTS.index(count)], *ends(model, "tested"))


def not_half(model: Any, where: str) -> int:
    return len(unexplained(kept(model, where)[COUNTS.index(200)], *ends(model, where)))


@cache
def cheap(model: Any) -> float:
    """The share of a circuit's edges without which it loses less than 0.1 logits; every third of a hundred is asked."""
    circuit = chosen(model, 100)
    circuits = [circuit, *([edge for edge in circuit if edge != out] for out in circuit[::3])]
    full, *less = run_circuits(model, CLEAN, CORRUPTED, ANSWERS, circuits=circuits, progress=False).flatten().tolist()
    return sum(abs(full - each) < 0.1 for each in less) / len(less)


COUNTS = (50, 100, 200)
PLACES = {"tested": lambda: texts8(1), "new": lambda: texts(8, 2)}

TRUTHS: Truths = {
    "7.1": lambda m: sum(differs(m)),
    "7.2": lambda m: (direct(m, (23, 3)), direct(m, (20, 0))),
    "7.3": lambda m: through(m, (23, 0)),
    "7.5": lambda m: next(count for count in COUNTS[1:] if goes(m, count) > 0.45),
    "7.8": lambda m: "of some" if 0 < not_half(m, "tested") <= 4 else "another",
}
"""Without 7.4, whose number is in the exercise's docstring, and 7.7, which takes a hundred circuits."""

CLAIMS: Claims = {
    "7.1": {
        "the one word": lambda m: all(differs(m)[11:]),
        "everywhere": lambda m: not any(differs(m)[:10]),
        "after it only": lambda m: differs(m)[10],
    },
    "7.2": {
        "all of both": lambda m: direct(m, (20, 0)) < 0.2 * whole(m, (20, 0)),
        "half of 23.3": lambda m: direct(m, (23, 3)) > 0.9 * whole(m, (23, 3)),
        "nothing": lambda m: direct(m, (23, 3)) > 4,
    },
    "7.3": {
        "all of it": lambda m: min(through(m, (23, 1)), through(m, (23, 7))) > 0.2,
        "a small part": lambda m: through(m, (23, 0)) > 0.5 * whole(m, (20, 0)),
        "more than all": lambda m: through(m, (23, 0)) < whole(m, (20, 0)) and roads(m).min() < -0.05,
    },
    "7.4": {
        "still eight": lambda m: traces(m, 3) < 3 * 2,
        "one": lambda m: traces(m, 3) > 1,
        "four": lambda m: traces(m, 3) == traces(m, 1) == 2,
    },
    "7.5": {
        "half": lambda m: goes(m, 200) > 0.45,
        "a handful": lambda m: abs(goes(m, 50) - 0.2) < 0.06,
        "thousands": lambda m: goes(m, 200) > 0.45,
    },
    "7.7": {
        "none": lambda m: cheap(m) > 0.6,
        "half": lambda m: cheap(m) > 0.6,
        "a few": lambda m: cheap(m) > 0.34,
    },
    "7.8": {
        "the mean is fair": lambda m: not_half(m, "tested") > 0,
        "spread": lambda m: not_half(m, "tested") == 3,
        "a few outliers": lambda m: not_half(m, "tested") == 3 and not_half(m, "new") == 6,
    },
}


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("7", CLAIMS, TRUTHS)
