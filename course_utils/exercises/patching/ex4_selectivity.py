"""Exercise 6.4: same word, second mention."""

from __future__ import annotations

import random

import torch

from course_utils import patching
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake


def _outputs(rng: random.Random) -> list[Case]:
    cases = []
    for label, shape in (("random numbers", (2, 6, 3, 5)), ("more random numbers", (3, 9, 2, 4))):
        outputs = torch.randn(shape, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
        # Unequal positions and heads, so that a mean over the wrong axis shows; a loud position 0, as in a real model.
        outputs *= 1 + torch.arange(shape[1])[None, :, None, None] / 3 + torch.arange(shape[2])[None, None, :, None]
        outputs[:, 0] *= 5
        first, second = sorted(rng.sample(range(1, shape[1]), 2))
        cases.append(Case(label, (outputs, first, second)))
    outputs = cases[0].args[0]
    return [*cases, Case("the last position, and the one before it", (outputs, 5, 4))]


# What learners do instead.


def _distances(outputs: torch.Tensor) -> torch.Tensor:
    by_head = outputs.transpose(1, 2)
    return (by_head.unsqueeze(3) - by_head.unsqueeze(2)).norm(dim=-1)


def _with_first(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    apart = (outputs[:, second] - outputs[:, first]).norm(dim=-1)
    n = outputs.shape[1]
    return apart / (_distances(outputs).sum(dim=(2, 3)) / (n * (n - 1)))


def _with_self(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    apart = (outputs[:, second] - outputs[:, first]).norm(dim=-1)
    return apart / _distances(outputs[:, 1:]).mean(dim=(2, 3))


def _undivided(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1)


def _of_norms(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return outputs[:, second].norm(dim=-1) / outputs[:, first].norm(dim=-1)


def _upside_down(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return 1 / patching.selectivity(outputs, first, second)


EXERCISE = Exercise(
    id="6.4",
    title="Same word, second mention",
    minutes=15,
    points=3,
    difficulty=2,
    reference=patching.selectivity,
    shows="Below 1, a head goes by the word; near 1, it treats the second mention as any other token.",
    hints=(
        Hint(
            "two vectors",
            "The distance is the norm of the difference, over the last axis. The two mentions give (layer, head) at "
            "once.",
        ),
        Hint(
            "all pairs",
            "Make `x` of shape (layer, head, position, head width) from `outputs[:, 1:]`. Then `x.unsqueeze(3) - "
            "x.unsqueeze(2)` is every difference. A position's distance to itself is 0 and does not count: divide "
            "the sum by n · (n − 1).",
        ),
    ),
    draw=_outputs,
    axes=("layer", "head"),
    mistakes=(
        Mistake(
            "not divided",
            _undivided,
            "This is the distance itself. Divide by the mean distance of two positions, or loud heads will seem "
            "selective.",
        ),
        Mistake(
            "ratio of norms",
            _of_norms,
            "This compares two lengths. Vectors of one length can point anywhere: take the length of the difference.",
        ),
        Mistake(
            "position 0 included",
            _with_first,
            "Position 0 is in your mean. Its outputs are unlike all others in most heads; leave it out.",
        ),
        Mistake(
            "pairs with itself",
            _with_self,
            "Your mean counts each position's distance to itself, which is 0: there are n * (n - 1) pairs, not n * n.",
        ),
        Mistake(
            "upside down",
            _upside_down,
            "The ratio is upside down: the two mentions' distance belongs above the line.",
        ),
    ),
)
