"""Exercise 6.7: where the last token looks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.drawing import models, pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy


def _prompts_and_positions(rng: random.Random) -> list[Case]:
    # The templates have 13 tokens or more. Position 0 would draw most of a real head's attention to itself.
    cases = [Case(label, (model, pair(rng).clean, sorted(rng.sample(range(1, 12), 3)))) for label, model in models(rng)]
    model, words = tiny(rng, "tiny-gpt2"), "The house in the city"
    order = rng.sample(range(5), 4)
    return [
        *cases,
        Case("positions in any order, one of them twice", (model, words, [*order, order[0]])),
        Case("the first and the last position", (model, words, [0, 4])),
        Case("one position", (model, words, [rng.randrange(1, 4)])),
    ]


# What learners do instead.


def _chosen_by(model: Any, prompt: str, choose: Any) -> torch.Tensor:
    parts = anatomy(model)
    weights = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            weights.append(choose(parts.pattern(layer)).save())
    return torch.stack(weights)


def _transposed(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _chosen_by(model, prompt, lambda pattern: pattern[0, :, positions, -1])


def _renormalised(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _chosen_by(model, prompt, lambda pattern: pattern[0, :, -1, positions].softmax(dim=-1))


def _mean_query(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _chosen_by(model, prompt, lambda pattern: pattern[0, :, :, positions].mean(dim=1))


EXERCISE = Exercise(
    id="6.7",
    title="Where the last token looks",
    minutes=10,
    points=2,
    difficulty=2,
    reference=patching.attention_to,
    shows="For every head: how much of the answer's position looks at each name.",
    hints=(
        Hint(
            "the axes",
            "`parts.pattern(layer)` in a trace is (batch, head, query position, key position). The query is the "
            "token that looks, the key the one looked at.",
        ),
        Hint(
            "the slice",
            "`pattern[0, :, -1, positions]` takes the last query and several keys at once; collect the layers and "
            "stack them.",
        ),
    ),
    draw=_prompts_and_positions,
    axes=("layer", "head", "entry"),
    mistakes=(
        Mistake(
            "looks ahead",
            _transposed,
            "All your weights are 0: they belong to tokens that would look ahead. The last axis is the key, the "
            "token looked at; the one before it is the query, and it must be -1, the last token.",
        ),
        Mistake(
            "normalised twice",
            _renormalised,
            "Attention weights are a softmax already; another one over the chosen keys hides how much goes elsewhere.",
        ),
        Mistake(
            "mean over queries",
            _mean_query,
            "This is the mean over all tokens that look; only the last one predicts the name.",
        ),
    ),
)
