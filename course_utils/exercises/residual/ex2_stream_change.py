"""Exercise 2.2: how far does a change reach?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.drawing import ONE_TOKEN, SEVERAL_TOKENS, tiny, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import models
from course_utils.residual import residual_stream, stream_change

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _on_changed_texts(rng: random.Random) -> list[Case]:
    cases = []
    for model in models(rng):
        words = rng.sample(ONE_TOKEN, 8)
        changed = [*words]
        changed[rng.randrange(2, 5)] = words.pop()
        cases.append(Case(told(model), (model, "The " + " ".join(words), "The " + " ".join(changed[:-1]))))
    # One token broadcasts against any number, without an error of torch's.
    model, words = tiny(rng, "tiny-gpt2"), rng.sample(ONE_TOKEN, 4)
    several = " ".join(["The", *words])
    shorter = " ".join(["The", *words[:2]])
    unequal = [("The", several), (several, shorter), (shorter, several)]
    unequal.append((f"The {words[0]}", f"The {rng.choice(SEVERAL_TOKENS).lower()}"))  # as many words, more tokens
    return cases + [Case("prompts of unequal lengths", (model, *pair), raises=True) for pair in unequal]


# What learners do instead.


def _change_of_norms(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return (after.norm(dim=-1) - before.norm(dim=-1)).abs() / before.norm(dim=-1)


def _signed_change_of_norms(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return after.norm(dim=-1) / before.norm(dim=-1) - 1


def _norm_over_positions(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return (after - before).norm(dim=1) / before.norm(dim=1)


def _change_unscaled(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return (residual_stream(model, changed) - residual_stream(model, prompt)).norm(dim=-1)


def _change_over_after(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return stream_change(model, changed, prompt)


def _change_of_cosine(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return 1 - torch.cosine_similarity(residual_stream(model, prompt), residual_stream(model, changed), dim=-1)


def _change_squared(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return stream_change(model, prompt, changed) ** 2


EXERCISE = Exercise(
    id="2.2",
    title="How far does a change reach?",
    minutes=15,
    points=3,
    difficulty=2,
    reference=stream_change,
    shows="Exactly nothing before the changed token moves; at it and after it, everything may.",
    hints=(
        Hint("where to look", "You have `residual_stream`: take it for both prompts and subtract."),
        Hint(
            "the length of a vector",
            "The length of a vector is its norm over the width, the last axis: `x.norm(dim=-1)`.",
        ),
        Hint("nearly there", "`(after - before).norm(dim=-1)`, divided by `before.norm(dim=-1)`."),
    ),
    draw=_on_changed_texts,
    axes=("depth", "position"),
    mistakes=(
        Mistake(
            "difference of norms",
            _change_of_norms,
            "You compare the two lengths. A vector can turn and keep its length: subtract first, then take the norm.",
        ),
        Mistake(
            "difference of norms, with its sign",
            _signed_change_of_norms,
            "You compare the two lengths. A vector can turn and keep its length: subtract first, then take the norm.",
        ),
        Mistake(
            "norm over the positions",
            _norm_over_positions,
            "Your norm runs over the positions: the length of a vector is its norm over the width, the last axis.",
        ),
        Mistake(
            "not relative",
            _change_unscaled,
            "This is the length of the difference alone: divide it by the length of the prompt's own vector.",
        ),
        Mistake(
            "relative to the changed prompt",
            _change_over_after,
            "You divide by the changed prompt's norm: divide by that of the first prompt, before the change.",
        ),
        Mistake(
            "cosine distance",
            _change_of_cosine,
            "This is one minus the cosine similarity, which does not see a change of length. Take the norm of the "
            "difference.",
        ),
        Mistake("squared", _change_squared, "This is the square of the ratio: a norm has a square root in it."),
    ),
)
