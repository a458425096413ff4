"""What is said of guesses in lesson 6, and the answers that it reveals."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from course_utils.patching import (
    attention_to,
    head_outputs,
    logit_difference,
    patch_and_hold,
    patch_heads,
    patch_together,
    permute_heads,
    positions_of,
    selectivity,
)
from course_utils.tokens import next_token_probabilities, token_id, token_ids
from tests.claims.predicted import Claims, Truths, three_tests_of

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
ANSWERS = (" Mike", " Emma")
MOVERS = [(23, 0), (23, 1), (23, 2), (23, 7)]
ABOVE = [(layer, head) for layer in range(24, 30) for head in range(9)]
INHIBITORS = [(19, 2), (20, 0)]

Head = tuple[int, int]


@cache
def ends(model: Any) -> tuple[float, float]:
    return logit_difference(model, CLEAN), logit_difference(model, CORRUPTED)


@cache
def says(model: Any, name: str) -> float:
    return float(next_token_probabilities(model, CLEAN)[-1, token_id(model, name)])


@cache
def scrambled(model: Any, seeds: tuple[int, ...] = (0, 1)) -> list[float]:
    """The mean change of the answer by layer, two random orders as in the lesson, or others."""
    both = [permute_heads(model, CLEAN, ANSWERS, seed=seed, progress=False) for seed in seeds]
    return (torch.stack(both).mean(dim=0) - ends(model)[0]).abs().mean(dim=1).tolist()


@cache
def mentions(model: Any) -> list[float]:
    outputs = head_outputs(model, CLEAN)
    return selectivity(outputs, *positions_of(model, CLEAN, " Emma")).mean(dim=1).tolist()


@cache
def effect(model: Any) -> torch.Tensor:
    return patch_heads(model, CLEAN, CORRUPTED, ANSWERS, progress=False) - ends(model)[1]


def best(model: Any) -> Head:
    return divmod(int(effect(model).argmax()), 9)


@cache
def by_strength(model: Any) -> list[Head]:
    return [divmod(i, 9) for i in effect(model).abs().flatten().argsort(descending=True).tolist()]


@cache
def fraction(model: Any, first: int, last: int | None) -> float:
    """How much of the way the heads from rank ``first`` to ``last`` bring back."""
    clean, corrupted = ends(model)
    return (patch_together(model, CLEAN, CORRUPTED, by_strength(model)[first:last]) - corrupted) / (clean - corrupted)


@cache
def left(model: Any, heads: tuple[Head, ...], held: tuple[Head, ...]) -> float:
    return patch_and_hold(model, CLEAN, CORRUPTED, list(heads), list(held)) - ends(model)[1]


@cache
def looks(model: Any, head: Head) -> tuple[float, float, float]:
    """At Mike, the first Emma, the second Emma, from the last token."""
    (mike,), (first, second) = positions_of(model, CLEAN, " Mike"), positions_of(model, CLEAN, " Emma")
    mike_, first_, second_ = attention_to(model, CLEAN, [mike, first, second])[head].tolist()
    return mike_, first_, second_


@cache
def work(model: Any, rows: int) -> int:
    """The arithmetic of one run, in floating point operations, as torch counts it."""
    ids = torch.tensor([token_ids(model, CORRUPTED)] * rows)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model._module(ids)
    return int(counter.get_total_flops())


TRUTHS: Truths = {
    "6.1": lambda m: ends(m)[0],
    "6.2": lambda m: max(range(30), key=scrambled(m).__getitem__),
    "6.3": lambda m: 30 * 9 * 64 * len(token_ids(m, CLEAN)),
    "6.4": lambda m: max(range(30), key=mentions(m).__getitem__),
    "6.5": lambda m: float(effect(m).max()),
    "6.7": lambda m: ("Mike", "the first Emma", "the second Emma")[max(range(3), key=looks(m, best(m)).__getitem__)],
    "6.8": lambda m: (fraction(m, 0, 10), fraction(m, 10, None)),
    "6.9": lambda m: (left(m, ((23, 3),), tuple(ABOVE)), left(m, tuple(INHIBITORS), tuple(MOVERS))),
}
"""Without 6.6, which is a time."""

CLAIMS: Claims = {
    "6.1": {
        "a probability": lambda m: abs(
            1 / (1 + math.exp(-ends(m)[0])) - says(m, " Mike") / (says(m, " Mike") + says(m, " Emma"))
        ) < 1e-3,
        "certainty": lambda m: math.exp(12) > 1e5 and says(m, " Emma") / (says(m, " Mike") + says(m, " Emma")) > 0.01,
        "the other way": lambda m: ends(m)[0] > 0,
        "odds of 0.77": lambda m: (
            abs(says(m, " Mike") - 0.77) < 0.01 and abs(says(m, " Emma") - 0.01) < 0.005
            and abs(math.log(0.77 / 0.01) - ends(m)[0]) < 0.6
        ),
    },
    "6.2": {
        "where it is said": lambda m: (
            scrambled(m)[0] > max(scrambled(m)[22:]) and scrambled(m, (6, 7))[23] == max(scrambled(m, (6, 7)))
        ),
        "where it is thought": lambda m: scrambled(m)[0] > 2 * max(scrambled(m)[8:22]),
        "early, not first": lambda m: max(scrambled(m)[2:8]) < scrambled(m)[0] / 4,
    },
    "6.3": {
        "one a head": lambda m: 30 * 9 == 270 and head_outputs(m, CLEAN).shape[-1] == 64,
        "one token": lambda m: 30 * 9 * 64 == 17_280 and head_outputs(m, CLEAN).shape[1] == 15,
        "one layer": lambda m: 15 * 9 * 64 == 8640 and head_outputs(m, CLEAN).shape[0] == 30,
        "no width": lambda m: 30 * 15 * 9 == 4050 and head_outputs(m, CLEAN).shape[2:] == (9, 64),
        "weights": lambda m: 9 * 64 == 576 and head_outputs(m, CLEAN).numel() < 1e6,
    },
    "6.4": {
        "the word": lambda m: mentions(m)[0] < 1,
        "early grammar": lambda m: (
            any(each > 1 for each in mentions(m)[4:13])
            and max(mentions(m)[4:13]) < 0.6 * mentions(m)[17]
        ),
        "the answer": lambda m: max(mentions(m)[21:]) < 0.6 * mentions(m)[17],
    },
    "6.5": {
        "evenly": lambda m: (
            abs((ends(m)[0] - ends(m)[1]) / 270 - 0.04) < 0.005 and 8 <= int((effect(m).abs() > 0.5).sum()) <= 12
        ),
        "all of it": lambda m: effect(m).sum() > ends(m)[0] - ends(m)[1] > effect(m).max() * 2,
        "a team": lambda m: abs(float(effect(m).max()) / (ends(m)[0] - ends(m)[1]) - 0.4) < 0.03,
    },
    "6.6": {
        "nine runs for one": lambda m: work(m, 9) == 9 * work(m, 1),
        "no gain": lambda m: sum(weight.numel() * weight.element_size() for weight in m._module.parameters()) > 500e6,
        "more than nine": lambda m: work(m, 9) == 9 * work(m, 1),
    },
    "6.7": {
        "it copies": lambda m: (
            looks(m, (23, 0))[0] > 0.7 and effect(m)[23, 0] > 1 and best(m) == (23, 3) and looks(m, (23, 3))[2] > 0.6
        ),
        "where she was introduced": lambda m: looks(m, best(m))[1] < 0.1,
        "the repeated one": lambda m: (
            all(looks(m, head)[0] > looks(m, head)[2] and effect(m)[head] > 0 for head in MOVERS)
        ),
    },
    "6.8": {
        "a small minority": lambda m: fraction(m, 0, 4) > 1,
        "no more than all": lambda m: fraction(m, 0, 10) > 1.05 and effect(m).min() < -1,
        "nothing left": lambda m: fraction(m, 10, None) > 0.25,
        "the rest is most": lambda m: fraction(m, 10, None) < 0.5,
    },
    "6.9": {
        "told the others": lambda m: left(m, ((23, 3),), tuple(ABOVE)) > 4,
        "partly": lambda m: left(m, ((23, 3),), tuple(ABOVE)) > left(m, ((23, 3),), ()),
        "all through the movers": lambda m: (
            0.2 < left(m, tuple(INHIBITORS), tuple(MOVERS)) / left(m, tuple(INHIBITORS), ()) < 0.3
        ),
        "by themselves": lambda m: left(m, tuple(INHIBITORS), tuple(MOVERS)) < left(m, tuple(INHIBITORS), ()) / 2,
    },
}  # fmt: skip


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("6", CLAIMS, TRUTHS)
