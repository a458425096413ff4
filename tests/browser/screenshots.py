"""The README's two screenshots: a view, and the site's start page. `make screenshots` takes them anew.

Each picture carries a digest of what it shows. A test (`test_site.py`) compares it with what would be shown today, so
that no picture in the README is of a course that is gone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from course_utils.notebooks import files
from course_utils.pictures import VIEW_TYPE
from course_utils.pictures.views.view import STATIC

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screenshots"
VIEW, PAGE = FOLDER / "view.png", FOLDER / "page.png"
LESSON, WANTED = "07_circuits", "circuit"
MARK = "shows"  # the key of the digest in a picture's metadata
SIZE = {"width": 1000, "height": 700}


def payload() -> dict[str, Any]:
    """The data of the view that the README shows, from the committed lesson."""
    cells = files.read(ROOT / "notebooks" / f"{LESSON}.ipynb").cells
    found = (output.get("data", {}).get(VIEW_TYPE) for cell in cells for output in cell.get("outputs", []))
    return next(dict(one) for one in found if one and one["view"] == WANTED)


def digest_of_view() -> str:
    """Of the view's data and of the module and styles that draw them."""
    return _digest(
        json.dumps(payload(), sort_keys=True), *(path.read_text("utf-8") for path in sorted(STATIC.iterdir()))
    )


def digest_of_page(site: Path) -> str:
    """Of what stands on the start page, without the frame around it, and of the styles."""
    article = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser").select_one("article")
    return _digest(str(article), (ROOT / "docs" / "_static" / "site.css").read_text("utf-8"), digest_of_view())


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def digest_in(picture: Path) -> str:
    """The digest that a screenshot carries; "" where it has none."""
    with Image.open(picture) as image:
        return str(image.info.get(MARK, ""))


def keep(shot: bytes, digest: str, place: Path) -> None:
    """Write a screenshot with its digest, in 128 colours, which is enough for a page and a third of the bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        file.write(shot)
        with Image.open(file) as image:
            info = PngInfo()
            info.add_text(MARK, digest)
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(place, optimize=True, pnginfo=info)


def take_view(open_view: Callable[..., Any]) -> None:
    page = open_view(payload(), width=SIZE["width"])
    page.locator('[data-part="2"]').hover()
    page.mouse.move(0, 0)  # else the page scrolls under the pointer, which then points at something else
    keep(page.locator(".course-view").screenshot(), digest_of_view(), VIEW)


def take_page(chromium: Any, address: str, site: Path) -> None:
    page = chromium.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{address}/index.html")
    page.wait_for_selector("figure.course-view.alive")
    keep(page.screenshot(), digest_of_page(site), PAGE)
    page.close()
