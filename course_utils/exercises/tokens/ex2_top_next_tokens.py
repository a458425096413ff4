"""Exercise 1.2: the most probable next tokens."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.drawing import one_token, text, tiny
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.tokens.drawing import texts
from course_utils.exercises.tokens.forward import logits_of


def _prompts_with_k(rng: random.Random) -> list[Case]:
    model = tiny(rng, "tiny-gpt2")
    return [
        *(Case(case.label, case.args, {"k": rng.randint(3, 7)}) for case in texts(rng)),
        Case("a prompt that ends in a space, k left out", (model, f"{text(rng, 4)} ")),
        Case("a longer list", (model, text(rng, 4)), {"k": rng.randint(21, 24)}),
        Case("one token, k = 1", (model, one_token(rng)), {"k": 1}),
    ]


# What learners do instead.


def _first_position(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return _top(model, logits_of(model, prompt)[0].softmax(dim=-1), k)


def _before_last(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return _top(model, logits_of(model, prompt)[-2:][0].softmax(dim=-1), k)


def _logits_for_probabilities(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return _top(model, logits_of(model, prompt)[-1], k)


def _least_first(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return tokens.top_next_tokens(model, prompt, k)[::-1]


def _renormalised(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    values, ids = logits_of(model, prompt)[-1].topk(k)
    shares = values.softmax(dim=-1).tolist()
    return [(model.tokenizer.decode([i]), share) for i, share in zip(ids.tolist(), shares, strict=True)]


def _top(model: Any, scores: torch.Tensor, k: int) -> list[tuple[str, float]]:
    values, ids = scores.topk(k)
    return [(model.tokenizer.decode([i]), value) for i, value in zip(ids.tolist(), values.tolist(), strict=True)]


EXERCISE = Exercise(
    id="1.2",
    title="The most probable next tokens",
    minutes=10,
    points=2,
    difficulty=1,
    reference=tokens.top_next_tokens,
    shows="One forward pass ranks the whole vocabulary; the top of it is what the model would say.",
    hints=(
        Hint(
            "which row?",
            "Inside the trace, `model.output.logits` has shape (batch, position, vocabulary). Row i is the "
            "prediction after token i, so what comes after the whole prompt stands in the last row.",
        ),
        Hint("in which order?", "Softmax over the whole vocabulary first, `softmax(dim=-1)`, then `.topk(k)`."),
    ),
    draw=_prompts_with_k,
    axes=("rank", "part"),
    mistakes=(
        Mistake(
            "first position",
            _first_position,
            "This is what the model predicts after the first token: the prediction for the next one stands at the "
            "last position, -1.",
        ),
        Mistake(
            "the last position but one",
            _before_last,
            "This is what the model predicted for the prompt's own last token: the prediction for the next one stands "
            "at the last position, -1.",
        ),
        Mistake("logits", _logits_for_probabilities, "These are logits, not probabilities: a softmax is missing."),
        Mistake("ascending", _least_first, "The order is reversed: the most probable comes first."),
        Mistake(
            "softmax over the top k",
            _renormalised,
            "This is a softmax over the k logits only: take it over the whole vocabulary, then pick.",
        ),
    ),
)
