"""Wrong answers to exercise 7.2."""

from __future__ import annotations

from course_utils.circuits import sent
from course_utils.model.anatomy import anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.residual import residual_stream
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES, ids


def direction(model, answers):
    weight = anatomy(model).unembedding.weight
    first, second = ids(model, answers)
    return weight[first] - weight[second]


def second_minus_first(model, clean, corrupted, layer, head, answers=NAMES):
    frozen = frozen_norm(model, residual_stream(model, corrupted)[-1, -1])
    return float(frozen(sent(model, clean, corrupted, layer, head)[-1]) @ direction(model, answers[::-1]))


def to_the_clean_prompt(model, clean, corrupted, layer, head, answers=NAMES):
    frozen = frozen_norm(model, residual_stream(model, corrupted)[-1, -1])
    return float(frozen(sent(model, corrupted, clean, layer, head)[-1]) @ direction(model, answers))


def straight_into_the_unembedding(model, clean, corrupted, layer, head, answers=NAMES):
    return float(direction(model, answers) @ sent(model, clean, corrupted, layer, head)[-1])


def through_the_norm_itself(model, clean, corrupted, layer, head, answers=NAMES):
    normed = anatomy(model).normalise(sent(model, clean, corrupted, layer, head)[-1])
    return float(normed @ direction(model, answers))


def over_all_tokens(model, clean, corrupted, layer, head, answers=NAMES):
    frozen = frozen_norm(model, residual_stream(model, corrupted)[-1, -1])
    return float((frozen(sent(model, clean, corrupted, layer, head)) @ direction(model, answers)).sum())


def with_the_clean_divisor(model, clean, corrupted, layer, head, answers=NAMES):
    frozen = frozen_norm(model, residual_stream(model, clean)[-1, -1])
    return float(frozen(sent(model, clean, corrupted, layer, head)[-1]) @ direction(model, answers))


WRONG = [
    Wrong("7.2", with_the_clean_divisor, "the clean run's divisor"),
    Wrong("7.2", second_minus_first, "turned around"),
    Wrong("7.2", to_the_clean_prompt, "turned around"),
    Wrong("7.2", straight_into_the_unembedding, "without the norm"),
    Wrong("7.2", through_the_norm_itself, "the change normed alone"),
    Wrong("7.2", over_all_tokens, "all positions"),
]
