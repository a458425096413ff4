"""Exercise 2.4: write a "break" of your own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.forms import TEXT
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id, token_ids
from course_utils.residual import another_break, word_position

if TYPE_CHECKING:
    from nnsight import TransformersModel

GIVEN = (
    "Be careful with the old vase, because it may break",
    "After the long meeting everyone needed a coffee break",
    "There are rules here that nobody is allowed to break",
    "The branch was thin, and under his weight it would break",
    "The players were tired, and at half past ten there was a break",
    "The water ran out of the pipe, where we found a break",
)


def _sentences(rng: random.Random) -> list[Case]:
    return [
        Case(f"sentence {number}", (Model(), sentence)) for number, sentence in enumerate(rng.sample(GIVEN, 2), start=1)
    ]


def _measured(answer: Any, model: TransformersModel, sentence: str) -> dict[str, bool]:
    """What the sentence must be, for each property whether it is."""
    own = answer(model, sentence)
    once = isinstance(own, str) and token_ids(model, own).count(token_id(model, " break")) == 1
    cosine = _cosine(model, sentence, own) if once else float("nan")
    return {"' break' stands in it once": once, "at least 0.7": cosine >= 0.7, "at most 0.8": cosine <= 0.8}


def _cosine(model: TransformersModel, first: str, second: str) -> float:
    """At depth 15, from runs that stop there."""
    vectors = []
    for text in (first, second):
        with model.trace([token_ids(model, text)]) as tracer:
            vectors.append(anatomy(model).layers[14].output[0, word_position(model, text, " break")].save())
            tracer.stop()
    return float(torch.cosine_similarity(vectors[0], vectors[1], dim=0))


# What learners do instead.


def _the_same(model: TransformersModel, sentence: str) -> str:
    return sentence


def _other_start(model: TransformersModel, sentence: str) -> str:
    return "break the ice"


def _far(model: TransformersModel, sentence: str) -> str:
    return " break it"


EXERCISE = Exercise(
    id="2.4",
    title="Write a break of your own",
    minutes=15,
    points=3,
    difficulty=2,
    reference=another_break,
    drive=_measured,
    returns=TEXT,
    draw=_sentences,
    shows="A cosine of 0.75 is a place on a scale that you have now walked on: you know what lies above and below it.",
    hints=(
        Hint(
            "a list of your own",
            "Write six or more sentences with the word, in as many senses, parts of speech and run-ups as you can.",
        ),
        Hint("which one", "`word_similarity(model, sentence, own, ' break')[15]` is the cosine at depth 15."),
        Hint("nearly there", "Return the sentence of your list whose cosine is nearest to 0.75."),
    ),
    mistakes=(
        Mistake(
            "too alike",
            _the_same,
            "Yours is above 0.8. Change the part of speech or the words before it, not only the sense.",
        ),
        Mistake(
            "too unlike",
            _far,
            "Yours is below 0.7. Come nearer: the same part of speech, or the same words before it.",
        ),
        Mistake(
            "not once",
            _other_start,
            "The token ' break', with its space, must stand in your sentence exactly once.",
        ),
    ),
)
