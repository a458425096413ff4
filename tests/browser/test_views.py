"""What holds of every view in a browser: readable at both widths and in both modes, by keyboard and by finger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.pictures.views.examples import EXAMPLES

Open = Callable[..., Any]
NO_SCROLLING = "document.documentElement.scrollWidth <= innerWidth"
# In the page: every element whose box passes its view's own, but for what a scrolling ancestor cuts off.
OUTSIDE = """() => { const view = document.querySelector(".course-view").getBoundingClientRect();
  return [...document.querySelectorAll(".course-view *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > view.right + 1 || box.left < view.left - 1); }).map((one) => one.outerHTML); }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("name", EXAMPLES)
def test_it_fits_and_axe_finds_nothing(open_view: Open, name: str, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    one = EXAMPLES[name]()
    page = open_view(one.payload, width, scheme)
    assert page.evaluate(NO_SCROLLING) and page.evaluate(OUTSIDE) == []
    page.get_by_text("In words").click()
    assert page.get_by_text(one.words, exact=True).is_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", EXAMPLES)
def test_dark_is_dark_and_a_page_may_choose_for_itself(open_view: Open, name: str) -> None:
    payload = EXAMPLES[name]().payload

    def ground(page: Any) -> int:
        colour = page.locator(".course-view").evaluate("one => getComputedStyle(one).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    light, dark = open_view(payload), open_view(payload, scheme="dark")
    assert ground(light) > 600 and ground(dark) < 150
    for page, attribute, value in ((light, "data-theme", "dark"), (dark, "data-theme", "light")):
        page.evaluate("([name, value]) => document.documentElement.setAttribute(name, value)", [attribute, value])
    assert ground(light) < 150 and ground(dark) > 600


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_choice_shows_what_only_a_program_reads(open_view: Open, name: str) -> None:
    """A part that is left out is left out, and no word of JavaScript's stands in its place."""
    page = open_view(EXAMPLES[name]().payload)
    for choice in page.get_by_role("radio").all() or [page.get_by_text("In words")]:
        choice.click()
        said = page.locator(".course-view").inner_text()
        assert not {"null", "undefined", "NaN", "[object"} & set(said.split()), said


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_can_be_taken_away(open_view: Open, name: str) -> None:
    page = open_view(EXAMPLES[name]().payload)
    assert page.locator(".course-view").count() == 1
    page.evaluate("away()")
    assert page.locator(".course-view").count() == 0


@pytest.mark.parametrize("change", [{"version": 2}, {"view": "unheard_of"}])
def test_a_payload_of_another_course_is_said_in_words(open_view: Open, change: dict[str, Any]) -> None:
    one = EXAMPLES["lens"]()
    page = open_view(one.payload | change)
    assert page.locator(".course-view").inner_text() == one.words


@pytest.mark.parametrize("name", ["patching_map", "lens", "attention"])
def test_the_whole_grid_is_one_stop_and_is_walked_with_the_arrow_keys(open_view: Open, name: str) -> None:
    page = open_view(EXAMPLES[name]().payload)
    assert page.locator('.cv-grid [tabindex="0"]').count() == 1
    page.locator('.cv-grid [tabindex="0"]').focus()

    def here() -> tuple[int, int]:
        row, column = (int(page.evaluate(f"document.activeElement.dataset.{side}")) for side in ("row", "column"))
        return row, column

    page.keyboard.press("Home")
    row, column = here()
    assert column == 0
    page.keyboard.press("ArrowLeft")  # there is nothing beyond the edge
    assert here() == (row, 0)
    page.keyboard.press("End")
    last = here()[1]
    assert last > 0
    page.keyboard.press("ArrowLeft")
    assert here() == (row, last - 1)
    page.keyboard.press("ArrowRight")
    assert here() == (row, last)
    page.keyboard.press("Home")
    other = {page.keyboard.press(key) or here() for key in ("ArrowUp", "ArrowDown", "ArrowDown", "ArrowUp")}
    assert len(other) > 1 and all(column == 0 for _, column in other)
    assert page.locator('.cv-grid [tabindex="0"]').count() == 1
    assert page.locator(".cv-here").count() == 1
