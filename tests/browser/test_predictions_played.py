"""What a lesson has its reader predict can be found by playing with its view, by pointer, by keyboard or by finger.

The views are the committed lessons'. What is read from each is held against what the lesson's own code computed and
its `reveal` said, further down or further up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course_utils.notebooks import files
from course_utils.pictures import VIEW_TYPE

Open = Callable[..., Any]
ROOT = Path(__file__).parents[2]
PHONE = {"width": 400, "touch": True}


@functools.cache
def outputs(lesson: int) -> list[Any]:
    """The stored outputs of a lesson."""
    cells = files.read(files.lessons(ROOT)[lesson - 1]).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def view(lesson: int, name: str) -> dict[str, Any]:
    """The payload of a lesson's view."""
    found = (output.get("data", {}).get(VIEW_TYPE) for output in outputs(lesson))
    return next(dict(one) for one in found if one and one["view"] == name)


def answer(name: str) -> str:
    """What `reveal` said was the answer to a prediction."""
    printed = "\n".join(str(output.get("text", "")) for output in outputs(int(name[0])))
    found = re.search(rf"◇ {re.escape(name)} The answer: (.+)\. \(No guess", printed)
    assert found, f"lesson {name[0]} does not say the answer to {name}"
    return found[1]


def card(page: Any, place: int = 0) -> str:
    return " ".join(page.locator(".cv-card").nth(place).inner_text().split())


def cell(page: Any, row: int, column: int) -> Any:
    return page.locator(f'td[data-row="{row}"][data-column="{column}"]')


def press(page: Any, key: str, times: int) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def test_tokens_shows_how_often_a_piece_falls_apart(open_view: Open) -> None:
    """Twice while *unbelievable* is typed: " un|bel" becomes " un|b|eli", and "va" becomes "v|ab"."""
    page = open_view(view(1, "tokens"))
    page.get_by_label("Typed").focus()
    page.keyboard.press("Home")
    apart = []
    before = ["A"]
    for _ in "n unbelievable":
        page.keyboard.press("ArrowRight")
        now = page.get_by_role("list", name="tokens of this model").get_by_role("button").all_inner_texts()
        ends = {len("".join(now[:count])) for count in range(len(now) + 1)}
        old = {len("".join(before[:count])) for count in range(len(before) + 1)}
        if any(end < len("".join(before)) for end in ends - old):
            apart.append("|".join(now))
        before = now
    assert apart == ["An|·un|b|eli", "An|·unbelie|v|ab"]


def test_next_token_answers_how_many_stay(open_view: Open) -> None:
    """Prediction 1.7: how many tokens have 0.9 of the probability."""
    page = open_view(view(1, "next_token"), **PHONE)
    page.get_by_label("Top-p").fill("8")
    assert page.get_by_label("Top-p").get_attribute("aria-valuetext") == "0.9"
    left = re.match(r"Left: ([\d,]+) of", page.locator("p[role=status]").first.inner_text())
    assert left and f"{left[1]} tokens" == answer("1.7").split(", ")[1]


def test_by_hand_answers_which_half_writes_the_longer_vector(open_view: Open) -> None:
    page = open_view(view(2, "by_hand"))
    norms = {}
    for _ in range(11):
        name = page.locator(".cv-card .cv-name").inner_text().split(". ", 1)[1]
        norms[name] = float(page.locator(".cv-card tr", has_text="norm").last.locator("td").inner_text())
        page.get_by_role("button", name="Next step").press("Enter")
    assert norms["attention writes"] < norms["the MLP writes"] < norms["comes in"] / 5


def test_attention_answers_how_many_heads_look_one_token_back(open_view: Open) -> None:
    """Prediction 2.7: the number under each head, layer by layer with the arrow key."""
    payload = view(2, "attention")
    page = open_view(payload)
    page.get_by_label("Layer").focus()
    page.keyboard.press("Home")
    above = []
    for _ in range(payload["data"]["layers"]):
        for said in page.locator(".cv-heads button").all_inner_texts():
            head, share = said.split()[:2]
            above += [head] if int(share) > 50 else []
        page.keyboard.press("ArrowRight")
    assert f"{len(above)} heads" == answer("2.7") and "16.0" in above


def test_attention_answers_which_layers_look_at_the_first_token(open_view: Open) -> None:
    page = open_view(view(2, "attention"), **PHONE)
    page.get_by_label("the first token").tap()
    most = {}
    for layer in (0, 10, 16, 24):
        page.get_by_label("Layer").fill(str(layer))
        shares = [int(said.split()[1]) for said in page.locator(".cv-heads button").all_inner_texts()]
        most[layer] = sum(share > 50 for share in shares)
    assert most[0] <= 1 and most[10] == 0 and most[24] == 9 and most[16] > 4


def test_cache_answers_what_the_faulty_loop_has_read(open_view: Open) -> None:
    """Prediction 3.5: the whole text fed each time, and all of it kept."""
    page = open_view(view(3, "cache"))
    page.get_by_label("without").click()
    page.get_by_label("Step", exact=True).focus()
    press(page, "ArrowRight", 2)
    assert re.search(r"computed so far (\d+)", card(page))[1] + " tokens" == answer("3.5")  # type: ignore[index]


def test_cache_answers_what_weighs_more(open_view: Open) -> None:
    """Prediction 3.4: the sizes stand beside it, and the lesson says what the parameters take."""
    page = open_view(view(3, "cache"), **PHONE)
    size = float(re.search(r"32,000 tokens ([\d.]+) GB", card(page, 1))[1])  # type: ignore[index]
    printed = "\n".join(str(output.get("text", "")) for output in outputs(3))
    weights = float(re.search(r"float32: ([\d.]+) GiB", printed)[1]) * 1.0737  # type: ignore[index]
    assert round(weights, 2) == 0.54 and answer("3.4") == "the cache" and size > 1.25 * weights


