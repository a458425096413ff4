"""The patching map in a browser: what its card says is what the tensors are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.pictures import views
from tests.pictures.views.examples import TOKENS, draw, pair, patching_map

Open = Callable[..., Any]


def test_on_a_telephone_a_tap_is_answered_in_sight(open_view: Open) -> None:
    """The card stands under the map, and until that is in the window at its foot."""
    tall = views.PatchedPair("tall", 1.0, {"patched alone": draw(40, 4)}, {}, {})
    page = open_view(views.patching_map([tall]).payload, width=400, touch=True)
    assert page.evaluate("document.documentElement.scrollHeight") > 1000, "the map alone fills the window"
    page.get_by_role("gridcell").first.tap()
    box = page.locator(".cv-card").first.bounding_box()
    assert 0 < box["y"] < box["y"] + box["height"] <= 900


def cell(page: Any, layer: int, head: int) -> Any:
    return page.locator(f'td[data-row="{layer}"][data-column="{head}"]')


def rows(card: Any) -> dict[str, str]:
    """The card's facts by name."""
    return {
        row.locator("th").inner_text(): row.locator("td").inner_text() for row in card.locator(".cv-facts tr").all()
    }


def test_every_cell_and_every_card_says_its_numbers(open_view: Open) -> None:
    page = open_view(patching_map().payload)
    one, copy = pair(), 3 * draw(5, 4, seed=3)
    for layer in range(5):
        for head in range(4):
            value = round(float(one.maps["patched alone"][layer, head]), 3)
            assert cell(page, layer, head).inner_text() == (f"{value:+z.1f}" if abs(value) >= 0.1 else "")
            cell(page, layer, head).hover()
            card = page.locator(".cv-card")
            assert card.count() == 1 and card.locator(".cv-name").inner_text() == f"Head {layer}.{head}"
            said = rows(card)
            assert said["patched alone"] == f"{value:+z.1f} of 11.4 logits"
            assert said["direct"] == f"{round(float(one.maps['direct'][layer, head]), 3):+z.1f}"
            assert said["copy score"].startswith(f"{float(copy[layer, head]):+z.1f} (")
            weights: Any = one.attention["clean"]
            shown = [text.split("\n")[-1] for text in card.locator(".cv-tokens").first.locator("li").all_inner_texts()]
            expected = [round(100 * float(w)) for w in weights[layer, head]]
            assert [int(text) for text in shown if text.isdigit()] == [w for w in expected if w >= 5]


def test_two_heads_are_kept_side_by_side(open_view: Open) -> None:
    page = open_view(patching_map().payload)
    names = lambda: page.locator(".cv-card .cv-name").all_inner_texts()  # noqa: E731
    cell(page, 1, 2).click()
    assert names() == ["Head 1.2"]
    cell(page, 3, 0).hover()
    assert names() == ["Head 1.2", "Head 3.0"]  # beside the kept one, the one that is pointed at
    cell(page, 3, 0).click()
    cell(page, 0, 0).hover()
    assert names() == ["Head 1.2", "Head 3.0"]
    cell(page, 4, 1).click()  # a third takes the second one's place
    assert names() == ["Head 1.2", "Head 4.1"]
    assert page.locator('td[aria-selected="true"]').count() == 2
    cell(page, 1, 2).click()
    assert names() == ["Head 4.1", "Head 1.2"] and page.locator('td[aria-selected="true"]').count() == 1


def test_enter_keeps_and_a_tap_keeps(open_view: Open) -> None:
    page = open_view(patching_map().payload)
    page.locator('.cv-grid [tabindex="0"]').focus()
    page.keyboard.press("Enter")
    assert page.locator(".cv-card.cv-kept").count() == 1
    phone = open_view(patching_map().payload, width=400, touch=True)
    cell(phone, 2, 2).tap()
    assert phone.locator(".cv-card.cv-kept .cv-name").inner_text() == "Head 2.2"
    box = cell(phone, 2, 2).bounding_box()
    assert min(box["width"], box["height"]) >= 24  # what a finger needs (WCAG 2.2, target size)


def test_the_maps_share_one_scale_and_the_other_pair_has_its_own_numbers(open_view: Open) -> None:
    page = open_view(patching_map().payload)
    page.get_by_label("direct").check()
    value = float(pair().maps["direct"][2, 1])
    assert cell(page, 2, 1).get_attribute("aria-label") == f"head 2.1: direct {value:+z.1f} logits"
    page.get_by_label("Prompts").select_option("second pair")
    value = round(float(pair(7).maps["direct"][2, 1]), 3)  # -0.7499: the data are rounded, and then what is said
    assert cell(page, 2, 1).get_attribute("aria-label") == f"head 2.1: direct {value:+z.1f} logits"


def test_the_strongest_colour_is_the_greatest_number_of_all_maps(open_view: Open) -> None:
    one = pair()
    largest = max(float(torch.as_tensor(values).abs().max()) for values in one.maps.values())
    page = open_view(patching_map().payload)
    full: list[str] = []
    for name, values in one.maps.items():
        page.get_by_label(name, exact=True).check()
        grounds = page.locator(".cv-grid td[data-row]").evaluate_all(
            "cells => cells.map((one) => getComputedStyle(one).backgroundColor)"
        )
        strongest = {"rgb(178, 24, 43)", "rgb(33, 102, 172)"} & set(grounds)
        assert bool(strongest) == (float(torch.as_tensor(values).abs().max()) == largest)
        full += strongest
    assert len(full) == 1


def test_the_strip_by_position_shows_the_effects(open_view: Open) -> None:
    page = open_view(patching_map().payload)
    cell(page, 1, 1).hover()
    shown = page.get_by_role("list", name="effect by position").locator("li small").all_inner_texts()
    moved: Any = pair().by_position
    assert shown == [f"{float(v):+z.1f}" if abs(round(float(v), 1)) >= 0.1 else "" for v in moved[1, 1]]
    assert len(shown) == len(TOKENS)
