"""The cache view in a browser: what is computed and what is read at each step, and the size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_utils.kv_cache import CacheShape, cache_bytes
from tests.pictures.views.examples import cache

Open = Callable[..., Any]
SHAPE = CacheShape((None, 3, 3), 4, 2, 8)


def facts(page: Any) -> list[str]:
    return page.locator(".cv-card").first.locator("td").all_inner_texts()


def states(page: Any) -> list[str]:
    return page.locator(".cv-tokens small").all_inner_texts()


def test_each_step_computes_one_token_and_reads_the_others(open_view: Open) -> None:
    page = open_view(cache().payload)
    assert states(page) == ["new"] * 3 + [""] * 3
    for step in range(4):
        known = 3 + step
        if step:
            page.get_by_role("button", name="Next step").click()
            assert states(page) == ["read"] * (known - 1) + ["new"] + [""] * (6 - known)
        assert facts(page)[:4] == [str(3 if step == 0 else 1), str(0 if step == 0 else known - 1), str(known),
                                   f"{cache_bytes(SHAPE, known):,} bytes"]  # fmt: skip
        assert facts(page)[4] == f"{2 * cache_bytes(SHAPE, known):,} bytes"
    page.get_by_role("button", name="Next step").click()  # and begins again
    assert states(page) == ["new"] * 3 + [""] * 3


def test_without_a_cache_everything_is_computed_again(open_view: Open) -> None:
    page = open_view(cache().payload)
    page.get_by_label("without").check()
    page.get_by_label("Step", exact=True).fill("2")
    assert states(page) == ["new"] * 5 + [""]
    assert facts(page) == ["5", "none", str(3 + 4 + 5)]


def test_a_layer_with_a_window_forgets(open_view: Open) -> None:
    page = open_view(cache().payload)
    page.get_by_label("layers with a window of 3").check()
    page.get_by_label("Step", exact=True).fill("3")
    # The newest token sees three: itself and two before it.
    assert states(page) == ["gone"] * 3 + ["read"] * 2 + ["new"]
    assert facts(page)[1] == "2"


def test_the_sizes_of_longer_texts_are_the_lessons(open_view: Open) -> None:
    page = open_view(cache().payload)
    table = page.locator(".cv-card").nth(1)
    assert table.locator("th").all_inner_texts() == [f"{n:,} tokens" for n in (16, 128, 1024, 8192, 32_000, 65_536)]
    expected = [cache_bytes(SHAPE, n) for n in (16, 128, 1024, 8192, 32_000, 65_536)]
    shown = [f"{size:,} bytes" if size < 1e6 else f"{size / 1e6:z.1f} MB" for size in expected]
    assert table.locator("td").all_inner_texts() == shown
