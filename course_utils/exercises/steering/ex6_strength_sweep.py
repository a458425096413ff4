"""Exercise 5.6: the next-token logits at each of several strengths, all in one run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from course_utils import steering
from course_utils.exercises.drawing import text, tiny, told
from course_utils.exercises.forms import FLOATS
from course_utils.exercises.passes import TokensRead
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import layer_to_steer, random_vectors, tiny_and_real
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _three_strengths(rng: random.Random) -> list[Case]:
    cases = []
    for model in tiny_and_real(rng):
        strengths = [round(rng.uniform(0.2, 1.2) * sign, 2) for sign in (1, -1, 1)]  # not in order
        args = (model, text(rng, 6), layer_to_steer(rng, model), random_vectors(rng, model), strengths)
        cases.append(Case(told(model), args))
    model, strength = tiny(rng, "tiny-gpt2"), round(rng.uniform(0.2, 1.2), 2)
    vector = random_vectors(rng, model)
    return [
        *cases,
        Case("a strength of 0, and two that are equal", (model, text(rng, 4), 1, vector, [0.0, strength, strength])),
        Case(
            "one strength, the last layer, a prompt that ends in a space",
            (model, f"{text(rng, 4)} ", 2, vector, [strength]),
        ),
    ]


def _count_runs(answer: Any, model: TransformersModel, *args: Any) -> dict[str, Any]:
    """The learner's logits, and how often the model ran for them."""
    with TokensRead(model) as read:
        logits = answer(model, *args)
    return {"logits": logits, "forward passes": len(read.passes)}


def _one_by_one(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return torch.stack([steering.steered_logits(model, prompt, layer, strength * direction) for strength in strengths])


def _last_position(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace([token_ids(model, prompt)] * len(strengths)):
        stream = steered.output.clone()
        stream[:, -1] = stream[:, -1] + torch.tensor(strengths)[:, None] * direction
        steered.output = stream
        logits = model.output.logits[:, -1].save()
    return logits


def _unit_direction(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return steering.strength_sweep(model, prompt, layer, direction / direction.norm(), strengths)


def _accumulated(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return steering.strength_sweep(model, prompt, layer, direction, torch.tensor(strengths).cumsum(0).tolist())


EXERCISE = Exercise(
    id="5.6",
    title="All strengths in one run",
    minutes=10,
    points=2,
    difficulty=2,
    reference=steering.strength_sweep,
    drive=_count_runs,
    returns=FLOATS,
    shows="The rows of a batch do not see each other, so each can be an experiment of its own.",
    hints=(
        Hint(
            "the batch",
            "Run the prompt as many times as there are strengths, in one batch: `model.trace([ids] * len(strengths))`.",
        ),
        Hint(
            "the vectors",
            "`strengths[:, None] * direction` has shape (strength, width). With `[:, None]` again it is "
            "(strength, 1, width), which adds to (strength, position, width).",
        ),
    ),
    draw=_three_strengths,
    axes=("strength", "vocabulary"),
    mistakes=(
        Mistake(
            "one run for each strength",
            _one_by_one,
            "The logits are right, but the model ran once for each strength: put the prompt into one batch that many "
            "times.",
        ),
        Mistake(
            "last position only",
            _last_position,
            "The vector was added at the last position only: it belongs at every one.",
        ),
        Mistake(
            "made unit length",
            _unit_direction,
            "The direction was divided by its length: row i adds strengths[i] times the direction as given.",
        ),
        Mistake(
            "strengths add up",
            _accumulated,
            "Each row has the strengths before it in it too: begin each from the same unsteered residual.",
        ),
    ),
)
