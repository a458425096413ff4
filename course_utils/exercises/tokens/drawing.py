"""The inputs that several exercises of lesson 1 draw."""

from __future__ import annotations

import random

from course_utils.exercises.drawing import PLACES, text, tiny_pair, told
from course_utils.exercises.protocol import Case, Model


def texts(rng: random.Random) -> list[Case]:
    """A text for two tiny models and a true sentence for the lesson's own."""
    place, city = rng.choice(PLACES)
    sentence = f"{place} is in {city}, and the {text(rng, 3).lower()}."
    return [
        *(Case(told(model), (model, text(rng, rng.randint(5, 9)))) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), sentence)),
    ]
