"""Exercise 3.6: one prefix, many endings."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from course_utils.exercises.drawing import PLACES, one_token, text, tiny, tiny_pair, told
from course_utils.exercises.forms import NUMBERS
from course_utils.exercises.passes import TokensRead, logits_of
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.kv_cache import encode, new_cache, score_endings


def _cases(rng: random.Random) -> list[Case]:
    cases = []
    for model in tiny_pair(rng):
        endings = [" " + text(rng, n).lower() for n in rng.sample((2, 3, 4), 3)]
        cases.append(Case(told(model), (model, text(rng, 14), endings)))
    place, _ = rng.choice(PLACES)
    endings = [f" {city}, in {rng.choice(('spring', 'summer', 'winter'))}" for _, city in rng.sample(PLACES, 2)]
    prefix = f"I wrote to my friend that we should meet in front of it. {place} is in the city of"
    model = tiny(rng, "tiny-llama")
    one, other = one_token(rng), f" {text(rng, 2).lower()}"
    return [
        *cases,
        Case(told(Model()), (Model(), prefix, endings)),
        Case("endings of one token and of several", (model, text(rng, 4), [one, other, one])),
        # Taken together, the space and the word behind it are one token.
        Case("a prefix that ends in a space", (model, f"{text(rng, 4)} ", [one.strip(), other.strip()])),
        Case("no ending", (model, text(rng, 4), []), raises=True),
        Case("an empty ending", (replace(model, begins=False), text(rng, 4), [one, ""]), raises=True),
        Case("an empty prefix", (replace(model, begins=False), "", [one]), raises=True),
    ]


def _use(answer: Any, model: Any, prefix: str, endings: list[str]) -> dict[str, Any]:
    with TokensRead(model) as read:
        scores = answer(model, prefix, list(endings))
    # All endings as one padded batch are allowed too; the prefix a second time is not.
    longest = max(encode(model, ending, beginning=False).shape[1] for ending in endings)
    once = encode(model, prefix).shape[1] + longest * len(endings)
    return {"log-probabilities": scores, "the prefix is read once": sum(read.passes) <= once}


# What learners do instead. First in the scores of endings that were read as they should be.


@dataclass(frozen=True)
class _Read:
    """An ending's ids (1, position), and logits (position, vocabulary): the last of the prefix's, and its own."""

    ids: torch.Tensor
    after_prefix: torch.Tensor
    after_ending: torch.Tensor

    @property
    def predictions(self) -> torch.Tensor:
        """The logits that predict each token of the ending."""
        return torch.cat([self.after_prefix, self.after_ending[:-1]])

    @property
    def log_probabilities(self) -> torch.Tensor:
        """Of each token of the ending."""
        return self.picked(self.predictions.log_softmax(-1))

    def picked(self, of_all: torch.Tensor) -> torch.Tensor:
        """Of numbers (position, vocabulary) those of the ending's tokens."""
        return of_all.gather(1, self.ids.T)[:, 0]


def _read(model: Any, prefix: str, endings: Sequence[str], clean: bool = True) -> Iterator[_Read]:
    """Read the prefix once, then each ending. ``clean``: take each ending off the cache again."""
    cache = new_cache(model)
    after_prefix = logits_of(model, encode(model, prefix), cache)[-1:]
    for ending in endings:
        ids = encode(model, ending, beginning=False)
        yield _Read(ids, after_prefix, logits_of(model, ids, cache))
        if clean:
            cache.crop(-ids.shape[1])


def _own_logits(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.picked(one.after_ending.log_softmax(-1)).sum()) for one in _read(model, prefix, endings)]


def _first_left_out(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.log_probabilities[1:].sum()) for one in _read(model, prefix, endings)]


def _only_first(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.log_probabilities[0]) for one in _read(model, prefix, endings)]


def _mean(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.log_probabilities.mean()) for one in _read(model, prefix, endings)]


def _sum_of_logits(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.picked(one.predictions).sum()) for one in _read(model, prefix, endings)]


def _probability(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [math.exp(one.log_probabilities.sum()) for one in _read(model, prefix, endings)]


# Then those in what is read.


def _endings_in_cache(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [float(one.log_probabilities.sum()) for one in _read(model, prefix, endings, clean=False)]


def _prefix_read_again(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    return [score for ending in endings for score in score_endings(model, prefix, [ending])]


def _without_prefix(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
    after_prefix = logits_of(model, encode(model, prefix))[-1:]
    all_ids = [encode(model, ending, beginning=False) for ending in endings]
    return [float(_Read(ids, after_prefix, logits_of(model, ids)).log_probabilities.sum()) for ids in all_ids]


EXERCISE = Exercise(
    id="3.6",
    title="One prefix, many endings",
    minutes=20,
    points=4,
    difficulty=3,
    reference=score_endings,
    drive=_use,
    returns=NUMBERS,
    draw=_cases,
    shows="The prefix was read once, and no ending saw another.",
    hints=(
        Hint(
            "keep the prefix clean",
            "Run the prefix once with `cache = new_cache(model)`. A run adds to the cache that it is given: give each "
            "ending a `copy.deepcopy(cache)`, or take its n tokens off again with `cache.crop(-n)`.",
        ),
        Hint(
            "which logits predict what",
            "The first token of every ending is predicted by the prefix's last logits, so keep them. The ending's own "
            "logits predict its second token and so on; its last ones predict nothing that we ask for.",
        ),
        Hint(
            "the score",
            "An ending of n tokens is scored by the prefix's last logits and its own first n - 1: `torch.cat`, "
            "`log_softmax(-1)`, `gather`, sum.",
        ),
    ),
    mistakes=(
        Mistake(
            "endings see each other",
            _endings_in_cache,
            "From the second ending on, the cache also holds the endings before it: copy the prefix's cache, or crop "
            "it again.",
        ),
        Mistake(
            "the prefix read again",
            _prefix_read_again,
            "The values are right, but the prefix is read again for every ending. Run it once, and share its cache.",
        ),
        Mistake(
            "endings without the prefix",
            _without_prefix,
            "The endings were run with an empty cache: past their first token, they never saw the prefix.",
        ),
        Mistake(
            "token scored by its own logits",
            _own_logits,
            "Logits predict the next token: a token's score stands one position before it, the first one's at the "
            "prefix's end.",
        ),
        Mistake(
            "first token left out",
            _first_left_out,
            "The first token of each ending is not scored: the prefix's last logits predict it.",
        ),
        Mistake(
            "only the first token",
            _only_first,
            "Only the first token of each ending is scored: add those of the others.",
        ),
        Mistake(
            "mean, not sum",
            _mean,
            "This is the mean over the tokens; the log-probability of all of them is the sum.",
        ),
        Mistake(
            "logits, not log-probabilities",
            _sum_of_logits,
            "These are sums of logits: take log_softmax over the vocabulary first.",
        ),
        Mistake(
            "probability, not its logarithm",
            _probability,
            "These are probabilities; return their natural logarithms.",
        ),
    ),
)
