"""Exercise 5.8: a residual without its part along a direction."""

from __future__ import annotations

import random

import torch

from course_utils import steering
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import torch_source


def _streams_with_direction(rng: random.Random) -> list[Case]:
    """A direction that is not of unit length, and streams that have much of it."""
    source = torch_source(rng)

    def case(label: str, *shape: int) -> Case:
        direction = torch.randn(shape[-1], generator=source) * rng.uniform(1.5, 3)
        return Case(label, (torch.randn(*shape, generator=source) * 4 + direction / 2, direction))

    along, rest = torch.randn(2, 6, generator=source) * 2  # without a rest, what is left would be rounding
    residual, direction = torch.randn(3, 16, generator=source) * 4, torch.randn(16, generator=source)
    across = torch.tensor([1.0, -2.0, 0.5, 0.0])
    return [
        case("one vector of width 8", 8),
        case("a stream of shape (2, 5, 64)", 2, 5, 64),
        Case(
            "vectors along the direction and against it",
            (torch.stack([3 * along, -3 * along, 0 * along]) + rest, along),
        ),
        Case("a very short direction", (residual, 1e-5 * direction / direction.norm())),
        Case("a very long direction", (residual, 1e5 * direction)),
        Case("a vector at right angles to it", (torch.tensor([2.0, 1.0, 0.0, 5.0]), across * rng.uniform(1, 3))),
    ]


def _length_forgotten(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - (residual @ direction)[..., None] * direction


def _length_once(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - (residual @ direction / direction.norm())[..., None] * direction


def _subtracted(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - direction


def _unit_subtracted(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - direction / direction.norm()


def _absolute(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    unit = direction / direction.norm()
    return residual - (residual @ unit).abs()[..., None] * unit


def _part_kept(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - steering.remove_direction(residual, direction)


EXERCISE = Exercise(
    id="5.8",
    title="Take a direction away",
    minutes=10,
    points=2,
    difficulty=1,
    reference=steering.remove_direction,
    shows="What is left is orthogonal to the direction: whatever was said along it can no longer be read.",
    hints=(
        Hint(
            "how much is in it?",
            "The dot product with the direction, made unit length: `unit = direction / direction.norm()`.",
        ),
        Hint(
            "shapes",
            "`residual @ unit` has the residual's shape without the width. `[..., None] * unit` makes vectors of it "
            "again, and those are what to subtract.",
        ),
    ),
    draw=_streams_with_direction,
    axes=("batch", "position", "width"),
    mistakes=(
        Mistake(
            "absolute part",
            _absolute,
            "The part along the direction was taken without its sign. Where it points the other way, the dot product "
            "is negative, and subtracting it adds: leave abs out.",
        ),
        Mistake(
            "length forgotten",
            _length_forgotten,
            "The direction is not of unit length, so more or less is removed than lies along it: divide it by its norm "
            "first.",
        ),
        Mistake(
            "length divided once",
            _length_once,
            "The direction occurs twice, in the dot product and in what is subtracted: both need it at unit length.",
        ),
        Mistake(
            "direction subtracted",
            _subtracted,
            "This subtracts the direction itself, the same everywhere: remove from each vector as much as it has of "
            "it.",
        ),
        Mistake(
            "unit direction subtracted",
            _unit_subtracted,
            "This subtracts the unit direction, the same everywhere: remove from each vector as much as it has of it.",
        ),
        Mistake(
            "the other part",
            _part_kept,
            "This is the part along the direction: what is left without it was asked for.",
        ),
    ),
)
