"""What a check says of wrong values that no exercise knows: how they come of the right ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils.exercises import Case, Exercise, attempt, judge, messages
from course_utils.exercises.messages import say
from course_utils.exercises.relations import relation
from course_utils.exercises.values import freeze

AXES = ("layer", "position")


def table(seed: int = 0, rows: int = 4, columns: int = 5) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 3


def told(turn: Callable[[Any], Any], *values: Any, axes: tuple[str, ...] = AXES) -> str:
    """What is said where each value is turned; of two tables unless others are given."""
    pairs = [(freeze(value), freeze(turn(value))) for value in values or (table(1), table(2, 3, 6))]
    return relation(pairs, axes)


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (torch.neg, messages.OTHER_SIGN),
        (torch.abs, messages.SIGN_LOST),
        (lambda x: x / math.log(10), messages.BASE_10_FOR_NATURAL),
        (lambda x: x / math.log(2), messages.BASE_2_FOR_NATURAL),
        (lambda x: x * math.log(2), messages.NATURAL_FOR_BASE_2),
        (lambda x: x * math.log10(2), messages.BASE_10_FOR_BASE_2),
        (torch.rad2deg, messages.DEGREES_FOR_RADIANS),
        (torch.exp, messages.LOGARITHM_MISSING),
        (lambda x: x.softmax(-1), messages.SOFTMAX_TOO_MANY),
        (torch.square, messages.SQUARED),
        (lambda x: x / x.norm(dim=-1, keepdim=True), messages.MADE_OF_LENGTH_1),
        (lambda x: x / x.sum(dim=-1, keepdim=True), messages.MADE_TO_SUM_TO_1),
        (lambda x: x / 6, messages.MEAN_FOR_SUM),
        (lambda x: x * 6, messages.SUM_FOR_MEAN),
        (lambda x: x * 1.37, messages.OFF_BY_A_FACTOR),
        (lambda x: x + 1.37, messages.OFF_BY_A_NUMBER),
        (lambda x: x.T, say(messages.AXES_EXCHANGED, one="layer", other="position")),
        (lambda x: x.flip(0), say(messages.TURNED_AROUND, axis="layer")),
        (lambda x: x[1:], say(messages.FIRST_MISSING, axis="layer")),
        (lambda x: x[:, :-1], say(messages.LAST_MISSING, axis="position")),
        (lambda x: x[0], say(messages.FIRST_ALONE, axis="layer")),
        (lambda x: x[:, -1], say(messages.LAST_ALONE, axis="position")),
        (lambda x: x.mean(0), say(messages.AVERAGED_OVER, axis="layer")),
        (lambda x: x.sum(1), say(messages.SUMMED_OVER, axis="position")),
        (lambda x: x.roll(-1, 1), say(messages.ONE_TOO_FAR, axis="position")),
        (lambda x: x.roll(1, 0), say(messages.ONE_TOO_EARLY, axis="layer")),
        (lambda x: x.cumsum(1), say(messages.SUMMED_UP, axis="position")),
        (lambda x: x[None], messages.AXIS_IN_FRONT),
        (lambda x: x[..., None], messages.AXIS_AT_THE_END),
    ],
)
def test_relation_is_told_and_right_values_have_none(turn: Callable[[Any], Any], says: str) -> None:
    assert told(turn) == says
    assert (
        told(lambda x: turn(x) + 0.1 * table(9, *turn(x).shape[-2:] if turn(x).ndim > 1 else (1, len(turn(x))))) == ""
    )
    assert told(lambda x: x) == ""


def test_what_needs_numbers_of_one_kind() -> None:
    positive = [table(seed).exp() for seed in (1, 2)]
    assert told(torch.log, *positive) == messages.LOGARITHM_TOO_MANY
    assert told(torch.sqrt, *positive) == messages.ROOT_TAKEN
    assert told(lambda x: x.log() + 3, *(value.softmax(-1) for value in positive)) == messages.SOFTMAX_MISSING
    depths = [torch.tensor([3, 0, 2]), torch.tensor([1, 5])]
    assert told(lambda x: x + 1, *depths) == messages.ONE_TOO_MANY
    assert told(lambda x: x - 1, *depths) == messages.ONE_TOO_FEW
    ids = torch.tensor([40_000, 41_007])
    assert told(lambda x: x + 1, ids) == messages.ONE_TOO_MANY, "an id is the next one, or it is right"


def test_numbers_lists_and_dictionaries_are_looked_into() -> None:
    assert told(lambda x: -x, 2.5, -0.5, axes=()) == messages.OTHER_SIGN
    assert told(lambda x: x / len("abc"), -6.0, -4.5, axes=()) == messages.MEAN_FOR_SUM
    assert told(lambda x: x[::-1], [3, 5, 8], [2, 9], axes=("place",)) == say(messages.TURNED_AROUND, axis="place")
    one = {"top_ids": torch.tensor([4, 7]), "entropy": torch.tensor([1.5, 0.3])}
    assert told(lambda x: {**x, "entropy": x["entropy"] / math.log(2)}, one) == messages.BASE_2_FOR_NATURAL
    named = [{"token": " a", "logit": torch.tensor([1.0, 2.5])}, {"token": " b", "logit": torch.tensor([-1.0, 3.0])}]
    assert told(lambda x: [{**item, "logit": -item["logit"]} for item in x], named) == messages.OTHER_SIGN
    assert told(lambda x: [{**item, "token": "c"} for item in x], named) == "", "a text comes of a text in no such way"


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (lambda x: x[1:], messages.FIRST_MISSING),
        (lambda x: x[:-1], messages.LAST_MISSING),
        (lambda x: x[::-1], messages.TURNED_AROUND),
        (lambda x: [7, *x], messages.ONE_IN_FRONT),
        (lambda x: [*x, 7], messages.ONE_AT_THE_END),
    ],
)
def test_a_list_has_one_too_few_or_too_many(turn: Callable[[Any], Any], says: str) -> None:
    values = [3, 5, 8], [1, 2]
    assert told(turn, *values, axes=("token",)) == say(says, axis="token")
    named = [{"top": ["a", "b"]}, {"top": ["c", "d"]}, {"top": ["e", "f"]}]
    if "one {axis}" not in says:
        assert told(turn, named, axes=()) == say(says, axis=messages.ENTRY)
    assert told(lambda x: [9, *turn(x)[1:], 9], *values, axes=("token",)) == ""


def test_an_axis_may_have_one_place_in_some_case() -> None:
    assert told(lambda x: x.sum(1), table(1), table(2, 4, 1)) == say(messages.SUMMED_OVER, axis="position")


def test_it_must_hold_in_every_case() -> None:
    right = [table(1), table(2)]
    pairs = [(freeze(right[0]), freeze(-right[0])), (freeze(right[1]), freeze(right[1].abs()))]
    assert relation(pairs[:1], AXES) == messages.OTHER_SIGN and relation(pairs[1:], AXES) == messages.SIGN_LOST
    assert relation(pairs, AXES) == ""


def test_one_number_alone_proves_nothing() -> None:
    assert told(lambda x: -x, 2.5, axes=()) == ""


def test_odd_values_are_passed_over() -> None:
    for odd in (None, "text", True, [True, False], torch.tensor([True, False]), object(), [[1.0], "a"], float("nan")):
        assert relation([(freeze(table()), freeze(odd))], AXES) == ""
        assert relation([(freeze(odd), freeze(table()))], AXES) == ""
    empty = torch.zeros(0, 5)
    assert relation([(freeze(table()), freeze(empty)), (freeze(empty), freeze(table()))], AXES) == ""
    assert told(lambda x: x * float("nan")) == ""
    assert told(lambda x: torch.zeros_like(x)) == ""


def test_what_only_looks_like_a_relation_is_not_told() -> None:
    negative = -table().abs() - 1
    assert told(lambda x: x * float("nan"), negative, -negative) == ""  # no logarithm, though that of -1 is none either
    assert told(lambda x: x * 0, negative * 50) == ""  # not e to the power, though that is nearly 0
    assert told(lambda x: torch.tensor([7.0, 7.0, 7.0, 0.0]), torch.full((4,), 7.0), axes=("position",)) == ""
    assert told(lambda x: x[0], table(1, 1, 5)) == ""  # complete: the axis had one place
    assert told(lambda x: torch.tensor([4500.0, 2.9, 0.5, -1.0]), torch.tensor([3000.0, 1.0, 2.0, 1.5]), axes=()) == ""
    assert told(lambda x: torch.tensor([3005.0, 7.0, 6.0, 6.7]), torch.tensor([3000.0, 1.0, 2.0, 1.5]), axes=()) == ""


def test_a_check_says_it_after_what_the_exercise_knows_itself() -> None:
    def double(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def own_word(case: Case, expected: Any, got: Any) -> str | None:
        return "The exercise's own word." if case.label == "known" else None

    def said(label: str) -> str:
        exercise = Exercise(
            "9.1", "", 1, 3, 1, double, "", (), draw=lambda rng: [Case(label, (table(),))], diagnose=own_word
        )
        return judge(exercise, attempt(exercise, lambda x: -2 * x, 1), 1).message

    assert said("known").endswith("The exercise's own word.")
    assert said("unknown").endswith(messages.OTHER_SIGN)
