"""Exercise 1.5: surprisal."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.drawing import one_token, tiny
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.tokens.drawing import texts
from course_utils.exercises.tokens.forward import logits_of


def _texts(rng: random.Random) -> list[Case]:
    return [*texts(rng), Case("a text of one token", (tiny(rng, "tiny-gpt2"), one_token(rng)))]


# What learners do instead.


def _nats(model: Any, text: str) -> torch.Tensor:
    return tokens.surprisals(model, text) * math.log(2)


def _not_negated(model: Any, text: str) -> torch.Tensor:
    return -tokens.surprisals(model, text)


def _of_what_was_read(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    bits = -logits_of(model, text).log_softmax(dim=-1).cpu() / math.log(2)
    return bits[:-1].gather(1, ids[:-1, None])[:, 0]


def _not_shifted(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    bits = -logits_of(model, text).log_softmax(dim=-1).cpu() / math.log(2)
    return bits[1:].gather(1, ids[1:, None])[:, 0]


def _own_token(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    bits = -logits_of(model, text).log_softmax(dim=-1).cpu() / math.log(2)
    return bits.gather(1, ids[:, None])[:, 0]


EXERCISE = Exercise(
    id="1.5",
    title="Surprisal",
    minutes=10,
    points=2,
    difficulty=2,
    reference=tokens.surprisals,
    shows="A language model is a meter of surprise: this is the number that training makes small.",
    hints=(
        Hint(
            "which row for which token?",
            "Row i of the predictions is about token i + 1: drop the last row and the first token.",
        ),
        Hint(
            "one number from each row",
            "`rows.gather(1, ids[:, None])[:, 0]` picks for each row the column that `ids` names. Natural "
            "logarithms become bits by dividing by log(2).",
        ),
    ),
    draw=_texts,
    axes=("entry",),
    mistakes=(
        Mistake(
            "the token just read",
            _of_what_was_read,
            "Row i is looked up at token i, which it has just read: at row i stands the prediction of token i + 1, so "
            "gather ids[1:].",
        ),
        Mistake("nats", _nats, "These are natural logarithms (nats): divide by log(2) for bits."),
        Mistake("sign", _not_negated, "These are log-probabilities: surprisal is their negative."),
        Mistake(
            "not shifted",
            _not_shifted,
            "Each token is scored at its own position, which already saw it: its prediction stands one position "
            "earlier.",
        ),
        Mistake(
            "one entry too many, not shifted",
            _own_token,
            "There is an entry for the first token, which nothing predicted: row i of the predictions is about "
            "token i + 1.",
        ),
    ),
)
