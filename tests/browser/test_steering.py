"""The steering view in a browser: the text, the measures and where they stand against their nulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.pictures.views.examples import BAND, DAMAGE, LAYERS, ODDS, STRENGTHS, steering

Open = Callable[..., Any]


def test_every_layer_and_strength_says_its_text_and_numbers(open_view: Open) -> None:
    page = open_view(steering().payload)
    for row, layer in enumerate(LAYERS):
        page.get_by_label("Layer", exact=True).fill(str(row))
        for column, strength in enumerate(STRENGTHS):
            page.get_by_label("Strength", exact=True).fill(str(column))
            assert (
                page.locator(".cv-card blockquote").inner_text() == f"The film is text at layer {layer}, {strength:+}"
            )
            odds, damage = page.locator(".cv-card td").all_inner_texts()
            value, low, high = (round(float(x[row, column]), 2) for x in (ODDS, BAND[0], BAND[1]))
            where = "below" if value < low else "above" if value > high else "within"
            assert odds == f"{value:z.1f}, {where} what means nothing ({low:z.1f} to {high:z.1f})"
            assert damage == f"{round(float(DAMAGE[row, column]), 2):z.1f}"
            assert page.locator("svg").get_attribute("aria-label").endswith(f": {value:z.1f}")


def test_the_curve_goes_through_the_values(open_view: Open) -> None:
    """Heights on the screen are a straight line of the numbers, and the mark is on the curve."""
    page = open_view(steering().payload)
    page.get_by_label("Layer", exact=True).fill("1")
    page.get_by_label("Strength", exact=True).fill("3")
    path = page.locator("path.cv-curve").get_attribute("d")
    points = [tuple(map(float, point.split(","))) for point in path.removeprefix("M").split("L")]
    heights, values = [y for _, y in points], [round(float(v), 2) for v in ODDS[1]]
    slope = (heights[1] - heights[0]) / (values[1] - values[0])
    assert slope < 0  # up is more
    for height, value in zip(heights, values, strict=True):
        assert abs(heights[0] + slope * (value - values[0]) - height) < 0.6
    mark = page.locator("circle.cv-mark")
    assert abs(float(mark.get_attribute("cy")) - heights[3]) < 0.1
    assert page.locator("polygon.cv-band").count() == 1
    page.get_by_label("perplexity", exact=True).check()
    assert page.locator("polygon.cv-band").count() == 0
