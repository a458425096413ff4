"""A notebook as one page: nothing in it comes from elsewhere, and nothing in it is cut off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.errors import CourseError
from course_utils.notebooks import files, pages
from course_utils.notebooks.mathml import mathml
from course_utils.notebooks.normalise import words_of_picture

ROOT = Path(__file__).parents[2]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def page_of(folder: Path, *cells: object) -> BeautifulSoup:
    path = pages.write_page(new_notebook(cells=list(cells)), "x", folder)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_a_picture_has_its_words(tmp_path: Path) -> None:
    words = 'Heat map "a < b" & c.'
    picture = new_output("display_data", {"image/png": PIXEL, "text/plain": words})
    page = page_of(tmp_path, new_code_cell("f()", outputs=[picture]))
    (image,) = page.select("img")
    assert image["alt"] == words and str(image["src"]).startswith("data:image/png;base64,")


def test_nothing_is_fetched(tmp_path: Path) -> None:
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.example/x.ipynb)"
    )
    page = page_of(tmp_path, new_markdown_cell(f"# Title\n\n{badge}\n\n$x^2$ and `$y$`"), new_code_cell("1"))
    fetched = page.select("script[src], link[href], img[src^=http], iframe")
    assert fetched == [] and "import(" not in str(page) and not re.search(r"url\(.?https?:", str(page))
    (link,) = page.select("a[href='https://colab.example/x.ipynb']")
    assert link.text == "Open in Colab"


def test_formulas_are_mathml_and_code_stays_code(tmp_path: Path) -> None:
    page = page_of(tmp_path, new_markdown_cell("$-\\log_2 p$, `$y$`\n\n$$\\frac{a}{b}$$"))
    inline, block = page.select("math")
    assert inline["display"] == "inline" and inline.select_one("msub") is not None
    assert block["display"] == "block" and block.select_one("mfrac") is not None
    assert page.select_one("p code").text == "$y$"  # type: ignore[union-attr]


def test_a_formula_that_is_none_is_named() -> None:
    with pytest.raises(CourseError, match=r"the formula .* is not LaTeX"):
        mathml("\\left( a")


@pytest.mark.parametrize("path", files.lessons(ROOT), ids=lambda path: path.stem)
def test_every_picture_of_a_lesson_says_what_it_shows(path: Path) -> None:
    outputs = [output for cell in files.read(path).cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for output in pictures:
        words = words_of_picture(output)
        assert len(words.split()) >= 5 and not words.startswith("Picture")
        assert output.metadata["image/png"]["alt"] == words