def test_lens_answers_the_rank_half_way_and_where_the_model_is_surest(open_view: Open) -> None:
    """Predictions 4.3 by keyboard from where the view begins, and 4.2 from the row of the last depth."""
    page = open_view(view(4, "lens"))
    page.locator(".cv-grid .cv-here").focus()
    press(page, "ArrowDown", 15)
    assert card(page).startswith("Depth 15, after “·of”")
    rank = int(re.search(r"·Paris rank ([\d,]+)", card(page))[1].replace(",", ""))  # type: ignore[index]
    assert f"{round(rank, -2):,}" == answer("4.3")
    shares = {}
    for position in range(9):
        cell(page, 30, position).hover()
        word = re.search(r"after “(.+?)”", card(page))[1]  # type: ignore[index]
        shares[word] = float(page.locator(".cv-card td").first.inner_text().removesuffix(" %"))
    assert repr(max(shares, key=shares.__getitem__)) == answer("4.2")


def test_lens_answers_from_where_on_paris_is_among_the_first_ten(open_view: Open) -> None:
    page = open_view(view(4, "lens"), **PHONE)
    page.get_by_label("a token's rank").tap()
    ranks = page.locator('td[data-column="8"]').all_inner_texts()[::-1]  # by depth
    among = [rank.isdigit() and int(rank) <= 10 for rank in ranks]
    first = among.index(True)
    assert all(among[first:]) and ranks[-1] == "1"
    cell(page, first, 8).tap()
    assert f"·Paris rank {ranks[first]} of" in card(page)


def test_steering_answers_where_the_curve_leaves_the_band_and_how_the_text_goes_on(open_view: Open) -> None:
    """At layer 16 from the first strength above 0 on; 5.2's first word, and what it costs."""
    page = open_view(view(5, "steering"))
    page.get_by_label("Layer", exact=True).fill("1")
    page.get_by_label("Strength", exact=True).focus()
    page.keyboard.press("Home")
    above, texts, costs = {}, {}, {}
    for _ in range(6):
        strength = float(page.get_by_label("Strength", exact=True).get_attribute("aria-valuetext"))
        above[strength] = "above what means nothing" in card(page)
        texts[strength] = page.locator(".cv-card blockquote").inner_text().split("movie is")[1].split()
        costs[strength] = float(page.locator(".cv-card td").nth(1).inner_text())
        page.keyboard.press("ArrowRight")
    assert [strength for strength, is_above in above.items() if is_above] == [0.1, 0.2, 0.4]
    assert repr(texts[0.2][0]) == answer("5.2").split(", ")[0]
    assert texts[0.2][1] == "great" and texts[-0.2][1] == "bit" and costs[0.4] > 1.5 * costs[0]


@pytest.mark.parametrize("how", ["hover", "tap"])
def test_patching_map_answers_the_best_head_and_where_it_looks(open_view: Open, how: str) -> None:
    """Predictions 6.5 and 6.7: the reddest cell, and on its card the position of the name."""
    page = open_view(view(6, "patching_map"), **(PHONE if how == "tap" else {}))
    values = page.locator(".cv-grid td[data-row]").evaluate_all(
        "all => all.map((one) => [Number(one.textContent), one.dataset.row, one.dataset.column])"
    )
    value, layer, head = max(values)
    assert f"{value} logits" == answer("6.5")
    getattr(cell(page, layer, head), how)()
    looks = re.search(r"clean: the last token looks most at ·(\w+), position (\d+)", card(page))
    names = page.get_by_role("list", name="attention on clean, in percent").locator("li").all_inner_texts()
    places = [place for place, name in enumerate(names) if name.split()[0] == f"·{looks[1]}"]  # type: ignore[index]
    which = ("first", "second")[places.index(int(looks[2]))]  # type: ignore[index]
    assert f"the {which} {looks[1]}" == answer("6.7")  # type: ignore[index]


def test_circuit_answers_how_much_is_direct_and_how_much_one_path_carries(open_view: Open) -> None:
    """Predictions 7.2 and 7.3, which the lesson asks of one pair: the arrow's interval is of sixteen."""
    page = open_view(view(7, "circuit"))
    page.get_by_role("list", name="paths").get_by_role("button").first.focus()
    assert card(page).startswith("23.3 → logits")
    direct = float(re.search(r"effect \+([\d.]+)", card(page))[1])  # type: ignore[index]
    page.get_by_role("button", name="path from 20.0 to 23.0").click()
    low, high = map(float, re.search(r"\+([\d.]+) to \+([\d.]+)", card(page)).groups())  # type: ignore[union-attr]
    assert abs(direct - float(answer("7.2").split(", ")[0])) < 1.5
    assert low <= float(answer("7.3").split()[0]) <= high


def test_circuit_leaves_what_is_surely_more_than_its_control(open_view: Open) -> None:
    payload = view(7, "circuit")
    page = open_view(payload, **PHONE)
    unsure = sum(path["open"] or path["weak"] for path in payload["data"]["paths"])
    assert unsure > 0
    page.get_by_label("Hide weak paths").fill(str(unsure))
    paths = page.get_by_role("list", name="paths").get_by_role("button")
    assert paths.count() == len(payload["data"]["paths"]) - unsure
    paths.last.tap()
    assert "clear of 0" in card(page) and "times that" in card(page)
