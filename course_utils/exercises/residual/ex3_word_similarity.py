"""Exercise 2.3: one word, several senses."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.drawing import ONE_TOKEN, SEVERAL_TOKENS, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import models
from course_utils.model.prompts import token_ids
from course_utils.residual import residual_stream, word_position, word_similarity

if TYPE_CHECKING:
    from nnsight import TransformersModel


WITHIN_ANOTHER = (
    ("word", "words"), ("work", "works"), ("name", "named"), ("call", "called"), ("love", "loved"), ("hate", "hated"),
    ("say", "says"), ("think", "thinks"), ("give", "gives"), ("feel", "feels"), ("like", "likes"),
)  # fmt: skip
"""A word and another that has it in it: each one token with a space before it, for the tiny models' tokenizer and for
SmolLM2's."""


def _on_word_pairs(rng: random.Random) -> list[Case]:
    cases = []
    for model in models(rng):
        word, longer = rng.choice(WITHIN_ANOTHER)
        others = rng.sample(ONE_TOKEN, 13)
        # The word stands at another place in each prompt, also when counted from the end, never in the middle.
        before, after = rng.sample([(2, 3), (4, 2), (3, 5), (5, 3)], 2)
        prompts: list[str] = []
        for n_before, n_after in (before, after):
            around = [others.pop() for _ in range(2)]
            filler = rng.choices(around, k=n_before - 1), rng.choices(others, k=n_after)
            # The longer word stands before it in the first prompt, and behind it in the second.
            filler[bool(prompts)][0] = longer
            # A word of several tokens before it, so that its place among the words is not that among the tokens.
            prompts.append(" ".join([rng.choice(SEVERAL_TOKENS), *filler[0], word, *filler[1]]))
        cases.append(Case(told(model), (model, *prompts, f" {word}")))
    return cases


# What learners do instead.


def _similarity_at_the_place_among_words(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    return _pair_at(model, first, second, *(prompt.split().index(word.strip()) for prompt in (first, second)))


def _pair_at(model: TransformersModel, first: str, second: str, here: int, there: int) -> torch.Tensor:
    return torch.cosine_similarity(
        residual_stream(model, first)[:, here], residual_stream(model, second)[:, there], dim=-1
    )


def _similarity_within_another(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    texts = [[model.tokenizer.decode([id]) for id in token_ids(model, prompt)] for prompt in (first, second)]
    places = [next(at for at, token in enumerate(tokens) if word.strip() in token) for tokens in texts]
    return _pair_at(model, first, second, *places)


def _similarity_at_the_end(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    return _pair_at(model, first, second, -1, -1)


def _similarity_at_one_position(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    here = word_position(model, first, word)
    return _pair_at(model, first, second, here, min(here, len(token_ids(model, second)) - 1))


def _similarity_from_the_end(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    places = [-1 - word_position(model, prompt, word) for prompt in (first, second)]
    return _pair_at(model, first, second, *places)


def _dot_product(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    one = residual_stream(model, first)[:, word_position(model, first, word)]
    other = residual_stream(model, second)[:, word_position(model, second, word)]
    return (one * other).sum(dim=-1)


def _similarity_of_means(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    one, other = (residual_stream(model, prompt).mean(dim=1) for prompt in (first, second))
    return torch.cosine_similarity(one, other, dim=-1)


EXERCISE = Exercise(
    id="2.3",
    title="One word, several senses",
    minutes=15,
    points=3,
    difficulty=2,
    reference=word_similarity,
    shows="At depth 0 the word is the same vector everywhere; from there on its context tells the senses apart.",
    hints=(
        Hint(
            "where to look",
            "`word_position(model, prompt, word)` is where the word stands; it is another place in each prompt.",
        ),
        Hint(
            "the word's vectors",
            "`residual_stream(model, first)[:, position]` is the word's vector at each depth, (depth, width).",
        ),
        Hint("nearly there", "`torch.cosine_similarity(one, other, dim=-1)` compares them depth by depth."),
    ),
    draw=_on_word_pairs,
    axes=("depth",),
    mistakes=(
        Mistake(
            "place among the words",
            _similarity_at_the_place_among_words,
            "You counted words. A word may be several tokens, and some tokenizers put one in front: look for the "
            "word's id among the token ids.",
        ),
        Mistake(
            "within another word",
            _similarity_within_another,
            "You took the first token that has the word in it, and that may be another word: ' words' has ' word' in "
            "it. Compare whole tokens with ==, or their ids.",
        ),
        Mistake(
            "last position",
            _similarity_at_the_end,
            "You compare the last tokens of the prompts. The word stands elsewhere: ask word_position.",
        ),
        Mistake(
            "one position for both",
            _similarity_at_one_position,
            "You read both prompts at the place where the word stands in the first. Find it in each.",
        ),
        Mistake(
            "position from the wrong end",
            _similarity_from_the_end,
            "Your position is counted from the end of the prompt; word_position counts from its start.",
        ),
        Mistake(
            "dot product",
            _dot_product,
            "This is the dot product. Divide it by both vectors' norms: the stream grows with depth, and with it the "
            "dot product.",
        ),
        Mistake(
            "mean over positions",
            _similarity_of_means,
            "You compare the prompts' mean vectors. Take the one position where the word stands.",
        ),
    ),
)
