"""Right answers to exercise 2.4."""

from __future__ import annotations

from course_utils.residual import word_similarity

OWN = (
    "After years of bad luck the actor got his big break",
    "We have worked for three hours, so let us take a break",
    "If you drop the glass on the floor, it will break",
)


def distance(model, sentence, own):
    return abs(float(word_similarity(model, sentence, own, " break")[15]) - 0.75)


def the_nearest_to_the_middle(model, sentence):
    return min(OWN, key=lambda own: distance(model, sentence, own))


def the_first_that_fits(model, sentence):
    return next(own for own in reversed(OWN) if distance(model, sentence, own) < 0.05)


def with_more_behind_it(model, sentence):
    fits = [own for own in (f"{text}, they said." for text in OWN) if distance(model, sentence, own) < 0.05]
    return fits[-1]


RIGHT = [the_nearest_to_the_middle, the_first_that_fits, with_more_behind_it]
