"""The lens view in a browser: the best tokens, the ranks, the two lenses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.pictures import views
from tests.pictures.views.examples import TOKENS, lens, lens_table

Open = Callable[..., Any]


def cell(page: Any, depth: int, position: int) -> Any:
    return page.locator(f'td[data-row="{depth}"][data-column="{position}"]')


def readable(token: str) -> str:
    return token.replace(" ", "·").replace("\n", "↵")


def test_every_cell_shows_the_best_and_its_card_the_others(open_view: Open) -> None:
    page = open_view(lens().payload)
    table = lens_table(0)
    for depth in range(6):
        for position in range(len(TOKENS)):
            best = table.top[depth][position]
            assert cell(page, depth, position).inner_text() == readable(best[0])
            cell(page, depth, position).hover()
            card = page.locator(".cv-card")
            assert card.locator(".cv-name").inner_text() == f"Depth {depth}, after “{readable(TOKENS[position])}”"
            assert card.locator(".cv-facts").first.locator("code").all_inner_texts() == [readable(w) for w in best]
            said = card.locator(".cv-facts").first.locator("td:nth-child(2)").all_inner_texts()
            shares: Any = table.probability
            expected = [f"{100 * round(float(p), 3):z.1f} %" for p in shares[depth, position]]
            assert said == expected
            ranks = [int(rank[depth, position]) for rank in table.ranks.values()]
            said = card.locator(".cv-facts").nth(1).locator("td").all_inner_texts()
            assert said == [f"rank {rank:,} of 100,000" for rank in ranks]


def test_ranks_and_the_other_lens_can_be_chosen(open_view: Open) -> None:
    page = open_view(lens().payload)
    page.get_by_label("a token's rank").check()
    page.get_by_label("Token", exact=True).select_option("·word2")
    ranks: Any = lens_table(0).ranks[" word2"]
    assert cell(page, 3, 2).get_attribute("aria-label").endswith(f": rank {int(ranks[3, 2])}")
    page.get_by_label("fitted lens").check()
    ranks = lens_table(5).ranks[" word2"]
    assert cell(page, 3, 2).get_attribute("aria-label").endswith(f": rank {int(ranks[3, 2])}")
    assert page.locator(".cv-card p.cv-quiet").first.inner_text() == "fitted lens"


def test_the_card_follows_a_finger(open_view: Open) -> None:
    page = open_view(lens().payload, width=400, touch=True)
    cell(page, 2, 4).tap()
    assert page.locator(".cv-card .cv-name").inner_text() == "Depth 2, after “·sang”"


def test_what_is_rounded_to_nothing_is_small_and_not_impossible(open_view: Open) -> None:
    top, shares = [[[" the", " a"]]], torch.tensor([[[0.99, 0.0002]]])
    table = views.LensTable(top, shares, {})
    page = open_view(views.lens(["x"], {"logit lens": table}, 100).payload)
    assert page.locator(".cv-card td:nth-child(2)").all_inner_texts() == ["99.0 %", "< 0.1 %"]
