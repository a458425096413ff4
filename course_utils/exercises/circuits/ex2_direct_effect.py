"""Exercise 7.2: straight to the answer."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import models
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.drawing import default_pair, pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream

Answers = tuple[str, str]


def _pairs_and_heads(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn = pair(rng)
        # On the lesson's model one that has a direct effect at all.
        layer, head = rng.choice([(23, 3), (23, 0), (24, 4)]) if model.name is None else (1, rng.randrange(4))
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, layer, head, drawn.answers)))
    drawn = default_pair()
    cohere = Model("tiny-cohere", rng.randrange(1000))  # its logits are scaled
    return [
        *cases,
        Case("a tiny Cohere, answers left out", (cohere, drawn.clean, drawn.corrupted, 2, rng.randrange(4))),
    ]


def _along(model: Any, answers: Answers) -> torch.Tensor:
    plus, minus = (token_id(model, answer) for answer in answers)
    weight = anatomy(model).unembedding.weight
    return weight[plus] - weight[minus]


# What learners do instead.


def _reversed(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = NAMES) -> float:
    return -circuits.direct_effect(model, clean, corrupted, layer, head, answers)


def _no_norm(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = NAMES) -> float:
    return float(circuits.sent(model, clean, corrupted, layer, head)[-1] @ _along(model, answers))


def _clean_divisor(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = NAMES) -> float:
    frozen = frozen_norm(model, residual_stream(model, clean)[-1, -1])
    return float(frozen(circuits.sent(model, clean, corrupted, layer, head)[-1]) @ _along(model, answers))


def _normed_alone(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = NAMES) -> float:
    change = circuits.sent(model, clean, corrupted, layer, head)[-1]
    return float(anatomy(model).normalise(change) @ _along(model, answers))


def _all_positions(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = NAMES) -> float:
    frozen = frozen_norm(model, residual_stream(model, corrupted)[-1, -1])
    change = circuits.sent(model, clean, corrupted, layer, head).sum(dim=0)
    return float(frozen(change) @ _along(model, answers))


EXERCISE = Exercise(
    id="7.2",
    title="Straight to the answer",
    minutes=10,
    points=2,
    difficulty=2,
    reference=circuits.direct_effect,
    shows="One product says what reaches the logits with nobody in between; what is left of a head's effect went by "
    "another head or MLP.",
    hints=(
        Hint(
            "the frozen norm",
            "Lesson 4: `frozen_norm(model, residual)` is the final norm as a linear map, with the divisor of that "
            "residual. "
            "Here it is the corrupted run's last one, `residual_stream(model, corrupted)[-1, -1]`.",
        ),
        Hint(
            "one direction",
            "`sent(...)[-1]` is the change at the last token. Through the frozen norm, then times "
            "`weight[first] - weight[second]`, two rows of `anatomy(model).unembedding.weight`. Last comes "
            "`anatomy(model).logit_scale`, by which some families (not this one) multiply their logits.",
        ),
    ),
    draw=_pairs_and_heads,
    mistakes=(
        Mistake(
            "turned around",
            _reversed,
            "The sign is turned: either clean and corrupted are exchanged, or the two answers are.",
        ),
        Mistake(
            "without the norm",
            _no_norm,
            "The final norm is left out: the model divides the whole residual, and stretches each entry, before it "
            "unembeds it.",
        ),
        Mistake(
            "the clean run's divisor",
            _clean_divisor,
            "The norm is frozen at the clean run's residual. The change is put into the corrupted run, so its divisor "
            "is that of the corrupted run.",
        ),
        Mistake(
            "the change normed alone",
            _normed_alone,
            "This norms the change by its own length, as if it were a whole residual. The divisor is that of the "
            "corrupted "
            "run's residual: freeze it.",
        ),
        Mistake(
            "all positions",
            _all_positions,
            "This adds up the changes at all tokens. Only the last token's residual is unembedded to the answer.",
        ),
    ),
)
