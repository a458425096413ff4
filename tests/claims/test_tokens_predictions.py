"""What is said of guesses in lesson 1, and the answers that it reveals."""

from __future__ import annotations

import math
from typing import Any

import torch

from course_utils.tokens import (
    continuation_log_probability,
    next_token_probabilities,
    nucleus,
    settled_surprisals,
    split_tokens,
    token_id,
    top_next_tokens,
)
from tests.claims.predicted import Claims, Truths, three_tests_of

EIFFEL = "The Eiffel Tower is in the city of"
ANIMAL = "My favourite animal is the"
SENTENCE = "The Eiffel Tower is in Paris."
CAPITAL = "The capital of France is Paris"
CATS = "The cat sat on the mat. The cat sat on the mat. The cat sat on the moon."
WORDS = "The city council voted on Tuesday to repair the old bridge before the winter".split()  # noqa: SIM905


def pieces(model: Any, text: str) -> list[str]:
    return [token for _, token in split_tokens(model, text)]


def after(model: Any, text: str) -> torch.Tensor:
    """The probabilities of what comes next, (vocabulary,)."""
    return next_token_probabilities(model, text)[-1].cpu()


def rank(model: Any, text: str, token: str) -> int:
    p = after(model, text)
    return int((p > p[token_id(model, token)]).sum()) + 1


def top(model: Any, text: str, k: int) -> float:
    return float(after(model, text).topk(k).values.sum())


def surest(model: Any) -> dict[str, float]:
    rows = next_token_probabilities(model, CAPITAL).max(dim=-1).values.tolist()
    return dict(zip([token.strip() for token in pieces(model, CAPITAL)], rows, strict=True))


def bits(model: Any) -> list[tuple[str, float]]:
    costs = settled_surprisals(model, CATS).tolist()
    return list(zip([token.strip() for token in pieces(model, CATS)[1:]], costs, strict=True))


def first_cost(model: Any, word: str) -> float:
    return next(cost for token, cost in bits(model) if token == word)


def extra(model: Any, order: list[str]) -> float:
    """What an order costs more than the sentence, in bits a token."""
    cost, least = (float(settled_surprisals(model, " ".join(words) + ".").mean()) for words in (order, WORDS))
    return cost - least


def elsewhere(order: list[str]) -> int:
    return sum(a != b for a, b in zip(order, WORDS, strict=True))


def moved(by: int) -> list[str]:
    return WORDS[by:] + WORDS[:by]


def lone_digits(model: Any) -> float:
    return sum(float(after(model, EIFFEL + " ")[token_id(model, str(digit))]) for digit in range(10))


TRUTHS: Truths = {
    "1.1": lambda m: len(m.tokenizer.tokenize(SENTENCE)),
    "1.2": lambda m: (top_next_tokens(m, EIFFEL, 2)[1][0], top_next_tokens(m, EIFFEL, 1)[0][1]),
    "1.3": lambda m: max(surest(m), key=surest(m).__getitem__),
    "1.4": lambda m: math.exp(
        continuation_log_probability(m, EIFFEL, " Paris") - continuation_log_probability(m, EIFFEL + " ", "Paris")
    ),
    "1.5": lambda m: max(bits(m), key=lambda pair: pair[1])[0],
    "1.7": lambda m: tuple(int((nucleus(after(m, text), 0.9) > 0).sum()) for text in (EIFFEL, ANIMAL)),
    "1.9": lambda m: elsewhere(moved(7)),
}

