"""What is said of guesses in lesson 5, and the answers that it reveals."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch

from course_utils.steering import (
    BAD_WORDS,
    GLAD,
    GOOD_WORDS,
    SAD,
    concept_direction,
    concept_directions,
    odds_shift,
    slerp,
    steered_generate,
    steered_logits,
    word_ids,
)
from course_utils.tokens import token_id
from tests.claims.predicted import Claims, Truths, stored_answer, three_tests_of

MOVIE = "I think that this movie is"
BEGIN = "My friend wrote something about the river, the hills and the evening. It begins like this:"
VERSE = [
    "O silver moon above the silent sea",
    "The rose of morning weeps its dew upon the grass",
    "Soft falls the evening on the dreaming hills",
    "My heart, a bird that sings in winter's bough",
    "And golden leaves like whispers drift and die",
]
ENCYCLOPEDIA = [
    "The moon is the only natural satellite of the Earth",
    "The rose is a flowering plant of the genus Rosa",
    "Evening is the period between afternoon and night",
    "The heart is a muscular organ found in most animals",
    "Leaves are the principal organs of photosynthesis",
]
HELD_OUT = [
    "The weather today is", "My new job is", "In my opinion, the food was",
    "All in all, my holiday was", "The concert last night was", "I think that my neighbour is",
]  # fmt: skip
PLAIN_TEXT = """The bus stops at the corner|A kilo of rice costs two coins|My brother lives near the station
The report has nine pages|Please put the chair by the wall|The meeting begins at noon|We took the road to the coast
Her coat hangs in the hall|The lake is deep in the middle|They sell bread and milk|The engine needs new oil
He reads the paper in the morning|The map shows every street|Two boats lie in the harbour"""
PLAIN = PLAIN_TEXT.replace("\n", "|").split("|")


@cache
def cosine(model: Any, layer: int = 12) -> float:
    one = concept_direction(model, GLAD[:2], SAD[:2], layer)
    other = concept_direction(model, GLAD[2:], SAD[2:], layer)
    return float(torch.cosine_similarity(one, other, dim=0))


@cache
def unrelated(model: Any) -> torch.Tensor:
    """|cosine| of two directions from sentences that have nothing to do with each other, fifty times."""
    draw = torch.Generator().manual_seed(3)
    vectors = torch.stack([concept_direction(model, text, "The bridge was built of stone", 12) for text in PLAIN])
    found = []
    for _ in range(50):
        ten = vectors[torch.randperm(len(PLAIN), generator=draw)[:10]]
        one, other = ten[:2].mean(0) - ten[2:4].mean(0), ten[4:7].mean(0) - ten[7:10].mean(0)
        found.append(torch.cosine_similarity(one, other, dim=0).abs())
    return torch.stack(found)


@cache
def glad(model: Any) -> torch.Tensor:
    return concept_directions(model, GLAD, SAD)


@cache
def next_words(model: Any, strength: int) -> torch.Tensor:
    return steered_logits(model, MOVIE, 16, strength * glad(model)[16]).softmax(dim=-1)


def gain(model: Any, word: str, strength: int) -> tuple[float, float]:
    """A word's probability without and with the vector."""
    i = token_id(model, word)
    return float(next_words(model, 0)[i]), float(next_words(model, strength)[i])


def gains_most(model: Any, strength: int) -> str:
    return str(model.tokenizer.decode([int((next_words(model, strength) - next_words(model, 0)).argmax())]))


@cache
def texts(model: Any) -> tuple[str, str, str]:
    """Without the verse direction, with it, and with it at the prompt only."""
    verse = concept_directions(model, VERSE, ENCYCLOPEDIA)[12][None]
    ways = ((0.0, False), (1.0, False), (1.0, True))
    plain, steered, at_prompt = (
        steered_generate(model, BEGIN, 12, strength * verse, 28, only, repetition_penalty=1.2)[0]
        for strength, only in ways
    )
    return plain, steered, at_prompt


def lines(text: str) -> int:
    return text.strip().count("\n")


