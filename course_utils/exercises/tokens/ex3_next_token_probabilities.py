"""Exercise 1.3: a prediction at every position."""

from __future__ import annotations

from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.protocol import Exercise, Hint, Mistake
from course_utils.exercises.tokens.drawing import texts
from course_utils.exercises.tokens.forward import logits_of

# What learners do instead.


def _over_positions(model: Any, text: str) -> torch.Tensor:
    return logits_of(model, text).softmax(dim=0)


def _with_batch(model: Any, text: str) -> torch.Tensor:
    return logits_of(model, text)[None].softmax(dim=-1)


def _last_only(model: Any, text: str) -> torch.Tensor:
    return logits_of(model, text)[-1].softmax(dim=-1)


EXERCISE = Exercise(
    id="1.3",
    title="A prediction at every position",
    minutes=5,
    points=1,
    difficulty=1,
    reference=tokens.next_token_probabilities,
    shows="A text of n tokens costs one forward pass and gives n predictions.",
    hints=(
        Hint(
            "what changes",
            "The trace is the same as before. Take row 0 of the batch, whose axis has size 1, and keep all positions.",
        ),
        Hint(
            "which axis?",
            "Softmax runs along the vocabulary, the last axis: `softmax(dim=-1)`. Each row must sum to 1.",
        ),
    ),
    draw=texts,
    axes=("position", "vocabulary"),
    mistakes=(
        Mistake(
            "softmax over positions",
            _over_positions,
            "The softmax runs over the positions here: along the vocabulary (dim=-1) each row sums to 1.",
        ),
        Mistake("batch kept", _with_batch, "The batch axis is still there: one text was given, so take row 0."),
        Mistake("last position only", _last_only, "This is the last position only: all of them are asked for."),
    ),
)
