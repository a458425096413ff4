"""Exercise 1.4: the trailing space."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.drawing import PLACES, one_token, text, tiny, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model


def _continuations(rng: random.Random) -> list[Case]:
    place, city = rng.choice(PLACES)
    model = tiny(rng, "tiny-gpt2")
    return [
        *(Case(told(model), (model, text(rng, 4), f" {text(rng, 3).lower()}")) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), f"{place} is in the city of", f" {city}, in the {text(rng, 1).lower()}")),
        Case("a prompt that ends in a space", (model, f"{text(rng, 3)} ", text(rng, 3).lower())),
        # The product of so many probabilities is 0 in single precision: only the sum of their logarithms is not.
        Case("a long continuation", (model, text(rng, 3), f" {text(rng, 24).lower()}")),
        Case("one token after one token", (model, one_token(rng), one_token(rng))),
    ]


# What learners do instead.


def _continuation(
    model: Any, prompt: str, continuation: str, shift: int = 1, whole: bool = False, n: int | None = None
) -> float:
    start = model.tokenizer(prompt)["input_ids"]
    rest = model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with model.trace([start + rest]):
        logits = model.output.logits[0].save()
    log_probabilities = logits.log_softmax(dim=-1)
    ids = start + rest
    places = range(1 if whole else len(start), len(ids) if n is None else len(start) + n)
    return sum(float(log_probabilities[place - shift, ids[place]]) for place in places)


def _not_shifted_continuation(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, shift=0)


def _prompt_included(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, whole=True)


def _first_token_only(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, n=1)


def _probability(model: Any, prompt: str, continuation: str) -> float:
    return math.exp(tokens.continuation_log_probability(model, prompt, continuation))


def _product_in_single_precision(model: Any, prompt: str, continuation: str) -> float:
    start = model.tokenizer(prompt)["input_ids"]
    rest = model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with model.trace([start + rest]):
        logits = model.output.logits[0].save()
    rows = logits.softmax(dim=-1)[len(start) - 1 : -1]
    return float(rows.gather(1, torch.tensor(rest)[:, None]).prod().log())


def _together(model: Any, prompt: str, continuation: str) -> float:
    ids, n = model.tokenizer(prompt + continuation)["input_ids"], len(model.tokenizer(prompt)["input_ids"])
    with model.trace([ids]):
        logits = model.output.logits[0].save()
    log_probabilities = logits.log_softmax(dim=-1)
    return sum((float(log_probabilities[place - 1, ids[place]]) for place in range(n, len(ids))), 0.0)


def _beginning_repeated(model: Any, prompt: str, continuation: str) -> float:
    start, rest = (model.tokenizer(text)["input_ids"] for text in (prompt, continuation))
    with model.trace([start + rest]):
        logits = model.output.logits[0].save()
    log_probabilities = logits.log_softmax(dim=-1)
    return sum(float(log_probabilities[len(start) + i - 1, token]) for i, token in enumerate(rest))


EXERCISE = Exercise(
    id="1.4",
    title="The trailing space",
    minutes=15,
    points=3,
    difficulty=2,
    reference=tokens.continuation_log_probability,
    shows="The same letters, cut into other tokens, are another text to the model.",
    hints=(
        Hint(
            "one run for both",
            "Tokenize the two parts by themselves (the second without special tokens), put the ids one after the "
            "other, and run them in one trace: `model.trace([ids])`.",
        ),
        Hint(
            "off by one",
            "The prediction of the token at position i stands in row i - 1. Sum `log_softmax` there, over the "
            "continuation's tokens only.",
        ),
    ),
    draw=_continuations,
    mistakes=(
        Mistake(
            "not shifted",
            _not_shifted_continuation,
            "Each token is scored at its own position, which already saw it: its prediction stands one position "
            "earlier.",
        ),
        Mistake(
            "prompt included",
            _prompt_included,
            "The prompt's tokens are in the sum too: only the continuation's count.",
        ),
        Mistake(
            "first token only", _first_token_only, "Only the continuation's first token is counted: it has several."
        ),
        Mistake(
            "tokenized together",
            _together,
            "Prompt and continuation were split into tokens together. Where they meet, other tokens may come out than "
            "of each by itself: tokenize them apart, and put the ids one after the other.",
        ),
        Mistake(
            "a beginning in the middle",
            _beginning_repeated,
            "This model's tokenizer puts a token in front of each text, and you have it before the continuation too: "
            "tokenize that with add_special_tokens=False.",
        ),
        Mistake(
            "a product that is 0",
            _product_in_single_precision,
            "The product of many probabilities is too small for a number in single precision, and becomes 0. Take the "
            "logarithm of each, and add.",
        ),
        Mistake("not a logarithm", _probability, "This is the probability itself: its logarithm was asked for."),
    ),
)
