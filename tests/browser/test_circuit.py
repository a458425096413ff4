"""The circuit in a browser: each path and part says its numbers, weak paths hide, by pointer, keyboard and finger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_utils.pictures import views
from course_utils.pictures.views import CircuitPath
from tests.pictures.views.examples import PARTS, PATHS, circuit

Open = Callable[..., Any]
BY_SIZE = sorted(PATHS, key=lambda path: -abs(path.effect))


def said(page: Any) -> tuple[str, dict[str, str]]:
    """The card's name and its facts."""
    rows = page.locator(".cv-card .cv-facts tr").all()
    return page.locator(".cv-card .cv-name").inner_text(), {
        row.locator("th").inner_text(): row.locator("td").inner_text() for row in rows
    }


def test_each_path_says_its_number_its_interval_and_its_control(open_view: Open) -> None:
    page = open_view(circuit().payload)
    paths = page.get_by_role("list", name="paths").get_by_role("button")
    assert paths.count() == len(PATHS)
    paths.first.focus()
    for path in BY_SIZE:
        name, facts = said(page)
        assert name == f"{path.begin} → {path.end}"
        assert facts["effect"] == f"{path.effect:+.2f} logits"
        assert page.locator(".cv-card > p:not(.cv-name)").all_inner_texts() == ([path.says] if path.says else [])
        drawn = page.locator(".cv-number").all_text_contents()
        assert drawn == [f"{path.effect:+.2f}"]  # the one that is pointed at, and no other
        if path.interval:
            low, high = path.interval
            meaning = "which holds 0" if low <= 0 <= high else "clear of 0"
            assert facts["two standard errors"] == f"{low:+.2f} to {high:+.2f}, {meaning}"
        if path.control is not None:
            control = facts["best of eight others"]
            assert control.startswith(f"{path.control:.2f}")
            assert ("no smaller" in control) == (abs(path.effect) <= path.control)
        assert ("two standard errors" in facts, "best of eight others" in facts) == (
            path.interval is not None, path.control is not None
        )  # fmt: skip
        page.keyboard.press("ArrowRight")
    assert said(page)[0] == "20.0 → 23.3"  # there is none after the last


def test_what_is_in_doubt_is_so_before_rounding(open_view: Open) -> None:
    """The card beside the words, where what is shown, 0.00 to 0.06 and 0.03 beside 0.03, would say otherwise."""
    page = open_view(views.circuit(PARTS[:2], [CircuitPath("17.4", "19.2", 0.034, (0.004, 0.064), 0.0252)]).payload)
    page.get_by_role("list", name="paths").get_by_role("button").first.focus()
    assert said(page)[1] == {
        "effect": "+0.03 logits", "interval": "+0.00 to +0.06, clear of 0", "control": "0.03 (1.0 times that)"
    }  # fmt: skip
    assert page.locator(".cv-open").count() == 0 and page.get_by_text("Dashed").count() == 0


def test_a_part_says_what_comes_in_and_what_goes_out(open_view: Open) -> None:
    page = open_view(circuit().payload)
    page.locator('[data-part="3"]').hover()
    inner = {"from 20.0": "+1.06 logits", "from 19.2": "+0.30 logits", "to logits": "+1.40 logits"}
    assert said(page) == ("23.0", inner)
    assert sorted(page.locator(".cv-number").all_text_contents()) == ["+0.30", "+1.06", "+1.40"]
    assert page.locator('[aria-pressed="true"]').all_inner_texts() == ["23.0"]
    page.get_by_role("button", name="part 23.3").focus()
    page.keyboard.press("ArrowLeft")  # focused, it is not yet chosen; the arrow chooses its neighbour
    assert said(page)[0] == "23.0"
    page.keyboard.press("ArrowRight")
    assert said(page)[0] == "23.3" and page.get_by_text("Lowers what it reads.").is_visible()


def test_wider_is_more_and_dashed_holds_zero(open_view: Open) -> None:
    page = open_view(circuit().payload)
    styles = {}
    for i in range(len(PATHS)):
        line = page.locator(f'line[data-path="{i}"]')
        width, dash, colour = line.evaluate(
            "one => { const s = getComputedStyle(one);"
            "return [parseFloat(s.strokeWidth), s.strokeDasharray, s.stroke]; }"
        )
        styles[i] = width, dash != "none", colour
    order = sorted(styles, key=lambda i: styles[i][0])
    assert [abs(PATHS[i].effect) for i in order] == sorted(abs(path.effect) for path in PATHS)
    assert [i for i in styles if styles[i][1]] == [2]
    assert len({styles[i][2] for i in styles if PATHS[i].effect > 0}) == 1
    assert {styles[i][2] for i in styles if PATHS[i].effect > 0}.isdisjoint(
        {styles[i][2] for i in styles if PATHS[i].effect < 0}
    )


def test_layers_go_up(open_view: Open) -> None:
    page = open_view(circuit().payload)
    tops = [float(page.locator(f'[data-part="{i}"] rect').get_attribute("y")) for i in range(len(PARTS))]
    boxes = [page.locator(f'[data-part="{i}"] rect').bounding_box() for i in (3, 4)]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]  # side by side and not one on the other
    assert tops[0] > tops[1] > tops[2] > tops[3] == tops[4] > tops[5]


def test_the_slider_hides_weak_paths_and_says_how_many_are_left(open_view: Open) -> None:
    page = open_view(circuit().payload)
    page.get_by_role("button", name="path from 20.0 to 23.3").click()
    slider = page.get_by_label("Hide weak paths")
    assert slider.get_attribute("aria-valuetext") == "all 7 shown"
    slider.focus()
    for least in sorted({abs(path.effect) for path in PATHS})[1:]:
        page.keyboard.press("ArrowRight")
        left = [path for path in BY_SIZE if abs(path.effect) >= least]
        assert slider.get_attribute("aria-valuetext") == f"{len(left)} of 7, from {least:.2f} on"
        assert page.locator("line[data-path]").count() == len(left)
        shown = page.get_by_role("list", name="paths").get_by_role("button").all_inner_texts()
        assert shown == [f"{path.begin} → {path.end} {path.effect:+.2f}" for path in left]
        assert said(page)[0] == "23.0 → logits"  # what was chosen is hidden: the strongest takes its place
    page.get_by_role("button", name="part 17.4").click()
    assert page.get_by_text("All its paths are hidden.").is_visible()


def test_a_tap_chooses(open_view: Open) -> None:
    page = open_view(circuit().payload, width=400, touch=True)
    page.locator('[data-part="4"]').tap()
    assert said(page)[0] == "23.3"
    box = page.locator('[data-part="4"] rect').bounding_box()
    assert min(box["width"], box["height"]) >= 24  # what a finger needs (WCAG 2.2, target size)