CLAIMS: Claims = {
    "1.1": {
        "words": lambda m: [len(pieces(m, " " + word)) for word in SENTENCE.rstrip(".").split()] == [1, 2, 1, 1, 1, 1],
        "words and stop": lambda m: pieces(m, SENTENCE)[1:3] == [" E", "iffel"] and pieces(m, SENTENCE)[-1] == ".",
        "spaces": lambda m: " " not in pieces(m, SENTENCE) and pieces(m, SENTENCE)[-2] == " Paris",
        "syllables": lambda m: " Tower" in pieces(m, SENTENCE),
        "letters": lambda m: len(SENTENCE) == 29 and 3.5 < 29 / len(pieces(m, SENTENCE)) < 4,
    },
    "1.2": {
        "Paris itself": lambda m: rank(m, EIFFEL, " Paris") == 1 and rank(m, EIFFEL, " Rome") == 2,
        "another French city": lambda m: min(rank(m, EIFFEL, token) for token in (" Lyon", " France")) > 40,
        "London": lambda m: (
            min(rank(m, EIFFEL, token) for token in (" London", " New")) > 4
            and {token.strip() for token, _ in top_next_tokens(m, EIFFEL, 4)}
            == {"Paris", "Rome", "Barcelona", "Berlin"}
        ),
        "certain": lambda m: top(m, EIFFEL, 10) - top(m, EIFFEL, 1) > 0.1,
        "hardly": lambda m: top(m, EIFFEL, 1) > 0.5,
    },
    "1.3": {
        "at the end": lambda m: surest(m)["Paris"] < surest(m)["is"],
        "grammar": lambda m: 0 < surest(m)["is"] - surest(m)["capital"] < 0.1,
        "of": lambda m: (
            surest(m)["of"] == min(surest(m).values()) and top_next_tokens(m, "The capital of", 1)[0][0] == " the"
        ),
        "France": lambda m: (
            top_next_tokens(m, "The capital of France", 1)[0][0] == " is" and surest(m)["France"] < surest(m)["is"]
        ),
        "the start": lambda m: top_next_tokens(m, "The", 1)[0][0] == "-" and surest(m)["The"] < 0.5,
    },
    "1.4": {
        "a reader": lambda m: lone_digits(m) > 0.9,
        "some": lambda m: token_id(m, "Paris") != token_id(m, " Paris") and pieces(m, "of Paris") == ["of", " Paris"],
        "impossible": lambda m: rank(m, EIFFEL + " ", "Paris") < 200,
    },
    "1.5": {
        "the break of the pattern": lambda m: (
            1.7 < first_cost(m, "cat") / first_cost(m, "moon") < 2.1
            and first_cost(m, "moon") == max(cost for _, cost in bits(m)[14:])
        ),
        "the rhyme": lambda m: first_cost(m, "mat") < first_cost(m, "cat") / 3,
        "the verb": lambda m: sorted(cost for _, cost in bits(m)[:5])[-2] == first_cost(m, "sat"),
        "the stop": lambda m: max(cost for token, cost in bits(m) if token in (".", "on", "the")) < 3,
    },
    "1.7": {
        "a handful of cities": lambda m: top(m, EIFFEL, 10) < 0.9 and 0.6 < top(m, EIFFEL, 1) < 0.7,
        "a zoo": lambda m: (
            top(m, ANIMAL, 100) < 0.7
            and {" Big", " Blue", " unic"} <= {token for token, _ in top_next_tokens(m, ANIMAL, 40)}
        ),
        "nine tenths of the tokens": lambda m: top(m, ANIMAL, 1) > 0.1,
        "many": lambda m: top(m, EIFFEL, 100) > 0.9,
    },
    "1.9": {
        "the half that is asked for": lambda m: extra(m, moved(7)) < extra(m, WORDS[:7] + WORDS[10:] + WORDS[7:10]),
        "some more": lambda m: all(extra(m, moved(by)) < 3.5 for by in (1, 2, 3, 7)) and elsewhere(moved(1)) == 14,
        "nearly all": lambda m: elsewhere(moved(7)) == 14 and extra(m, moved(7)) < 3.5,
        "none": lambda m: extra(m, moved(7)) < extra(m, WORDS[::-1]) / 2,
    },
}


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("1", CLAIMS, TRUTHS)
