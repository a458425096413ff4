"""The words of pictures: numbers that can be listened to, the same on every processor."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.pictures import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"), (4.7123, "4.7"), (-2.149, "-2.1"), (0.6561, "0.66"), (0.00087, "0.00087"), (1e-30, "1e-30"),
        (23_650, "24,000"), (49_152, "49,000"), (9.96, "10"), (2_500_000, "2.5e+06"),
        (float("nan"), "no number"), (float("inf"), "infinity"), (float("-inf"), "-infinity"),
    ],
)  # fmt: skip
def test_a_number_has_two_digits(value: float, said: str) -> None:
    assert words.number(value) == said


def test_what_nobody_sees_beside_the_largest_is_about_0() -> None:
    assert [words.number(value, scale=37.0) for value in (0.00087, -0.00087, 0.0, 0.037)] == [
        "about 0", "about 0", "0", "0.037",
    ]  # fmt: skip
    tiny = words.of_table("Heat map", ("", ""), (None, None), np.array([[1e-9, 2e-7], [3e-8, -1.0]]) * 1e-5)
    assert "Highest: about 0 at row 0, column 0" in tiny and "Lowest: -1e-05 at row 1, column 1" in tiny


def test_a_signed_number_says_its_sign() -> None:
    assert [words.number(value, signed=True) for value in (4.71, -4.71, 0.0)] == ["+4.7", "-4.7", "0"]


def test_places_are_ranked_after_rounding_the_first_of_equals_first() -> None:
    table = np.array([[0.7301, 0.7299], [np.nan, 0.9]])
    assert words.ranked(table) == [(1, 1), (0, 0), (0, 1)]
    assert words.ranked(np.array([[1e-9, 3e-7, 1.0]])) == [(0, 2), (0, 0), (0, 1)]


def test_a_title_with_quotation_marks_has_other_ones_inside() -> None:
    assert words.titled("Line", "After “… of”") == "Line “After ‘… of’”"


def test_of_many_it_is_said_how_many_are_left_out() -> None:
    assert words.listed(list("abcdefghijklmn"), "bars").endswith("l; and 2 more bars")


def test_a_text_is_one_line_and_cut_where_it_is_long() -> None:
    said = words.of_text("", "", ["a" * 200, "\n"], np.array([1.0, 2.0]))
    assert f"“{'a' * 160}…”" in said and "Highest: “\\n” 2" in said and "\n" not in said


def test_a_table_of_tokens_tells_the_runs_above_the_last_token() -> None:
    said = words.of_token_table("", "", [["x", "-"], ["x", "-"], ["x", " Paris"]], ["The", " of"])
    assert said.endswith("After “ of”, by depth: 0 to 1 “-”; 2 “ Paris”.")
