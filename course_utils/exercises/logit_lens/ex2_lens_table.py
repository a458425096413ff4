"""Exercise 4.2: every depth, every position, one matrix product."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.differences import first_difference
from course_utils.exercises.drawing import text, tiny
from course_utils.exercises.logit_lens.lens_everywhere import lens_everywhere, lens_without_norm
from course_utils.exercises.logit_lens.prompts import on_prompts
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.exercises.values import Frozen
from course_utils.logit_lens import lens_table

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _cases(rng: random.Random) -> list[Case]:
    # Its probability is exactly 0 in float32, and 0 times the logarithm of 0 is not a number.
    never_ends = replace(tiny(rng, "tiny-llama"), end_bias=-200.0)
    cases = [*on_prompts(rng), Case("a model that never ends a text", (never_ends, text(rng, 5)))]
    return [_long(case, rng) if case.args[0] == Model() else case for case in cases]


def _long(case: Case, rng: random.Random) -> Case:
    """The case with a prompt of more positions than fit into `lens_chunks`'s memory at once: 28 of the lessons' model.

    Whoever takes a few positions at a time must put them together again.
    """
    model, prompt = case.args
    return replace(case, args=(model, f"{text(rng, 26)}. {prompt}"))


# What learners do instead.


def _table(log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    top, ids = log_probs.max(dim=-1)
    return {"top_ids": ids, "probability": top.exp(), "entropy": -(log_probs.exp() * log_probs).sum(dim=-1)}


def _without_norm(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(lens_without_norm(model, prompt).log_softmax(dim=-1))


def _over_positions(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(lens_everywhere(model, prompt).log_softmax(dim=1))


def _over_depths(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(lens_everywhere(model, prompt).log_softmax(dim=0))


def _entropy_in_bits(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    return {**table, "entropy": table["entropy"] / math.log(2)}


def _entropy_negative(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    return {**table, "entropy": -table["entropy"]}


def _logit_for_probability(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return {**lens_table(model, prompt), "probability": lens_everywhere(model, prompt).max(dim=-1).values}


def _probability_of_last_answer(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    probabilities = lens_everywhere(model, prompt).softmax(dim=-1)
    answers = table["top_ids"][-1].expand(len(probabilities), -1)
    return {**table, "probability": probabilities.gather(-1, answers[..., None])[..., 0]}


def _logarithm_of_probabilities(case: Case, expected: dict[str, Any], got: dict[str, Any]) -> str | None:
    """What comes of the logarithm of probabilities, with a small number added to them (whichever) and without."""
    if got.keys() != expected.keys() or first_difference({**expected, "entropy": 0}, {**got, "entropy": 0}):
        return None
    wanted, came = expected["entropy"], got["entropy"]
    if not isinstance(came, Frozen) or came.tensor.shape != wanted.tensor.shape:
        return None
    if came.tensor.isnan().any():
        return (
            "A token so improbable that its probability is 0 to the computer has the logarithm -inf, and 0 * -inf is "
            "not a number: take log_softmax, which keeps it finite."
        )
    missing = wanted.tensor - came.tensor
    if missing.min() < -1e-4 or missing.max() > 0.2 * wanted.tensor.max():
        return None
    return (
        "The entropy is a little too small. If you add a small number to the probabilities before the logarithm, or "
        "clamp them: there are so many improbable tokens that it counts. log_softmax needs no such number."
    )


EXERCISE = Exercise(
    id="4.2",
    title="Every depth, every position, one matrix product",
    minutes=15,
    points=3,
    difficulty=2,
    reference=lens_table,
    shows="One trace and one matrix product give the whole table: what each depth expects after each token.",
    hints=(
        Hint(
            "shapes",
            "`residual_stream(model, prompt)` from lesson 2 is (depth, position, width). `parts.unembed(stream)` is "
            "the norm and the unembedding in one, for any shape (..., width). Its result is (depth, position, "
            "vocabulary).",
        ),
        Hint(
            "the top token",
            "`log_probs = logits.log_softmax(dim=-1)` has the shape of the logits. Then `log_probs.max(dim=-1)` has "
            "values and indices.",
        ),
        Hint(
            "the entropy",
            "Minus the sum of p log p: `-(log_probs.exp() * log_probs).sum(dim=-1)`.",
        ),
    ),
    draw=_cases,
    diagnose=_logarithm_of_probabilities,
    axes=("depth", "position"),
    mistakes=(
        Mistake(
            "no final norm",
            _without_norm,
            "This is the lens without the final norm: use parts.unembed, or parts.normalise and then parts.logits.",
        ),
        Mistake(
            "softmax over positions",
            _over_positions,
            "The softmax runs over the positions: along the vocabulary (dim=-1), each cell's probabilities sum to 1.",
        ),
        Mistake(
            "softmax over depths",
            _over_depths,
            "The softmax runs over the depths: along the vocabulary (dim=-1), each cell's probabilities sum to 1.",
        ),
        Mistake(
            "entropy in bits", _entropy_in_bits, "The entropy is in bits: nats were asked for, the natural logarithm."
        ),
        Mistake(
            "entropy negative", _entropy_negative, "The entropy has the wrong sign: it is minus the sum of p log p."
        ),
        Mistake(
            "logit for probability",
            _logit_for_probability,
            "'probability' holds the top logit: it has to go through the softmax.",
        ),
        Mistake(
            "the last depth's answer",
            _probability_of_last_answer,
            "'probability' is that of the last depth's answer: each cell should give that of its own top token.",
        ),
    ),
)
