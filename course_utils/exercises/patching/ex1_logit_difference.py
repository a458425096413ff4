"""Exercise 6.1: one number for one decision."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.drawing import default_pair, models, pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.prompts import token_id


def _prompts(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn = pair(rng)
        cases.append(Case(label, (model, rng.choice((drawn.clean, drawn.corrupted)), drawn.answers)))
    return [*cases, Case("answers left out", (tiny(rng, "tiny-gpt2"), default_pair().clean))]


# What learners do instead.


def _last_logits(model: Any, prompt: str) -> torch.Tensor:
    with model.trace(prompt):
        last = model.output.logits[0, -1].save()
    return last


def _reversed(model: Any, prompt: str, answers: tuple[str, str] = NAMES) -> float:
    return -patching.logit_difference(model, prompt, answers)


def _of_probabilities(model: Any, prompt: str, answers: tuple[str, str] = NAMES) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    probabilities = _last_logits(model, prompt).softmax(dim=-1)
    return float(probabilities[first] - probabilities[second])


def _without_space(model: Any, prompt: str, answers: tuple[str, str] = NAMES) -> float:
    first, second = (model.tokenizer(answer.strip(), add_special_tokens=False)["input_ids"][0] for answer in answers)
    last = _last_logits(model, prompt)
    return float(last[first] - last[second])


def _at_first(model: Any, prompt: str, answers: tuple[str, str] = NAMES) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        logits = model.output.logits[0, 0].save()
    return float(logits[first] - logits[second])


def _before_last(model: Any, prompt: str, answers: tuple[str, str] = NAMES) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        logits = model.output.logits[0, -2].save()
    return float(logits[first] - logits[second])


EXERCISE = Exercise(
    id="6.1",
    title="One number for one decision",
    minutes=10,
    points=2,
    difficulty=1,
    reference=patching.logit_difference,
    shows="One number now says which name the model prefers and by how much; all of the lesson watches it move.",
    hints=(
        Hint(
            "where is it?",
            "`model.output.logits` is (batch, position, vocabulary). What comes next is predicted at the last "
            "position.",
        ),
        Hint(
            "which column?",
            "`token_id(model, answers[0])` is the id of a token (lesson 1). Save the last row inside the trace, "
            "subtract outside.",
        ),
    ),
    draw=_prompts,
    mistakes=(
        Mistake(
            "answers reversed",
            _reversed,
            "This is answers[1] minus answers[0]: the sign is turned. Positive must mean that answers[0] is preferred.",
        ),
        Mistake(
            "probabilities",
            _of_probabilities,
            "This is a difference of probabilities. Logits are what heads add to, so take their difference without "
            "a softmax.",
        ),
        Mistake(
            "answer without its space",
            _without_space,
            'These are the logits of the names without the space in front: "Mike" and " Mike" are different tokens.',
        ),
        Mistake(
            "first position",
            _at_first,
            "This is read at position 0, which has seen one token only. What follows the prompt stands at its last "
            "position.",
        ),
        Mistake(
            "one position early",
            _before_last,
            "This is read one position before the last: it predicts the prompt's own last token. Row i predicts "
            "token i + 1.",
        ),
    ),
)
