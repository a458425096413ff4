"""Exercise 7.1: what a head says otherwise."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import models, path
from course_utils.exercises.patching.drawing import pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.patching import head_outputs, through_output


def _pairs_and_heads(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn, (sender, _) = pair(rng), path(rng, model)
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, *sender)))
    return cases


# What learners do instead.


def _swapped(model: Any, clean: str, corrupted: str, layer: int, head: int) -> torch.Tensor:
    return -circuits.sent(model, clean, corrupted, layer, head)


def _one_run(model: Any, clean: str, corrupted: str, layer: int, head: int) -> torch.Tensor:
    outputs = head_outputs(model, clean)[layer]
    return torch.stack([through_output(anatomy(model), layer, here)[head] for here in outputs])


def _whole_layer(model: Any, clean: str, corrupted: str, layer: int, head: int) -> torch.Tensor:
    each = [circuits.sent(model, clean, corrupted, layer, one) for one in range(anatomy(model).n_heads)]
    return torch.stack(each).sum(dim=0)


EXERCISE = Exercise(
    id="7.1",
    title="What a head says otherwise",
    minutes=15,
    points=3,
    difficulty=2,
    reference=circuits.sent,
    shows="A head's message is a vector at each token: what it adds to the stream in one run and not in the other.",
    hints=(
        Hint(
            "what goes through",
            "`head_outputs(model, prompt)[layer]` is (position, head, head width), as in lesson 6. Take the clean one "
            "minus "
            "the corrupted one first: what follows is linear.",
        ),
        Hint(
            "into the stream",
            "`through_output(parts, layer, here)` takes the outputs of all heads at one position, (head, head width), "
            "to what "
            "each adds to the stream, (head, width). Stack it over the positions, and keep your head.",
        ),
    ),
    draw=_pairs_and_heads,
    axes=("position", "entry"),
    mistakes=(
        Mistake(
            "clean and corrupted swapped",
            _swapped,
            "This is the corrupted run minus the clean one: added to the corrupted run it would lead away from the "
            "clean "
            "one. Turn the difference around.",
        ),
        Mistake(
            "one run alone",
            _one_run,
            "This is what the head writes in the clean run. Most of it is the same in the corrupted run: take that "
            "away.",
        ),
        Mistake(
            "all heads of the layer",
            _whole_layer,
            "This is what all heads of the layer write together; keep the one that was asked for.",
        ),
    ),
)
