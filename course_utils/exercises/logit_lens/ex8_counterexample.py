"""Exercise 4.8: break the claim that attention 23 is not needed for the city."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from course_utils.exercises.forms import TEXT
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.logit_lens import LANDMARKS, ablate_parts, counterexample
from course_utils.model.prompts import token_ids

if TYPE_CHECKING:
    from nnsight import TransformersModel

FRAMES = (
    "{} is in the city of",
    "{} stands in the city of",
    "{} can be seen in the city of",
    "As everybody knows, {} is in the city of",
    "{} is one of the sights of the city of",
)


def _frames(rng: random.Random) -> list[Case]:
    return [Case(f"sentence {number}", (Model(), frame)) for number, frame in enumerate(rng.sample(FRAMES, 2), start=1)]


def _measured(answer: Any, model: TransformersModel, frame: str) -> dict[str, bool]:
    """What the landmark must be, for each property whether it is."""
    landmark = answer(model, frame)
    named = isinstance(landmark, str) and 0 < len(landmark) < 60 and "city of" not in landmark
    other = named and LANDMARKS[0].removeprefix("The ") not in landmark
    decided = unsaid = stays = falls = False
    if other:
        logits = ablate_parts(model, frame.format(landmark), [2 * 22 + 1, 2 * 23 + 1])
        city, without_22, without_23 = logits.argmax(dim=-1).tolist()
        decided = float(logits[0].softmax(dim=-1)[city]) >= 0.1
        unsaid = city not in token_ids(model, f" {landmark}")
        stays, falls = decided and without_22 == city, decided and without_23 != city
    return {
        "a landmark's name": named,
        "another than the Eiffel Tower": other,
        "the model gives its city 0.1": decided,
        "its name does not say the city": unsaid,
        "the city stays without attention 22": stays,
        "it falls without attention 23": falls,
    }


# What learners do instead.


def _the_same(model: TransformersModel, frame: str) -> str:
    return LANDMARKS[0]


def _stays(model: TransformersModel, frame: str) -> str:
    return LANDMARKS[-1]


def _undecided(model: TransformersModel, frame: str) -> str:
    return "The old brown house"


def _says_the_city(model: TransformersModel, frame: str) -> str:
    return "The house of my uncle in Prague"


def _whole_sentence(model: TransformersModel, frame: str) -> str:
    return frame.format(LANDMARKS[1])


EXERCISE = Exercise(
    id="4.8",
    title="Break our claim",
    minutes=15,
    points=3,
    difficulty=2,
    reference=counterexample,
    drive=_measured,
    returns=TEXT,
    draw=_frames,
    shows="What one prompt said of a layer, another unsays: silence it after several before you call it idle.",
    hints=(
        Hint(
            "one trial",
            "`ablate_parts(model, frame.format(landmark), [45, 47])` gives three rows of logits: untouched, without "
            "attention 22 (part 2 * 22 + 1), without attention 23. `.argmax(dim=-1)` is the first token of each.",
        ),
        Hint(
            "where to look",
            "The Eiffel Tower is among the best known sights on Earth. Take some that are a little less so, of which "
            "the model still knows the city.",
        ),
        Hint(
            "from a list to one",
            "Go through a list of landmarks, and return the first that fulfils all conditions under this frame.",
        ),
    ),
    mistakes=(
        Mistake(
            "the claim's own landmark",
            _the_same,
            "The claim was made of the Eiffel Tower: look for another landmark.",
        ),
        Mistake(
            "whole sentence",
            _whole_sentence,
            "You returned a sentence: the landmark's name alone was asked for, it is put into the frame for you.",
        ),
        Mistake(
            "says the city",
            _says_the_city,
            "The city stands in the name itself: the model has only to copy it. Take a landmark of which it has to "
            "know the city.",
        ),
        Mistake(
            "undecided",
            _undecided,
            "The model does not know where this is: it gives no city 0.1. What it does not say cannot fall.",
        ),
        Mistake(
            "stays",
            _stays,
            "After yours the model names the same city without attention 23: it speaks for the claim. Measure before "
            "you return it.",
        ),
    ),
)
