"""The attention view in a browser: the weights of every layer and head, and the heads that share keys and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils.pictures import views
from tests.pictures.views.examples import TOKENS, attention, causal_patterns

Open = Callable[..., Any]
PATTERNS = causal_patterns(3, 4, len(TOKENS))


def cell(page: Any, query: int, key: int) -> Any:
    return page.locator(f'td[data-row="{query}"][data-column="{key}"]')


@pytest.mark.parametrize(("layer", "head"), [(1, 2), (0, 0), (2, 3)])
def test_every_weight_is_said(open_view: Open, layer: int, head: int) -> None:
    page = open_view(attention().payload)
    page.get_by_label("Layer").fill(str(layer))
    page.get_by_role("button", name=f"head {layer}.{head}").click()
    for query in range(len(TOKENS)):
        for key in range(len(TOKENS)):
            if key > query:
                assert cell(page, query, key).count() == 0
                continue
            weight = round(100 * float(PATTERNS[layer, head, query, key]))
            assert cell(page, query, key).get_attribute("aria-label").endswith(f": {weight} %")
            assert cell(page, query, key).inner_text() == (str(weight) if weight >= 10 else "")
        cell(page, query, query).hover()
        shown = page.locator(".cv-card .cv-tokens small").all_inner_texts()
        expected = [round(100 * float(w)) for w in PATTERNS[layer, head, query, : query + 1]]
        assert shown == [str(w) if w >= 1 else "" for w in expected]
        assert page.locator(".cv-card .cv-name").inner_text().startswith(f"Head {layer}.{head}, from ")


def test_heads_that_share_keys_and_values_stand_together(open_view: Open) -> None:
    page = open_view(attention().payload)
    groups = [group.locator("button").all_inner_texts() for group in page.locator(".cv-group").all()]
    assert [[said.split()[0] for said in group] for group in groups] == [["1.0", "1.1"], ["1.2", "1.3"]]
    assert page.locator('button[aria-pressed="true"]').inner_text().split()[0] == "1.2"


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("on", ["the token before", "the first token"])
def test_under_each_head_stands_its_mean_weight(open_view: Open, layer: int, on: str) -> None:
    page = open_view(attention().payload)
    page.get_by_label("Layer").fill(str(layer))
    page.get_by_role("radio", name=on).check()
    rows = torch.arange(1, len(TOKENS))
    weights = (100 * PATTERNS).round()[layer, :, rows, rows - 1 if on == "the token before" else 0].mean(dim=-1)
    for head, weight in enumerate(weights.tolist()):
        button = page.get_by_role("button", name=f"head {layer}.{head}")
        assert float(button.inner_text().split()[1]) == pytest.approx(weight, abs=0.501)
        assert button.get_attribute("aria-label") == f"head {layer}.{head}: {button.inner_text().split()[1]} % on {on}"


def test_a_single_token_has_none_before_it(open_view: Open) -> None:
    page = open_view(views.attention(torch.ones(2, 2, 1, 1), ["The"]).payload)
    assert page.locator(".cv-heads button").all_inner_texts() == ["0.0", "0.1"]
    assert page.get_by_role("radio").count() == 0


def test_the_card_says_at_which_position_the_token_stands(open_view: Open) -> None:
    """A word may stand there twice."""
    page = open_view(attention().payload)
    cell(page, 4, 4).hover()
    most = int(PATTERNS[1, 2, 4].argmax())
    assert f", position {most} (" in page.locator(".cv-card td").last.inner_text()


def test_the_layer_goes_by_keyboard_and_keeps_the_row(open_view: Open) -> None:
    page = open_view(attention().payload)
    cell(page, 3, 1).hover()
    page.get_by_label("Layer").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".cv-card .cv-name").inner_text() == "Head 2.2, from “↵” (position 3)"
    assert page.get_by_label("Layer").get_attribute("aria-valuetext") == "2"


def test_the_small_pictures_show_the_weights(open_view: Open) -> None:
    """The opacity of each pixel of a head's small picture is the weight."""
    page = open_view(attention().payload)
    pixels = (
        page.locator("canvas")
        .nth(3)
        .evaluate(
            "one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data]"
            ".filter((_, i) => i % 4 === 3)"
        )
    )
    expected = (255 * (100 * PATTERNS[1, 3]).round() / 100).flatten().tolist()
    assert pixels == pytest.approx(expected, abs=2)
