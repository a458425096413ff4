"""A browser for the tests: the system's own Chromium, and a plain page on which a view is mounted.

Every address is answered from this folder's page and the package's files; what asks for another is refused and noted.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from course_utils.pictures.views.view import STATIC

HERE = Path(__file__).parent
HOST = "http://course.test"
NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")  # on Ubuntu the last two may be empty
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A view</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/views.css">
<style>body { margin: 0; padding: 8px; background: Canvas; color: CanvasText; color-scheme: light dark; }</style></head>
<body><main><h1>A view</h1><div id="place"></div></main>
<script type="module">
  import { mount } from "/views.js";
  globalThis.away = mount(document.querySelector("#place"), await (await fetch("/payload.json")).json());
  globalThis.mounted = true;
</script></body></html>"""


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is slow: a browser has to start first."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running Chromium."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def idle_pages(chromium: Any) -> defaultdict[tuple[int, str, bool], list[Any]]:
    """Pages of a width, a mode, with or without touch, that no test has at the moment: a new one takes ten times as
    long as going somewhere else in it.
    """
    return defaultdict(list)


@pytest.fixture
def open_view(chromium: Any, idle_pages: dict[tuple[int, str, bool], list[Any]]) -> Iterator[Callable[..., Any]]:
    """`open_view(payload, width=1200, scheme="light", touch=False)`: a page with that payload mounted.

    Whatever goes wrong in the page, or leaves it, fails the test at its end.
    """
    taken, trouble = [], []

    def answer(route: Any, payload: Any) -> None:
        path = urlparse(route.request.url).path
        files = {"/views.js": "text/javascript", "/views.css": "text/css"}
        if not route.request.url.startswith(HOST):
            trouble.append(f"asked for {route.request.url}")
            route.abort()
        elif path == "/":
            route.fulfill(content_type="text/html", body=PAGE)
        elif path == "/payload.json":
            route.fulfill(content_type="application/json", body=json.dumps(payload))
        elif path in files:
            route.fulfill(content_type=files[path], body=(STATIC / path[1:]).read_text(encoding="utf-8"))
        else:
            route.fulfill(status=204)

    def failed(error: Any) -> None:
        trouble.append(f"failed with {error}")

    def said(message: Any) -> None:
        if message.type == "error":
            trouble.append(f"said {message.text}")

    def make(payload: Any, width: int = 1200, scheme: str = "light", touch: bool = False) -> Any:
        kind = (width, scheme, touch)
        if not idle_pages[kind]:
            context = chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=touch, reduced_motion="reduce"
            )
            idle_pages[kind].append(context.new_page())
        page = idle_pages[kind].pop()
        taken.append((kind, page))
        page.on("pageerror", failed)
        page.on("console", said)
        page.route("**/*", lambda route: answer(route, payload))
        page.mouse.move(0, 0)  # where the last test left it, the view may be
        page.goto(f"{HOST}/")
        page.wait_for_function("globalThis.mounted")
        return page

    yield make
    for kind, page in taken:
        page.goto("about:blank")
        page.unroute_all(behavior="wait")
        page.remove_listener("pageerror", failed)
        page.remove_listener("console", said)
        idle_pages[kind].append(page)
    assert not trouble, f"The page {'; '.join(trouble)}"
