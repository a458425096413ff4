"""A view in a real JupyterLab: alive through anywidget and a kernel, which also answers the field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.jupyterlab import serve_lab

SOURCE = """
from course_utils import explore, load_model
explore.next_token(load_model("tiny-llama"), "The old man")
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


@pytest.mark.slow
def test_a_view_is_alive_and_its_field_asks_the_kernel(chromium: Any, lab: str) -> None:
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
    field = page.get_by_label("A prompt of your own")
    field.fill("The river")
    page.get_by_role("button", name="Ask the model").click()
    view.locator("code", has_text="The river").wait_for(timeout=60_000)
    assert view.locator(".cv-facts").inner_text() != before
    field.fill(" ".join(["old"] * 600))  # longer than the model's window
    page.get_by_role("button", name="Ask the model").click()
    page.get_by_text("shorten it").wait_for(timeout=60_000)
    assert view.locator("code").first.inner_text() == "The river"
    assert elsewhere == []
    page.close()
