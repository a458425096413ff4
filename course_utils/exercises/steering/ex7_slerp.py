"""Exercise 5.7: from one vector to another along the arc between them."""

from __future__ import annotations

import math
import random

import torch

from course_utils import steering
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import torch_source


def _two_vectors(rng: random.Random) -> list[Case]:
    """One about three times as long as the other, and never t = 0.5, where much that is wrong comes out right."""
    source = torch_source(rng)

    def case(width: int) -> Case:
        first, second = torch.randn(width, generator=source), 3 * torch.randn(width, generator=source)
        return Case(f"two vectors of width {width}", (first, second, rng.choice((0.25, 0.3, 0.6, 0.8))))

    first, second = torch.randn(8, generator=source), 3 * torch.randn(8, generator=source)
    t = rng.choice((0.25, 0.3, 0.6, 0.8))
    # Halves, so that the vectors are exactly parallel or opposite; ones an angle of 0.0005 from it.
    exact = torch.tensor([rng.choice((-0.5, 0.5)) for _ in range(4)])
    apart = torch.tensor([0.0005, 0.0, 0.0, 0.0]) * exact
    right = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    wide = torch.tensor([1.0, 0.0]), 2 * torch.tensor([math.cos(2.9), math.sin(2.9)])
    near = torch.tensor([1.0, 0.0]), 2 * torch.tensor([math.cos(0.25), math.sin(0.25)])
    zero = torch.zeros(8)
    over = first  # rounded so that its cosine with itself is above 1
    while not (over / over.norm()) @ (over / over.norm()) > 1:
        over = torch.randn(8, generator=source)
    return [
        case(3),
        case(64),
        Case("t = 0", (first, second, 0.0)),
        Case("t = 1", (first, second, 1.0)),
        Case("t = 0.5", (first, second, 0.5)),
        Case("a right angle", (*right, t)),
        Case("a wide angle", (*wide, t)),
        Case("a narrow angle", (*near, t)),
        Case("parallel vectors", (exact, 3 * exact, t)),
        Case("nearly parallel vectors", (exact, 3 * (exact + apart), t)),
        Case("a vector and itself", (over, over, t)),
        Case("opposite vectors", (exact, -3 * exact, t), raises=True),
        Case("opposite vectors of other numbers", (over, -over, t), raises=True),
        Case("zeros first", (zero, second, t), raises=True),
        Case("zeros last", (first, zero, t), raises=True),
    ]


def _straight(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return (1 - t) * first + t * second


def _straight_at_length(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    line = (1 - t) * first / first.norm() + t * second / second.norm()
    return ((1 - t) * first.norm() + t * second.norm()) * line / line.norm()


def _arc_swapped(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return steering.slerp(second, first, t)


def _unit_arc(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return steering.slerp(first / first.norm(), second / second.norm(), t)


def _arc_of_whole_vectors(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    angle = torch.acos((first @ second / first.norm() / second.norm()).clamp(-1, 1))
    return (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * second) / torch.sin(angle)


EXERCISE = Exercise(
    id="5.7",
    title="Along the arc",
    minutes=15,
    points=3,
    difficulty=2,
    reference=steering.slerp,
    shows="On the arc neither the length nor the pace depends on how far apart the two are.",
    hints=(
        Hint(
            "the angle",
            "Make both unit length. The angle between them is `torch.acos(a @ b)`.",
        ),
        Hint(
            "the length",
            "The formula gives a unit vector, "
            "`(torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)`. "
            "Multiply it by the length, `(1 - t) * first.norm() + t * second.norm()`.",
        ),
    ),
    draw=_two_vectors,
    axes=("width",),
    mistakes=(
        Mistake(
            "straight line",
            _straight,
            "This is the straight line between them, which cuts the corner: in the middle it is too short.",
        ),
        Mistake(
            "straight line, stretched",
            _straight_at_length,
            "The length is right, but this is the straight line stretched: the angle does not grow evenly. "
            "The weights are sines.",
        ),
        Mistake("ends swapped", _arc_swapped, "t = 0 must give the first vector, t = 1 the second."),
        Mistake(
            "unit length",
            _unit_arc,
            "The direction is right and the length is 1: give it its length back, between the two lengths.",
        ),
        Mistake(
            "arc of the whole vectors",
            _arc_of_whole_vectors,
            "The sines weigh the vectors with their lengths, so the longer one pulls the direction: make them unit "
            "length first.",
        ),
    ),
)
