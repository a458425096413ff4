"""The site as a reader meets it: built once from the committed lessons, looked at in Chromium."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_output

from course_utils.notebooks import files
from course_utils.notebooks.site import lessons
from course_utils.notebooks.site.build import build
from course_utils.pictures import VIEW_TYPE
from course_utils.pictures.views.view import STATIC
from tests.browser import screenshots
from tests.notebooks.test_pages import PIXEL
from tests.pictures.views import examples

ROOT = Path(__file__).parents[2]
LESSONS = [path.stem for path in files.lessons(ROOT)]
WIDE, NARROW = {"width": 1200, "height": 900}, {"width": 400, "height": 900}
# One page of each kind for what takes long; the quick checks go over all.
KINDS = (
    "index", "notebooks/05_steering", "solved/04_logit_lens", "teachers/06_ioi_patching", "slides/06_ioi_patching",
    "glossary", "benchmarks",
    "reference/course_utils.tokens", "families", "contributors/changing-a-lesson", "search",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(ROOT, folder / "site", folder / "work")
    return folder / "site"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Where a server of this machine, on a port of its own, gives out the files of `folder`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with served(site) as found:
        yield found


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)  # there: the theme's templates


def test_the_same_commit_gives_the_same_bytes(site: Path, tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        found = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    build(ROOT, tmp_path / "again", tmp_path / "work")
    assert digests(tmp_path / "again") == digests(site)


def test_every_lesson_is_a_page_that_offers_its_committed_file(site: Path) -> None:
    for name in LESSONS:
        assert (site / "solved" / f"{name}.html").is_file() and (site / "teachers" / f"{name}.html").is_file()
        page = BeautifulSoup((site / "notebooks" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        (download,) = page.select("a[download]")
        file = (site / "notebooks" / str(download["href"])).resolve()
        assert file.read_bytes() == (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()
        leads = {str(link["href"]).split("/")[2] for link in page.select("article a[href^=https]")}
        assert {"colab.research.google.com", "kaggle.com", "mybinder.org"} <= leads
        assert "min to read" in page.text


def test_no_link_within_the_site_leads_nowhere(site: Path) -> None:
    read = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages(site)}
    anchors = {path: {tag["id"] for tag in page.select("[id]")} for path, page in read.items()}
    lost = []
    for path, page in read.items():
        for tag, attribute in (("a", "href"), ("link", "href"), ("img", "src"), ("script", "src")):
            for one in page.find_all(tag, attrs={attribute: True}):
                target, anchor = urldefrag(str(one[attribute]))
                if re.match(r"[a-z]+:|//", target) or str(one[attribute]) == "#":
                    continue
                place = (path.parent / unquote(target.split("?")[0])).resolve() if target else path
                if not place.is_file() or (anchor and place in anchors and unquote(anchor) not in anchors[place]):
                    lost.append((path.relative_to(site).as_posix(), one[attribute]))
    assert lost == []


def test_the_reference_shows_what_is_written_and_no_wall_of_values(site: Path) -> None:
    """Not what a default is in memory (`<built-in method ...>`), nor every value of a long table."""
    for path in sorted((site / "reference").glob("course_utils.*.html")):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for signature in page.select("dl.py > dt"):
            said = " ".join(signature.get_text().split())
            assert not re.search(r"<|~|Ellipsis", said), (path.name, said)
        for constant in page.select("dl.py.data > dt"):
            assert len(constant.get_text()) < 400, (path.name, constant.get_text()[:80])


def test_every_picture_has_words(site: Path) -> None:
    for path in pages(site):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for image in page.select("article img"):
            words = str(image.get("alt", ""))
            assert len(words) > 20 and not words.endswith(".png"), (path.name, words)


@pytest.mark.parametrize("width", [WIDE, NARROW], ids=["1200", "400"])
def test_no_page_scrolls_sideways_and_no_request_leaves(site: Path, address: str, chromium: Any, width: dict) -> None:
    page = chromium.new_page(viewport=width)
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    for path in pages(site):
        page.goto(f"{address}/{path.relative_to(site).as_posix()}")
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= width["width"], f"{path.relative_to(site)} is {across} wide"
        beside = "(all) => all.map((one) => one.getBoundingClientRect()).filter((box) => box.right > innerWidth).length"
        ways = page.locator(".prev-next-area a, .prev-next-area a *")
        assert ways.evaluate_all(beside) == 0, f"{path.relative_to(site)}: the way to the next page is cut off"
        page.wait_for_function("!document.querySelector('figure.course-view:not(.alive)')")
        # The page's own style for tables must not make a view's grid run under the card beside it.
        over = page.evaluate(
            "() => [...document.querySelectorAll('.course-view .cv-grid')].map("
            "(grid) => grid.getBoundingClientRect().right - grid.parentElement.getBoundingClientRect().right)"
        )
        assert all(beyond <= 0.5 for beyond in over), f"{path.relative_to(site)}: a grid is {over} too wide"
    assert [url for url in asked if not url.startswith((address, "data:"))] == [] and failed == []
    page.close()


# Colours do not hang on the width: two of the four show both widths and both modes.
@pytest.mark.parametrize(("width", "mode"), [(WIDE, "light"), (NARROW, "dark")], ids=["1200-light", "400-dark"])
def test_axe_finds_nothing(address: str, chromium: Any, width: dict[str, int], mode: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(viewport=width, color_scheme=mode)
    found = {}
    for name in KINDS:
        page = context.new_page()
        page.goto(f"{address}/{name}.html")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)  # the theme fades into its dark colours: what is judged is where it arrives
        seen = Axe().run(page).response["violations"]
        if seen:
            found[name] = [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in seen]
        page.close()
    context.close()
    assert found == {}


def test_slides_fit_their_window_and_turn_with_the_keys(address: str, chromium: Any) -> None:
    page = chromium.new_page(viewport=WIDE, reduced_motion="reduce")
    for name in LESSONS:
        page.goto(f"{address}/slides/{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        heights = page.locator("section").evaluate_all("all => all.map((one) => one.getBoundingClientRect().height)")
        assert 7 <= len(heights) <= 16 and max(heights) <= WIDE["height"], (name, heights)
    number = lambda: page.evaluate("Math.round(scrollY / innerHeight) + 1")  # noqa: E731
    seen = [number()]
    keys = ("ArrowRight", "ArrowDown", " ", "PageDown", "ArrowLeft", "End", "ArrowRight", "PageUp", "Home", "ArrowUp")
    for key in keys:
        page.keyboard.press(key)
        seen.append(number())
    assert seen == [1, 2, 3, 4, 5, 4, len(heights), len(heights), len(heights) - 1, 1, 1]
    page.goto(f"{address}/slides/{LESSONS[0]}.html")
    fold = page.locator("summary").first
    fold.press(" ")
    fold.press(" ")  # on what unfolds, the space bar unfolds and turns nothing
    assert page.locator("details[open]").count() == 0 and number() < 4
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.close()


def test_the_readmes_screenshots_show_what_is_there(
    site: Path, address: str, chromium: Any, open_view: Callable[..., Any]
) -> None:
    if os.environ.get("COURSE_SCREENSHOTS"):
        screenshots.take_view(open_view)
        screenshots.take_page(chromium, address, site)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    today = {screenshots.VIEW: screenshots.digest_of_view(), screenshots.PAGE: screenshots.digest_of_page(site)}
    for picture, digest in today.items():
        assert re.search(rf"!\[.{{40,}}\]\({picture.relative_to(ROOT).as_posix()}\)", readme), "with words of its own"
        assert picture.stat().st_size < 150_000
        assert screenshots.digest_in(picture) == digest, "`make screenshots` takes it anew; then look at it"


def test_dark_is_dark_and_the_button_switches(address: str, chromium: Any) -> None:
    def ground(page: Any) -> int:
        return int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))

    grounds, switched = {}, {}
    for mode in ("light", "dark"):
        page = chromium.new_page(color_scheme=mode, viewport=WIDE)
        page.goto(f"{address}/notebooks/{LESSONS[0]}.html")
        grounds[mode] = ground(page)
        other = "Light" if mode == "dark" else "Dark"
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator("button.theme-change-button:visible", has_text=other).click()
        switched[mode] = ground(page)
        page.close()
    assert grounds["dark"] < 64 < 192 < grounds["light"]
    assert switched == {"light": grounds["dark"], "dark": grounds["light"]}


def test_the_card_of_a_tall_view_stays_in_sight(address: str, chromium: Any) -> None:
    """What scrolls of a lesson's page would hold it back."""
    for size in ({"width": 1200, "height": 700}, NARROW):
        page = chromium.new_page(viewport=size)
        page.goto(f"{address}/notebooks/04_logit_lens.html")
        page.wait_for_selector("figure.course-view.alive")
        for depth in (0, 30):
            page.locator(f'[data-view="lens"] [data-row="{depth}"]').first.hover()
            box = page.locator('[data-view="lens"] .cv-card').bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], (size, depth)
        page.close()


