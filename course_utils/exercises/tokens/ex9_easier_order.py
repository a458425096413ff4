"""Exercise 1.9: break the claim that order is what the model knows."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.forms import TEXTS
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.model.prompts import token_ids
from course_utils.tokens import easier_order

if TYPE_CHECKING:
    from nnsight import TransformersModel

SENTENCES = (
    "The city council voted on Tuesday to repair the old bridge before the winter",
    "My grandmother baked a large apple cake for the whole family last Sunday",
    "The train to the north was late because of heavy snow on the line",
    "He put the letter into his pocket and walked slowly back to the house",
)
N_SHUFFLES = 3


def _sentences(rng: random.Random) -> list[Case]:
    return [
        Case(f"the words of sentence {number}", (Model(), sentence, rng.randrange(10_000)))
        for number, sentence in enumerate(rng.sample(SENTENCES, 2), start=1)
    ]


def _measured(answer: Any, model: TransformersModel, sentence: str, seed: int) -> dict[str, bool]:
    """What the order must be, for each property whether it is."""
    words = sentence.split()
    order = answer(model, list(words))
    same = isinstance(order, list) and sorted(map(str, order)) == sorted(words)
    moved = same and sum(a != b for a, b in zip(order, words, strict=True)) >= len(words) / 2
    easier = False
    if moved:
        source = random.Random(seed)
        shuffles = [source.sample(words, len(words)) for _ in range(N_SHUFFLES)]
        own, in_order, *shuffled = _costs(model, [order, words, *shuffles])
        easier = own - in_order < (sum(shuffled) / N_SHUFFLES - in_order) / 2
    return {
        "the same words": same,
        "half of them elsewhere": moved,
        "less than half as much dearer as a shuffle": easier,
    }


def _costs(model: TransformersModel, orders: list[Any]) -> list[float]:
    """Bits a token of each order, behind a line break and without the first token's, from one run for all."""
    front = token_ids(model, "\n")
    rows = [token_ids(model, " ".join(order) + ".") for order in orders]
    with model.trace([front + row for row in rows]):  # padded on the left
        logits = model.output.logits.save()  # (order, position, vocabulary)
    costs = []
    for row, scores in zip(rows, logits, strict=True):
        chosen = scores[-len(row) : -1].log_softmax(dim=-1).cpu().gather(1, torch.tensor(row[1:])[:, None])
        costs.append(-float(chosen.mean()) / math.log(2))
    return costs


# What learners do instead.


def _as_it_was(model: TransformersModel, words: list[str]) -> list[str]:
    return words


def _backwards(model: TransformersModel, words: list[str]) -> list[str]:
    return words[::-1]


def _shorter(model: TransformersModel, words: list[str]) -> list[str]:
    return words[len(words) // 2 :]


EXERCISE = Exercise(
    id="1.9",
    title="Break our claim",
    minutes=20,
    points=3,
    difficulty=2,
    reference=easier_order,
    drive=_measured,
    returns=TEXTS,
    draw=_sentences,
    shows="No word stands where it stood, and it costs little: what a shuffle destroys is who stands next to whom.",
    hints=(
        Hint(
            "what a shuffle takes away",
            "A shuffle moves the words *and* parts all neighbours. Can you do the one without the other?",
        ),
        Hint("a few parts", "Cut the sentence into two parts and exchange them: `words[k:] + words[:k]`."),
        Hint(
            "where to cut",
            'Try every k and keep the cheapest: `settled_surprisals(model, " ".join(order) + ".").mean()`.',
        ),
    ),
    mistakes=(
        Mistake(
            "too few words moved",
            _as_it_was,
            "Most words stand where they stood. At least half of them must stand elsewhere.",
        ),
        Mistake(
            "as dear as a shuffle",
            _backwards,
            "Your order costs about what a shuffle costs. Think of what a shuffle does to neighbours.",
        ),
        Mistake(
            "not the same words",
            _shorter,
            "The order must have the words that came, each as often as it came.",
        ),
    ),
)
