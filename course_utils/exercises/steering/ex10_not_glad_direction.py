"""Exercise 5.10: break the claim that what the glad direction does is gladness."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.forms import FLOATS
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.steering import (
    BAD_WORDS,
    GLAD,
    GOOD_WORDS,
    RUDE,
    SAD,
    concept_direction,
    concept_directions,
    not_glad_direction,
    steered_residuals,
    word_ids,
)

if TYPE_CHECKING:
    from nnsight import TransformersModel

LAYER = 16
PROMPTS = (
    "The weather today is",
    "My new job is",
    "In my opinion, the food was",
    "All in all, my holiday was",
    "The concert last night was",
    "I think that my neighbour is",
    "Our hotel room was",
    "The first day at school was",
    "The book that she wrote is",
    "To be honest, the party was",
    "Most people say that the town is",
    "The new teacher is",
    "The service there was",
    "My week has been",
)


def _hidden_prompts(rng: random.Random) -> list[Case]:
    return [Case("eight prompts, others than the lesson's among them", (Model(), rng.sample(PROMPTS, 8)))]


def _measured(answer: Any, model: TransformersModel, prompts: list[str]) -> dict[str, bool]:
    """What the direction must be, for each property whether it is.

    Measured without the solutions of 5.1 and 5.3, which are not to be had where this is marked.
    """
    width = anatomy(model).width
    own = answer(model, LAYER)
    by_layer = concept_directions(model, GLAD, SAD)
    glad = by_layer[LAYER]
    vector = isinstance(own, torch.Tensor) and own.shape == (width,) and bool(own.isfinite().all() and own.any())
    other = towards = enough = False
    if vector:
        own = own.to(glad)
        # What a later layer writes of gladness, put in here, means the same: its cosine with this layer's is only 0.45.
        other = float(torch.cosine_similarity(by_layer, own, dim=-1).abs().max()) < 0.5
        rows = torch.stack([glad, own.detach() / own.norm() * glad.norm()])
        by_glad, by_own = torch.stack([_odds_shift(model, prompt, rows) for prompt in prompts]).mean(dim=0)
        towards, enough = bool(by_own > -0.25 * by_glad), bool(by_own >= 0.7 * by_glad)
    return {
        "one vector of the model's width": vector,
        "its cosine with glad is below 0.5, at each layer": other,
        "it does not move the other way": towards,
        "it moves at least 0.7 as much as glad": enough,
    }


def _odds_shift(model: TransformersModel, prompt: str, vectors: torch.Tensor) -> torch.Tensor:
    """How far each of many vectors (row, width) moves the log-odds of good to bad words after a prompt: (row,)."""
    last = steered_residuals(model, prompt, vectors[None], [LAYER])[:, -1]
    logits = anatomy(model).unembed(last).float()
    good, bad = (logits[:, word_ids(model, words)].logsumexp(dim=-1) for words in (GOOD_WORDS, BAD_WORDS))
    return (good - bad)[1:] - (good - bad)[0]


# What learners do instead.


def _glad_again(model: TransformersModel, layer: int) -> torch.Tensor:
    return concept_direction(model, GLAD, SAD, layer)


def _meaningless(model: TransformersModel, layer: int) -> torch.Tensor:
    """A contrast of two sentences of which neither is good or bad."""
    return concept_direction(model, ["We talked about the train"], ["We talked about the car"], layer)


def _turned(model: TransformersModel, layer: int) -> torch.Tensor:
    return -not_glad_direction(model, layer)


def _one_for_each_prompt(model: TransformersModel, layer: int) -> torch.Tensor:
    return torch.stack([concept_direction(model, prompt, RUDE, layer) for prompt in GLAD])


EXERCISE = Exercise(
    id="5.10",
    title="Break our claim",
    minutes=15,
    points=3,
    difficulty=2,
    reference=not_glad_direction,
    drive=_measured,
    returns=FLOATS,
    draw=_hidden_prompts,
    shows="An effect is not yet a meaning: what moves the measure as much need not mean the same.",
    hints=(
        Hint(
            "where to look",
            "What else have people in common who praise something? It is not named by the 24 contrasts: they are "
            "mostly things, and ours is a tone.",
        ),
        Hint(
            "how to measure",
            "`held_out_shift(size * direction[None] / direction.norm())` is the shift on the lesson's six prompts, and "
            "`torch.cosine_similarity(direction, glad[16], dim=0)` says how much of the glad direction is in it.",
        ),
        Hint(
            "nearly there",
            "Two lists of sentences and `concept_direction`. The lesson has used such lists for something else than "
            "gladness.",
        ),
    ),
    mistakes=(
        Mistake(
            "glad again",
            _glad_again,
            "Yours is the glad direction, or nearly: its cosine with it, this layer's or another's, is 0.5 or more. "
            "Contrast something else.",
        ),
        Mistake(
            "the other way",
            _turned,
            "Yours moves the log-odds towards the bad words: exchange its two sides.",
        ),
        Mistake(
            "not one vector",
            _one_for_each_prompt,
            "One vector was asked for, with shape (width,), that is finite and not zero.",
        ),
        Mistake(
            "moves too little",
            _meaningless,
            "Yours moves the log-odds by less than 0.7 of what the glad direction does: look "
            "for something that people say when they praise.",
        ),
    ),
)