def test_the_dark_look_is_not_printed(address: str, chromium: Any) -> None:
    page = chromium.new_page(color_scheme="dark")
    page.goto(f"{address}/glossary.html")
    page.evaluate(
        "() => addEventListener('beforeprint', () => {"
        "globalThis.printed = ['body', 'h1'].map((one) => getComputedStyle(document.querySelector(one)).color); })"
    )
    page.pdf()
    for colour in page.evaluate("globalThis.printed"):
        assert max(map(int, re.findall(r"\d+", colour)[:3])) < 100, f"{colour} on white paper"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


def test_search_finds_a_lesson_and_not_its_twin(address: str, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/search.html?q=perplexity")
    page.wait_for_selector("ul.search li a")
    page.wait_for_timeout(500)
    found = [urljoin(page.url, link.get_attribute("href")) for link in page.query_selector_all("ul.search li a")]
    assert any("/notebooks/01_tokens_and_logits" in one for one in found)
    assert any("/glossary" in one for one in found)
    assert not any("/solved/" in one for one in found)
    page.close()


def test_mathematics_is_shown(address: str, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/notebooks/05_steering.html")
    formula = page.locator("math", has=page.locator("mfrac")).first
    box = formula.bounding_box()
    # A fraction is taller than a line; LaTeX that was not understood is text on one.
    assert box["height"] > 1.5 * page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert page.locator("article").inner_text().count("\\frac") == 0
    page.close()


def test_a_solution_is_folded_until_one_asks(address: str, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/solved/01_tokens_and_logits.html")
    fold = page.locator("details", has_text="Show the solution").first
    assert fold.locator("pre").first.is_hidden()
    fold.locator("summary").click()
    assert fold.locator("pre").first.is_visible() and "def split_tokens" in fold.inner_text()
    setup = page.locator("details", has_text="Show the setup cell").first
    assert setup.locator("pre").first.is_hidden()
    page.close()


def page_with_view(folder: Path, payload: dict[str, Any]) -> Path:
    """A page of the site with nothing on it but this view, as a lesson's page has it."""
    output = new_output(
        "display_data", {"image/png": PIXEL, "text/plain": payload["words"], VIEW_TYPE: payload}
    )  # fmt: skip
    place = lessons.Place(folder / "stills", "stills", "1.0", "https://github.com/who/what")
    for file in (*STATIC.iterdir(), ROOT / "docs" / "_static" / "site.js", ROOT / "docs" / "_static" / "site.css"):
        shutil.copy(file, folder)
    page = f"""<!doctype html><meta charset="utf-8"><title>A view</title><link rel="icon" href="data:,">
        <link rel="stylesheet" href="site.css"><script src="site.js"></script>{lessons.view(output, place)}"""
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["patching_map", "lens", "attention"])
def test_a_view_comes_to_life_on_a_page(name: str, chromium: Any, tmp_path: Path) -> None:
    payload = getattr(examples, name)().payload
    with served(page_with_view(tmp_path, payload)) as address:
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_selector("figure.course-view.alive")
        assert page.locator("figure > img").is_hidden() and page.locator("figure > div").is_visible()
        page.close()


def test_a_view_that_cannot_live_stays_a_still_with_its_words(chromium: Any, tmp_path: Path) -> None:
    payload = {"view": "lens", "version": 1, "data": {}, "words": "A map of 2 heads."}
    with served(page_with_view(tmp_path, payload)) as address:
        page, said = chromium.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.goto(address)
        page.wait_for_function("!document.querySelector('figure > div')")
        assert page.locator("figure > img").is_visible() and page.get_by_alt_text("A map of 2 heads.").count() == 1
        page.wait_for_timeout(100)
        assert any("stays a still" in one for one in said)
        page.close()
        bare = chromium.new_context(java_script_enabled=False)
        page = bare.new_page()
        page.goto(address)
        assert page.locator("figure > img").is_visible()
        bare.close()


def test_what_scrolls_is_reached_by_keyboard(address: str, chromium: Any) -> None:
    page = chromium.new_page(viewport=NARROW)
    page.goto(f"{address}/notebooks/{LESSONS[0]}.html")
    wide = "[...document.querySelectorAll('article pre')].filter(one => one.scrollWidth > one.clientWidth)"
    assert page.evaluate(f"{wide}.length") > 5
    assert page.evaluate(f"{wide}.every(one => one.tabIndex === 0)")
    page.close()
