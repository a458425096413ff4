"""The steps by hand in a browser: one after the other, each with its shape, norm and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.pictures.views.examples import by_hand

Open = Callable[..., Any]


def test_each_step_says_what_the_data_say(open_view: Open) -> None:
    view = by_hand()
    page = open_view(view.payload)
    for number, step in enumerate(view.data["steps"], start=1):
        card = page.locator(".cv-card")
        assert card.locator(".cv-name").inner_text() == f"{number}. {step['name']}"
        assert card.locator("code").inner_text() == step["formula"]
        shape = " × ".join(map(str, step["shape"])) or "one number"
        said = card.locator(".cv-facts td").all_inner_texts()
        assert said == [shape, f"{step['norm']:g}", f"{step['least']:g} to {step['greatest']:g}"]
        shown = [float(text) for text in card.locator(".cv-tokens li").all_inner_texts()]
        assert shown == step["numbers"]
        ends = [number == end for end in (1, len(view.data["steps"]))]
        buttons = [page.get_by_role("button", name=name) for name in ("Back", "Next step")]
        assert [button.is_disabled() for button in buttons] == ends
        buttons[1].press("Enter")  # of the last one there is nothing after; the focus stays
        assert page.evaluate("document.activeElement.textContent") == "Next step"
    assert page.locator(".cv-card .cv-name").inner_text() == "3. one number"  # there is no fourth
    page.get_by_role("button", name="Back").click()
    assert page.locator(".cv-card .cv-name").inner_text() == "2. queries"


def test_a_step_can_be_chosen_and_the_focus_stays(open_view: Open) -> None:
    page = open_view(by_hand().payload)
    page.get_by_role("button", name="2. queries").press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "2. queries"
    assert page.locator('[aria-current="step"]').all_inner_texts() == ["2. queries"]


def test_the_bars_are_the_norms(open_view: Open) -> None:
    view = by_hand()
    page = open_view(view.payload)
    norms = [step["norm"] for step in view.data["steps"]]
    widths = page.locator(".cv-bar").evaluate_all("all => all.map((one) => parseFloat(one.style.width))")
    assert [round(width, 3) for width in widths] == [round(100 * norm / max(norms), 3) for norm in norms]
