"""Exercise 7.5: the strongest edges."""

from __future__ import annotations

import random

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import table
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _effects(rng: random.Random) -> list[Case]:
    cases = []
    for label, shape in (("three pairs", (3, 5, 7)), ("eight pairs", (8, 12, 9))):
        effects = table(rng, *shape) + table(rng, *shape[1:])
        for receiver in range(shape[1]):
            effects[:, receiver, receiver + 2 :] = float("nan")  # senders that come after it
        cases.append(Case(label, (effects, rng.randint(4, 7))))
    every = []
    for sender in range(3):  # among what is no edge, at several places: sorting puts what is alike in any order
        every.append(cases[0].args[0].clone())
        every[-1][:, sender + 1, sender] = 0.0  # an edge that does nothing is one, too
    edges = int(every[0].mean(dim=0).isfinite().sum())
    return [
        *cases,
        Case("the strongest alone", (cases[1].args[0], 1)),
        *(Case("all edges, of which one does nothing", (effects, edges)) for effects in every),
        Case("more than there are", (every[0], edges + 1), raises=True),
        Case("none", (every[0], 0), raises=True),
        Case("less than none", (every[0], -rng.randint(1, 4)), raises=True),
    ]


def _in_order(sizes: torch.Tensor, count: int) -> list[tuple[int, int]]:
    order = sizes.flatten().nan_to_num(-1e9).argsort(descending=True, stable=True)[:count].tolist()
    return [(place // sizes.shape[1], place % sizes.shape[1]) for place in order]


# What learners do instead.


def _signed(effects: torch.Tensor, count: int) -> list[tuple[int, int]]:
    return _in_order(effects.mean(dim=0), count)


def _mean_of_sizes(effects: torch.Tensor, count: int) -> list[tuple[int, int]]:
    return _in_order(effects.abs().mean(dim=0), count)


def _first_pair(effects: torch.Tensor, count: int) -> list[tuple[int, int]]:
    return _in_order(effects[0].abs(), count)


def _ends_swapped(effects: torch.Tensor, count: int) -> list[tuple[int, int]]:
    return [(sender, receiver) for receiver, sender in circuits.strongest_edges(effects, count)]


EXERCISE = Exercise(
    id="7.5",
    title="The strongest edges",
    minutes=10,
    points=2,
    difficulty=1,
    reference=circuits.strongest_edges,
    shows="What pulls one way in one pair and the other way in the next is no part of the task: take the mean, then "
    "its size.",
    hints=(
        Hint(
            "the size of the mean",
            "First `effects.mean(dim=0)`, then `.abs()`: an edge that works against the answer counts too.",
        ),
        Hint(
            "where there is no edge",
            "`.nan_to_num(-1.0)` puts what is no edge behind all others. `flatten().argsort(descending=True)` numbers "
            "the "
            "places; `divmod(place, senders)` gives (receiver, sender).",
        ),
    ),
    draw=_effects,
    axes=("edge", "end"),
    mistakes=(
        Mistake("signed", _signed, "Edges that work against the answer are missing: sort by size, up or down."),
        Mistake(
            "mean of sizes",
            _mean_of_sizes,
            "This is the mean of the sizes. An edge that pulls now one way and now the other is large there, and does "
            "nothing on the whole: take the mean first.",
        ),
        Mistake("one pair", _first_pair, "This looks at the first pair only; take the mean over all of them."),
        Mistake("ends swapped", _ends_swapped, "The two ends are swapped: each edge is (receiver, sender)."),
    ),
)
