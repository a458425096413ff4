"""A view in a real JupyterLab: alive through anywidget and a kernel, which also answers the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.jupyterlab import serve_lab

SOURCE = """
import torch
from course_utils import explore, load_model

model = load_model("tiny-llama")
clean = "When Mike and Emma went to the cafe, Emma gave a coffee to"
corrupted = "When Mike and Emma went to the cafe, Mike gave a coffee to"
answers = (" Mike", " Emma")
directions = torch.ones(model.config.num_hidden_layers, model.config.hidden_size)
display(explore.patching_map(model, clean, corrupted, answers))
display(explore.circuit(model, clean, corrupted, answers, heads=4))
display(explore.by_hand(model, "The old man", 1))
display(explore.steering(model, "The old man", directions, ([" park"], [" school"]), "The old man", [1], n_new=2))
explore.next_token(model, "The old man")
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves a folder with one notebook, whose one cell shows a view."""
    nbformat.write(
        new_notebook(
            cells=[new_code_cell(SOURCE.strip())],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        ),
        tmp_path / "view.ipynb",
    )
    with serve_lab(tmp_path) as address:
        yield address


def test_a_view_is_alive_and_its_field_asks_the_kernel(chromium: Any, lab: str) -> None:
    from playwright.sync_api import expect

    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    elsewhere: list[str] = []
    own = (lab, "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else elsewhere.append(request.url))
    page.goto(f"{lab}lab/tree/view.ipynb", timeout=120_000)
    page.locator(".jp-Notebook .jp-CodeCell").wait_for(timeout=120_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # before it runs, a kernel takes no cell
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Control+Enter")
    view = page.locator('section.course-view[data-view="next_token"]')
    view.wait_for(timeout=90_000)
    assert view.locator("code").first.inner_text() == "The old man"
    assert page.locator(".jp-OutputArea-output img").count() == 0  # the widget stands there, and not the still
    before = view.locator(".cv-facts").inner_text()
    slider = view.get_by_label("Temperature")
    slider.focus()
    page.keyboard.press("Home")  # and JupyterLab's own keys stay out of it
    assert slider.get_attribute("aria-valuetext") == "0.1"

    def ask(name: str, **fields: str) -> Any:
        """Fill in fields of a view, by the first word of their labels, and send them. Returns where its output is."""
        output = page.locator(".jp-OutputArea-output", has=page.locator(f'section[data-view="{name}"]'))
        for label, text in fields.items():
            output.get_by_label(re.compile(f"^{label}")).last.fill(text)
        output.get_by_role("button", name="Ask the model").click()
        return output

    ask("next_token", A="The river")
    view.locator("code", has_text="The river").wait_for(timeout=60_000)
    assert view.locator(".cv-facts").inner_text() != before
    said = ask("next_token", A=" ".join(["old"] * 600))  # longer than the model's window
    said.get_by_text("shorten it").wait_for(timeout=60_000)
    assert view.locator("code").first.inner_text() == "The river"

    said = ask("by_hand", A="The old school", Layer="2")
    said.get_by_text("“school” through layer 2").first.wait_for(timeout=60_000)
    ask("by_hand", Position="99").get_by_text("There is no position 99").wait_for(timeout=60_000)

    ask("steering", A="The river").locator("blockquote", has_text="The river").wait_for(timeout=60_000)

    clean, corrupted = (
        "When Kate and Emma went to the park, Emma gave a",
        "When Kate and Emma went to the park, Kate gave a",
    )
    said = ask("patching_map", Clean=clean)
    said.get_by_text("a patch puts each position's output").wait_for(timeout=60_000)
    said = ask("patching_map", Corrupted=corrupted)
    said.get_by_text(f"{clean} … / {corrupted} …").wait_for(timeout=60_000)
    expect(said.get_by_role("status")).to_be_empty()  # a moment after the new pair is there

    said = ask("circuit", Clean=clean, Corrupted=corrupted)
    said.get_by_text(f"Who speaks to whom, {clean} …").first.wait_for(timeout=60_000)
    # Each widget has a copy of the module; their labels and radio buttons must not get in each other's way.
    ids = page.locator(".course-view [id]").evaluate_all("all => all.map((one) => one.id)")
    groups = page.locator(".course-view fieldset").evaluate_all(
        "all => all.map((one) => one.querySelector('input').name)"
    )
    assert len(ids) > 8 and len(set(ids)) == len(ids) and len(set(groups)) == len(groups) > 0
    assert elsewhere == []
    page.close()
