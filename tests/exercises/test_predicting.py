"""The forms of a guess: what is read, how it is shown, how far off it is told, and which remark is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from course_utils.exercises.guess_kinds import Choice, Kind, Number, Several, Token, Unreadable
from course_utils.exercises.predicting import Guess, Prediction

COUNT = Number(1, 100, near=2, unit=" tokens")
ONE = Number(1, 100, near=0, unit=" entries")
SIZE = Number(1, 1e9, near=2, figures=2, unit=" times", factors=True)
WHICH = Choice(("the vase", "the coffee", "equally near"))
BOTH = Several((Token(), Number(0, 1, near=0.1, digits=2)))


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (COUNT, 7, 7.0),
        (COUNT, "7", 7.0),
        (COUNT, "7%", 7.0),
        (COUNT, np.int64(7), 7.0),
        (COUNT, torch.tensor(7.5), 7.5),
        (SIZE, "28,000", 28000.0),
        (SIZE, 28_000, 28000.0),
        (WHICH, "the coffee", "the coffee"),
        (WHICH, " The  Coffee ", "the coffee"),
        (WHICH, "coffee", "the coffee"),
        (Choice(("yes", "no", "neither")), True, "yes"),
        (Token(), " Paris", "Paris"),
        (BOTH, (" Rome", 0.5), ("Rome", 0.5)),
        (BOTH, [" Rome", "0.5"], ("Rome", 0.5)),
    ],
)
def test_a_guess_is_read_as_people_write_it(kind: Kind, given: Any, read: Any) -> None:
    assert kind.read(given) == read


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (COUNT, "many", "a number from 1 to 100 tokens"),
        (COUNT, 101, "a number from 1 to 100 tokens"),
        (COUNT, True, "a number"),
        (COUNT, None, "a number"),
        (COUNT, float("nan"), "a number"),
        (COUNT, float("inf"), "a number"),
        (COUNT, [7, 8], "a number"),
        (COUNT, 10**400, "a number"),
        (COUNT, torch.ones(2), "a number"),
        (WHICH, "the", "one of 'the vase', 'the coffee', 'equally near'"),
        (WHICH, "", "one of 'the vase'"),
        (WHICH, 3, "one of 'the vase'"),
        (Choice(tuple(map(str, range(50)))), "x", "one of '0', '1', ..., '49';"),
        (Token(), 3, "a token, as a text"),
        (Token(), "  ", "a token, as a text"),
        (BOTH, "Rome", "2 values"),
        (BOTH, (" Rome",), "2 values"),
        (BOTH, 3, "2 values"),
        (BOTH, (" Rome", 2), "a number from 0 to 1"),
    ],
)
def test_what_is_no_guess_of_this_form_says_what_was_expected(kind: Kind, given: Any, expected: str) -> None:
    with pytest.raises(Unreadable) as caught:
        kind.read(given)
    said = caught.value.told("9.1", "<guess>")
    assert said.startswith("◇ 9.1 asks for " + expected) and said.endswith("; <guess> came, and is not kept.")


@pytest.mark.parametrize(
    ("kind", "guess", "truth", "told"),
    [
        (COUNT, 6.0, 8.0, ""),
        (COUNT, 5.0, 8.0, "That is 3 tokens too low."),
        (ONE, 7.0, 8.0, "That is 1 entry too low."),
        (COUNT, 18.0, 8.0, "That is 10 tokens too high."),
        (SIZE, 10.0, 28000.0, "That is 2,800 times too small."),
        (SIZE, 1e6, 28000.0, "That is 36 times too large."),
        (SIZE, 20000.0, 28000.0, ""),
        (WHICH, "the vase", "the coffee", ""),
        (
            BOTH,
            ("Rome", 0.9),
            ("Rome", 0.66),
            "Your value 1 is right. Your value 2 is not right. That is 0.24 too high.",
        ),
        (BOTH, ("London", 0.6), ("Rome", 0.66), "Your value 1 is not right. Your value 2 is right."),
    ],
)
def test_how_far_off_is_told(kind: Kind, guess: Any, truth: Any, told: str) -> None:
    right, said = kind.distance(guess, truth)
    assert said == told
    assert right == (told == "" and kind is not WHICH)


def test_a_truth_is_shown_without_the_digits_that_hang_on_the_processor() -> None:
    for exact in (27_653.8, 27_653.9):
        assert SIZE.show(SIZE.settle(exact)) == "28,000 times"
    assert BOTH.show(BOTH.settle(("Rome", 0.65617))) == "'Rome', 0.66"


PREDICTION = Prediction(
    "9.1",
    asks="?",
    kind=Number(-10, 10, near=0.5, digits=1),
    guesses=(
        Guess("small", (0, 1), "{guess} would be {logistic:.2f}, and it is {truth}."),
        Guess("right", (4, 5), "Indeed.", right=True),
        Guess("large", (6, 10), "Too much."),
    ),
)


def test_a_remark_knows_the_guess_and_the_truth() -> None:
    assert PREDICTION.remark(0.5, 4.3, right=False) == "0.5 would be 0.62, and it is 4.3."
    assert PREDICTION.remark(4.5, 4.3, right=True) == "Indeed."
    assert PREDICTION.remark(3.0, 4.3, right=False) == ""


def test_on_a_model_where_another_guess_is_right_no_remark_says_otherwise() -> None:
    assert PREDICTION.remark(9.0, 7.0, right=False) == "", "7 is large, so 'too much' would be wrong"
    assert PREDICTION.remark(4.5, 9.0, right=False) == "", "what is said of the right guess is for the right one"


def test_in_a_list_each_wrong_value_has_its_remark() -> None:
    kind = Several((Number(0, 10, near=0.1), Number(0, 10, near=0.1)))
    low, high = Guess("low", ((0, 1), None), "First too low."), Guess("high", (None, (5, 10)), "Second too high.")
    both = Prediction("9.2", "?", kind, (low, high))
    assert both.remark((1.0, 6.0), (3.0, 3.0), right=False) == "First too low. Second too high."
    assert both.remark((3.0, 6.0), (3.0, 3.0), right=False) == "Second too high."
    assert both.remark((1.0, 6.0), (0.5, 3.0), right=False) == "Second too high."