@cache
def noise(model: Any) -> torch.Tensor:
    """The shift of the log-odds by a hundred random directions, and last by the glad one, at equal length."""
    direction = glad(model)[16]
    vectors = torch.randn(100, len(direction), generator=torch.Generator().manual_seed(7))
    vectors = torch.nn.functional.normalize(vectors, dim=-1) * direction.norm()
    good, bad = word_ids(model, GOOD_WORDS), word_ids(model, BAD_WORDS)
    rows = torch.cat([vectors, direction[None]])
    return torch.stack([odds_shift(model, text, 16, rows, good, bad) for text in HELD_OUT]).mean(dim=0)


def expected_best(n: int) -> float:
    """Of n draws from a bell curve, in standard deviations, by two million draws."""
    draws = torch.randn(20_000, n, generator=torch.Generator().manual_seed(0))
    return float(draws.max(dim=1).values.mean())


def tail(deviations: float) -> float:
    return math.erfc(deviations / math.sqrt(2)) / 2


ONE, OTHER = torch.eye(8)[:2]

TRUTHS: Truths = {
    "5.1": cosine,
    "5.2": lambda m: (gains_most(m, 1), gains_most(m, -1)),
    "5.4": lambda m: "weaker" if texts(m)[2] != texts(m)[0] and lines(texts(m)[2]) < lines(texts(m)[1]) else "?",
    "5.7": lambda m: (math.sqrt(2), math.sqrt(0.5), 1),
}

CLAIMS: Claims = {
    "5.1": {
        "one concept, one direction": lambda m: cosine(m) < 0.5,
        "chance": lambda m: 0.05 < float(unrelated(m).mean()) < 0.15 < cosine(m),
        "half": lambda m: max(cosine(m, layer) for layer in (4, 12, 20)) < 0.45,
        "opposite": lambda m: cosine(m) > 0,
    },
    "5.2": {
        "praise": lambda m: (
            gain(m, " great", 1)[1] > gain(m, " great", 1)[0] and gain(m, " great", 1)[0] < 0.01
            and gains_most(m, 1) == " a"
            and m.tokenizer.decode([int(steered_logits(m, MOVIE + " a", 16, glad(m)[16]).argmax())]) == " great"
        ),
        "blame": lambda m: all(
            before < 0.001 and after > 10 * before for before, after in (gain(m, " terrible", -1), gain(m, " bad", -1))
        ),
        "going": lambda m: all(gain(m, word, 1)[1] < gain(m, word, 1)[0] for word in (" going", " about")),
    },
    "5.4": {
        "it has been read": lambda m: lines(texts(m)[1]) > lines(texts(m)[2]),
        "it was never there": lambda m: lines(texts(m)[2]) == 0 and texts(m)[2] != texts(m)[0],
        "half remembered": lambda m: texts(m)[2] not in texts(m)[:2],
    },
    "5.7": {
        "lengths add": lambda m: abs(float((ONE + OTHER).norm()) - math.sqrt(2)) < 1e-5,
        "the mean keeps": lambda m: float(((ONE + OTHER) / 2).norm()) < 0.8,
        "the mean cancels": lambda m: abs(float(((ONE + OTHER) / 2).norm()) - math.sqrt(0.25 + 0.25)) < 1e-5,
        "the arc as the mean": lambda m: all(
            abs(float(slerp(ONE, OTHER, t).norm()) - 1) < 1e-5 for t in (0.1, 0.25, 0.5, 0.9)
        ),
    },
    "5.10": {
        "as good as glad": lambda m: (
            0.4 < float(noise(m)[:-1].std()) < 0.65 and float(noise(m)[-1]) > 5 * float(noise(m)[:-1].std())
            and 1 / tail(5) > 1e6
        ),
        "a little more": lambda m: abs(expected_best(60) - expected_best(40) - 0.16) < 0.02,
        "nothing": lambda m: expected_best(60) > 2 and (1 - tail(1)) ** 60 < 1e-4,
    },
}  # fmt: skip


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("5", CLAIMS, TRUTHS)


def test_the_best_of_sixty_is_what_the_lesson_prints_above() -> None:
    """5.10 hangs on the lesson's own draw; a hundred others are measured above."""
    assert stored_answer("5.10") == "◇ 5.10 The answer: 1. (No guess.)"
