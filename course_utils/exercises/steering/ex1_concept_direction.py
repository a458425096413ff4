"""Exercise 5.1: the direction from one set of prompts to another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from course_utils import steering
from course_utils.exercises.drawing import one_token, text, tiny, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import layer_to_steer, tiny_and_real
from course_utils.exercises.steering.sentences import INPUT_NOT_OUTPUT
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import as_texts

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _two_sides(rng: random.Random) -> list[Case]:
    """Sides of different sizes, so that a sum over the prompts is not a multiple of their mean."""
    cases = []
    for model in tiny_and_real(rng):
        positive = [text(rng, rng.randint(2, 6)) for _ in range(3)]
        negative = [text(rng, rng.randint(2, 6)) for _ in range(2)]
        cases.append(Case(told(model), (model, positive, negative, layer_to_steer(rng, model))))
    single = tiny_pair(rng)[0]
    prompts = text(rng, 3), text(rng, 5)
    one = tiny(rng, "tiny-gpt2")
    twice = 2 * (text(rng, 3),)
    return [
        *cases,
        Case("one prompt on each side", (single, *prompts, layer_to_steer(rng, single))),
        Case(
            "prompts in a tuple, as GLAD holds them, one of them twice",
            (one, (*twice, text(rng, 4)), (text(rng, 2),), 1),
        ),
        Case("prompts of one token and the last layer", (one, [one_token(rng)], [one_token(rng), text(rng, 3)], 2)),
    ]


def _last_residual(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.output[0].save()
    return residual[-1]


def _mean_residual(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.output[0].save()
    return residual.mean(dim=0)


def _last_input(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.input[0].save()
    return residual[-1]


def _mean(rows: torch.Tensor) -> torch.Tensor:
    return rows.mean(dim=0)


def _first(rows: torch.Tensor) -> torch.Tensor:
    return rows[0]


def _sum(rows: torch.Tensor) -> torch.Tensor:
    return rows.sum(dim=0)


def _contrast(
    read: Callable[..., torch.Tensor], average: Callable[[torch.Tensor], torch.Tensor] = _mean
) -> Callable[..., torch.Tensor]:
    """The difference of two sides, with something else read at each prompt or made of each side's rows."""

    def direction(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
        sides = [
            average(torch.stack([read(model, prompt, layer) for prompt in as_texts(prompts)]))
            for prompts in (positive, negative)
        ]
        return sides[0] - sides[1]

    return direction


def _sides_swapped(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
    return -steering.concept_direction(model, positive, negative, layer)


def _unit_direction(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
    direction = steering.concept_direction(model, positive, negative, layer)
    return direction / direction.norm()


EXERCISE = Exercise(
    id="5.1",
    title="A direction for a concept",
    minutes=10,
    points=2,
    difficulty=1,
    reference=steering.concept_direction,
    shows="What the sentences share cancels, and what remains points from one concept to the other.",
    hints=(
        Hint(
            "many prompts in one trace",
            "`model.trace(prompts)` takes a list, and pads the short ones on the left. "
            "So position -1 is the last token of each.",
        ),
        Hint(
            "the rest",
            "Save `parts.layers[layer].output[:, -1]`, with shape (prompt, width), in one trace for each side. "
            "Then `.mean(dim=0)`, and subtract negative from positive.",
        ),
    ),
    draw=_two_sides,
    axes=("width",),
    mistakes=(
        Mistake(
            "sides swapped", _sides_swapped, "The sign is reversed: the direction points from negative to positive."
        ),
        Mistake("input of the layer", _contrast(_last_input), INPUT_NOT_OUTPUT),
        Mistake(
            "mean over positions",
            _contrast(_mean_residual),
            "This is the mean over all positions: only the last token has read the whole prompt, so take its residual.",
        ),
        Mistake(
            "first prompt only",
            _contrast(_last_residual, _first),
            "This is the difference of the first two prompts only: row 0 is one prompt, the mean is over all rows.",
        ),
        Mistake(
            "sum of prompts",
            _contrast(_last_residual, _sum),
            "This is the sum over the prompts: the two sides may have different numbers of them, so take the mean.",
        ),
        Mistake(
            "made unit length",
            _unit_direction,
            "This is divided by its length: the difference itself was asked for, whose length means something.",
        ),
    ),
)
