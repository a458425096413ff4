"""What is told in several places, none of which can be made of another: the places agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from course_utils.exercises import LESSONS
from course_utils.notebooks import files
from course_utils.notebooks.site.lessons import title_of

ROOT = Path(__file__).parents[2]
COMMITTED = files.lessons(ROOT)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "pyproject.toml", "CITATION.cff"])
def test_a_page_that_says_how_many_lessons_there_are_counts_them_all(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").lower()
    said = re.findall(rf"\b({'|'.join(NUMBERS)}) (?:lessons|notebooks)\b", text)
    assert said and set(said) == {NUMBERS[len(LESSONS)]}


def test_the_readme_lists_the_lessons_by_their_titles() -> None:
    """The site's start page has its list from there."""
    rows = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [f"{number} · {title}" for number, title in rows] == [title_of(files.read(path)) for path in COMMITTED]


@pytest.mark.parametrize(
    "begins", ["Each exercise has a cell", "Where you are asked to predict", "The numbers in the text are those of"]
)
def test_lessons_say_how_they_work_in_the_same_sentences(begins: str) -> None:
    """What holds of one lesson alone comes after them."""
    openings = [files.read(path).cells[0].source for path in COMMITTED]
    said = [line for opening in openings for line in opening.split("\n") if line.startswith(begins)]
    shortest = min(said, key=len)
    assert len(said) > 4 and shortest.count(".") > 1 and all(one.startswith(shortest) for one in said)


def test_the_site_opens_as_the_readme_does() -> None:
    """But that it has lessons where the README has notebooks, and says at once what neither needs."""
    pages = (ROOT / name for name in ("README.md", "docs/index.md"))
    readme, start = (" ".join(page.read_text(encoding="utf-8").split()) for page in pages)
    (shared,) = re.findall(r"\w+ lessons (that .+?) No account", start)
    assert f"notebooks {shared} No account" in readme
