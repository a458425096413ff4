"""The next-token view in a browser: what the sliders leave is what torch and the lesson's own functions leave."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from course_utils.tokens import keep_top_k, nucleus, tempered
from tests.pictures.views.examples import LOGITS, next_token

Open = Callable[..., Any]


def percents(page: Any, column: int) -> list[float]:
    """A column of the list as shares; what is cut off counts as 0, and what is under 0.1 % as half of that."""
    texts = page.locator(f".cv-facts tbody td:nth-child({column})").all_inner_texts()
    return [0.0 if "cut" in text else 0.0005 if "<" in text else float(text.removesuffix(" %")) / 100 for text in texts]


def set_slider(page: Any, name: str, words: str) -> None:
    """Move a slider by keyboard until it says these words."""
    slider = page.get_by_label(name)
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(25):
        if slider.get_attribute("aria-valuetext") == words:
            return
        page.keyboard.press("ArrowRight")
    raise AssertionError(f"{name} never says {words}")


@pytest.mark.parametrize(
    ("temperature", "k", "p"), [("1.0", None, None), ("0.3", None, "0.9"), ("2.0", "20", None), ("1.4", "10", "0.7"),
                                ("0.1", "1", "0.1"), ("2.0", None, "0.5")],
)  # fmt: skip
def test_the_list_is_what_torch_leaves(open_view: Open, temperature: str, k: str | None, p: str | None) -> None:
    page = open_view(next_token().payload)
    set_slider(page, "Temperature", temperature)
    set_slider(page, "Top-k", k or "all")
    set_slider(page, "Top-p", p or "1")
    before = tempered(LOGITS.double(), float(temperature))
    left = keep_top_k(before, int(k)) if k else before
    left = nucleus(left, float(p)) if p else left
    order = before.argsort(descending=True)
    assert percents(page, 2) == pytest.approx(before[order][:12].tolist(), abs=6e-4)
    assert percents(page, 3) == pytest.approx(left[order][:12].tolist(), abs=2e-3)
    said = re.search(
        r"Left: ([\d,]+) of 2,000 tokens, with ([\d.]+) %", page.locator('[role="status"]').first.inner_text()
    )
    assert said is not None
    count = int((left > 0).sum())
    assert int(said[1].replace(",", "")) == pytest.approx(count, rel=0.02)
    if count <= 50:  # those with a name count exactly
        assert int(said[1].replace(",", "")) == count
    assert float(said[2]) / 100 == pytest.approx(float(before[left > 0].sum()), abs=4e-3)


def test_the_die_falls_as_the_probabilities_say(open_view: Open) -> None:
    page = open_view(next_token().payload)
    set_slider(page, "Top-k", "3")
    for _ in range(20):
        page.get_by_role("button", name="Throw it 100 times").click()
    thrown = [int(text) for text in page.locator(".cv-facts tbody td:nth-child(5)").all_inner_texts()]
    assert sum(thrown[:3]) == 2_000 and not any(thrown[3:])
    shares = keep_top_k(LOGITS.softmax(-1), 3).sort(descending=True).values[:3]
    # Six standard deviations of a binomial: a fair die lies outside once in some hundred million times.
    for count, share in zip(thrown[:3], shares.tolist(), strict=True):
        assert abs(count - 2_000 * share) < 6 * (2_000 * share * (1 - share)) ** 0.5
    assert page.locator('[role="status"]').nth(1).inner_text().startswith("Thrown 2,000 times, last “")
    set_slider(page, "Top-k", "2")  # another distribution: the count begins anew
    assert page.locator('[role="status"]').nth(1).inner_text() == "Not thrown yet."
