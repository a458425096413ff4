"""What the site is made of: lessons as pages, a page for teachers, papers whose links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils import colab
from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, exercises, get_exercise, questions
from course_utils.notebooks import files
from course_utils.notebooks.normalise import parse_cell
from course_utils.notebooks.site import build, lessons, papers, slides, teachers
from course_utils.pictures import VIEW_TYPE
from tests.notebooks.test_pages import PIXEL

ROOT = Path(__file__).parents[2]
ADDRESS = "https://github.com/who/what"
VIEW = {"view": "heads", "version": 1, "data": {"text": "</script><b>"}, "words": "A map of 2 heads."}


@pytest.fixture
def place(tmp_path: Path) -> lessons.Place:
    return lessons.Place(tmp_path / "stills", "../_static/stills", "1.2.3", ADDRESS)


def lesson() -> NotebookNode:
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://x)"
    picture = new_output("display_data", {"image/png": PIXEL, "text/plain": "2 bars. a 1; b 2."})
    view = new_output("display_data", {"image/png": PIXEL, "text/plain": VIEW["words"], VIEW_TYPE: VIEW})
    return new_notebook(
        cells=[
            new_markdown_cell(f"# 1 · Small\n\n{badge}\n\n" + "word " * 500),
            new_code_cell(f"{colab.MARK} x", outputs=[]),
            new_code_cell("draw()", outputs=[picture]),
            new_code_cell("show()", outputs=[view]),
            new_code_cell("def split_tokens(model, text):\n    raise NotImplementedError"),
            new_code_cell('split_tokens = check("1.1", split_tokens)'),
            new_markdown_cell("<!-- answer 1.8q -->\n**Question.** Is it true?\n\n*Your answer here.*"),
        ]
    )


def test_a_picture_on_a_page_has_its_words(place: lessons.Place) -> None:
    cell = lessons.page(lesson(), "01_small", place).cells[2]
    assert cell.metadata["mystnb"] == {"image": {"alt": "2 bars. a 1; b 2."}}
    assert "image/png" in cell.outputs[0].data


def test_a_view_is_its_data_beside_its_still(place: lessons.Place) -> None:
    (output,) = lessons.page(lesson(), "01_small", place).cells[3].outputs
    assert list(output.data) == ["text/html"]
    figure = BeautifulSoup(output.data["text/html"], "html.parser").select_one("figure.course-view")
    assert figure is not None and figure["data-view"] == "heads"
    script, image = figure.select_one("script[type='application/json']"), figure.select_one("img")
    assert script is not None and json.loads(script.text) == VIEW  # the data hold the end of a script
    assert image is not None and image["alt"] == VIEW["words"]
    assert (place.stills / str(image["src"]).rsplit("/", 1)[1]).read_bytes().startswith(b"\x89PNG")
    assert lessons.first_view(lesson(), place) == output.data["text/html"]
    assert lessons.first_view(lesson(), place, "other") == ""


def test_words_are_text_wherever_a_page_shows_them(place: lessons.Place) -> None:
    """A picture's words, its name, a title: none is markup, and none ends the attribute in which it stands."""
    said = """So: <b>"5 < 6" & 'more'</b>"""
    image = new_output("display_data", {"image/png": PIXEL, "text/plain": said})
    alone = new_output("display_data", {"text/plain": said})
    drawn = new_output("display_data", {"text/plain": said, VIEW_TYPE: {**VIEW, "view": said}})
    pages = [lessons.still(image, place), lessons.still(alone, place), lessons.view(drawn, place)]
    pictured, worded, viewed = (BeautifulSoup(page, "html.parser") for page in pages)
    assert pictured.select("img")[0]["alt"] == worded.select("p")[0].text == viewed.select("p")[0].text == said
    assert viewed.select("figure")[0]["data-view"] == said and not viewed.select("b")
    titled = new_notebook(cells=[new_markdown_cell(f"# {said}\n\nWords.")])
    deck = BeautifulSoup(slides.deck(titled, "01_small", place), "html.parser")
    assert deck.h1 is not None and deck.h1.text == said and not deck.select("b")


def test_the_badge_becomes_a_line_of_links(place: lessons.Place) -> None:
    source = lessons.page(lesson(), "01_small", place).cells[0].source
    assert "colab-badge" not in source
    assert "(https://colab.research.google.com/github/who/what/blob/v1.2.3/notebooks/01_small.ipynb)" in source
    assert "(https://kaggle.com/kernels/welcome?src=" + ADDRESS + "/blob/v1.2.3/notebooks/01_small.ipynb)" in source
    assert "(https://mybinder.org/v2/gh/who/what/v1.2.3?urlpath=lab%2Ftree%2Fnotebooks%2F01_small.ipynb)" in source
    assert "[with solutions](../solved/01_small.ipynb)" in source and "3 min to read" in source


def test_the_setup_cell_is_folded(place: lessons.Place) -> None:
    first, second = lessons.page(lesson(), "01_small", place).cells[1:3]
    assert first.metadata["tags"] == ["hide-input"] and "tags" not in second.metadata


def test_a_solved_twin_folds_the_reference_and_says_what_its_check_says(place: lessons.Place) -> None:
    page = lessons.solved_page(lesson(), "01_small", place)
    answer, check = page.cells[4:6]
    assert "NotImplementedError" not in answer.source and "def split_tokens(" in answer.source
    assert answer.metadata["tags"] == ["hide-input"]
    exercise = get_exercise("1.1")
    assert check.outputs[0].text.startswith("✓ 1.1") and exercise.shows in check.outputs[0].text
    assert page.cells[0].source.startswith("# 1 · Small · with solutions\n") and page.metadata["nosearch"]
    assert "[without solutions](../notebooks/01_small.ipynb)" in page.cells[0].source


@pytest.mark.parametrize(("text", "said"), [("? 1.a What?\n   a  this\n", True), ("✓ 1.1 · 1 of 1 points.\n", True),
                                            ("depth  rank\n    0     7\n", False)])  # fmt: skip
def test_what_the_course_says_is_broken_into_lines_and_a_table_is_not(
    place: lessons.Place, text: str, said: bool
) -> None:
    cell = new_code_cell("reveal(...)", outputs=[new_output("stream", name="stdout", text=text)])
    (shown,) = lessons.page(new_notebook(cells=[cell]), "01", place).cells
    assert ("said" in shown.metadata.get("tags", [])) == said


def test_the_committed_lesson_is_left_as_it_is(place: lessons.Place) -> None:
    before = lesson()
    given = lesson()
    lessons.page(given, "01_small", place)
    lessons.solved_page(given, "01_small", place)
    assert [{**cell, "id": ""} for cell in given.cells] == [{**cell, "id": ""} for cell in before.cells]


def test_a_teacher_reads_timing_mistakes_and_what_to_look_for() -> None:
    page = teachers.page(lesson(), "01_small", "Bring a dictionary.")
    exercise = get_exercise("1.1")
    assert page.startswith("# 1 · Small, for teachers\n") and "Bring a dictionary." in page
    assert f"| 1.1 | {exercise.title} | {exercise.minutes} | {exercise.points} |" in page
    assert all(f"- **{mistake.name}.** {mistake.says}" in page for mistake in exercise.mistakes) and exercise.mistakes
    (question,) = [one for one in questions(1) if one.id == "1.8q"]
    assert "> **Question.** Is it true?" in page and f"> {question.answer}" in page
    assert all(f"- {point}" in page for point in question.looks_for)


@pytest.mark.parametrize("lesson", sorted(LESSONS))
def test_a_teacher_reads_what_the_check_says(lesson: str) -> None:
    """Each character of it: `__init__` is no bold "init"."""
    for mistake in (mistake for exercise in exercises(lesson) for mistake in exercise.mistakes):
        shown = BeautifulSoup(MarkdownIt().renderInline(teachers.as_written(mistake.says)), "html.parser")
        assert shown.get_text() == mistake.says.replace("`", "")
        assert len(shown.select("code")) == mistake.says.count("`") // 2 and not shown.select("strong, em, a")


def test_a_teacher_reads_what_to_ask_before_a_cell_runs() -> None:
    asks = new_markdown_cell("Prose. **Predict first:** into how\nmany tokens?\n\nNot this.")
    page = teachers.page(new_notebook(cells=[*lesson().cells, asks]), "01_small")
    assert "## Before it runs" in page and "- Into how many tokens?\n" in page and "Not this" not in page
    assert "Before it runs" not in teachers.page(lesson(), "01_small")


def parts() -> NotebookNode:
    """A lesson with a part that asks, one that only shows, one with nothing to show, its end, and what comes after."""
    picture = new_output("display_data", {"image/png": PIXEL, "text/plain": "2 bars. a 1; b 2."})
    view = new_output("display_data", {"image/png": PIXEL, "text/plain": VIEW["words"], VIEW_TYPE: VIEW})
    return new_notebook(
        cells=[
            *lesson().cells[:1],
            new_markdown_cell("## It `asks`\n\nMany words.\n\n**Predict first:** into how\nmany tokens?"),
            new_code_cell("draw()", outputs=[picture]),
            new_code_cell("show()", outputs=[view]),
            *lesson().cells[4:6],
            new_markdown_cell("## It shows\n\nOf $x^2$ this.\n\nAnd more.\n\n## Only words\n\nHere."),
            new_markdown_cell("## It shows too\n\n" + "word " * 100),
            new_code_cell("draw()", outputs=[picture]),
            new_markdown_cell("## What was learned\n\nThat:\n\n- one thing\n- another"),
            new_markdown_cell("## Further\n\n**Predict first:** not this?"),
        ]
    )


def slides_of(notebook: NotebookNode, place: lessons.Place) -> list[Tag]:
    return list(BeautifulSoup(slides.deck(notebook, "01_small", place), "html.parser").select("section"))


def test_a_slide_asks_and_folds_the_picture(place: lessons.Place) -> None:
    opening, asks, shows_too, end = slides_of(parts(), place)
    assert opening.h1 is not None and opening.h1.text == "1 · Small"
    assert [link["href"] for link in opening.select("a")] == ["../notebooks/01_small.html", "../teachers/01_small.html"]
    assert str(asks.h2) == "<h2>It <code>asks</code></h2>" and "Many words" not in asks.text
    assert asks.select_one(".asked li").text == "Into how many tokens?"  # type: ignore[union-attr]
    (image,) = asks.select("details img")
    assert image["alt"] == VIEW["words"]  # the view, and not the picture before it
    assert (place.stills / str(image["src"]).rsplit("/", 1)[1]).is_file()
    exercise = get_exercise("1.1")
    assert f"Exercises: 1.1 {exercise.title} ({exercise.minutes} min)" in asks.text
    assert not shows_too.select("details") and len(shows_too.select("img")) == 1 and "word word" not in shows_too.text
    assert [point.text for point in end.select("li")] == ["one thing", "another"]
    assert "That:" not in end.text and end.select_one(".number").text == "4 / 4"  # type: ignore[union-attr]


def test_a_slide_reads_an_exercises_title_as_markdown(place: lessons.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its other two places do, the notebook and the teachers' page."""
    monkeypatch.setattr(slides, "get_exercise", lambda id: replace(get_exercise(id), title="The `k` & *more*"))
    told = slides_of(parts(), place)[1].select(".quiet")[-1]
    assert [str(one) for one in told.select("code, em")] == ["<code>k</code>", "<em>more</em>"]
    assert "1.1 The k & more (" in told.text and not told.select("p")


def test_a_slide_without_a_question_says_how_its_part_begins(place: lessons.Place) -> None:
    notebook = parts()
    notebook.cells[6].source = "## It shows\n\nOf $x^2$ this.\n\nAnd more."
    notebook.cells.insert(7, notebook.cells[2])
    shows = slides_of(notebook, place)[2]
    assert shows.select_one("math") is not None and "And more" not in shows.text and not shows.select("details")


def test_a_slide_asks_all_that_its_part_asks_as_markdown(place: lessons.Place) -> None:
    notebook = parts()
    asks = new_markdown_cell('**Predict first:** after *The* `"x"`, and with 1 < 2 & 3?\n\nNot this.')
    notebook.cells.insert(2, asks)
    asked = slides_of(notebook, place)[1].select(".asked li")
    assert [one.text for one in asked] == ["Into how many tokens?", 'After The "x", and with 1 < 2 & 3?']
    assert [[tag.name for tag in one.select("*")] for one in asked] == [[], ["em", "code"]]


def test_a_lesson_without_questions_says_so() -> None:
    assert "This lesson asks for none." in teachers.page(new_notebook(cells=lesson().cells[:6]), "01_small")


def test_links_between_papers_lead_to_their_pages() -> None:
    text = "[a](docs/marking.md#whose) [b](LICENSE) [c](https://x.org/y) [d](#here) [e](CHANGELOG.md)"
    led = papers.with_links(text, "CONTRIBUTING.md", "contributors/changing-a-lesson.md", ROOT, ADDRESS)
    assert led == (
        f"[a](../teachers/marking.md#whose) [b]({ADDRESS}/blob/main/LICENSE) [c](https://x.org/y) [d](#here) "
        "[e](../contributors/changelog.md)"
    )


def test_the_frame_links_to_files_and_leads_to_pages() -> None:
    text = "[a](../notebooks/01_tokens_and_logits.ipynb) [b](marking.md) [c](for-teachers.md) [d](../CONTRIBUTING.md)"
    led = papers.with_links(text, "docs/index.md", "index.md", ROOT, ADDRESS)
    assert led == (
        "[a](notebooks/01_tokens_and_logits.ipynb) [b](teachers/marking.md) [c](for-teachers.md) "
        "[d](contributors/changing-a-lesson.md)"
    )


def test_the_table_of_families_has_each() -> None:
    from course_utils.model.tiny import TINY_MODELS

    lines = papers.families().splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(TINY_MODELS)


def test_the_reference_has_a_page_for_each_lesson_and_module() -> None:
    pages = papers.reference(list(LESSONS.values()))
    for module in [f"course_utils.{name}" for name in LESSONS.values()] + ["course_utils.pictures.plots"]:
        assert f".. automodule:: {module}\n" in pages[f"reference/{module}.rst"]
        assert module in pages["reference/index.md"]


def home_of(module: str, name: str) -> str:
    """The module in which what is imported was written; itself, if it is one. "" for a constant."""
    try:
        thing = getattr(importlib.import_module(module), name)
    except AttributeError:
        return f"{module}.{name}"
    return thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", "")


def test_what_the_lessons_import_can_be_looked_up() -> None:
    """Each function, class and module of ours that a lesson imports, at its home; not its constants."""
    pages = {Path(page).stem for page in papers.reference(list(LESSONS.values()))}
    pages |= {"", "course_utils.colab", "course_utils.pictures.views"}  # constants; the setup cell; each view has one
    missing: set[str] = set()
    for path in files.lessons(ROOT):
        code = [cell.source for cell in files.read(path).cells if cell.cell_type == "code"]
        imports = [one for source in code for one in parse_cell(source) if isinstance(one, ast.ImportFrom)]
        for one in (one for one in imports if (one.module or "").startswith("course_utils")):
            for name in one.names:
                missing |= {home_of(str(one.module), name.name)} - pages
    assert not missing


def docstrings(module: str) -> Iterator[tuple[str, str]]:
    """A module's public docstrings, each with its place."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield f"{module}, {getattr(node, 'name', 'itself')}", text


def test_what_a_docstring_lists_is_a_list_on_its_page() -> None:
    """Sphinx sees an argument at the beginning of a line, and code after a double colon."""
    wrong = []
    pages = [Path(page) for page in papers.reference(list(LESSONS.values())) if page.endswith(".rst")]
    for place, text in (one for page in pages for one in docstrings(page.stem)):
        for section in re.findall(r"^(?:Args|Attributes):\n((?:    .*\n?)+)", text, re.MULTILINE):
            wrong += [f"{place}: {line}" for line in section.splitlines() if re.search(r"[.;] [a-z_]+: ", line)]
        wrong += [f"{place}: {block}" for block in re.findall(r"(?<!:)(?<!:\n)\n\n    (.*)", text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_the_source_has_every_page_and_no_gap(tmp_path: Path) -> None:
    build.write_source(ROOT, tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    for path in files.lessons(ROOT):
        assert {f"notebooks/{path.name}", f"solved/{path.name}", f"teachers/{path.stem}.md"} <= written
    for page in tmp_path.glob("*.md"):
        assert "{{" not in page.read_text(encoding="utf-8")
    assert "<img" in (tmp_path / "index.md").read_text(encoding="utf-8")


def test_without_sphinx_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CourseError, match=r"needs Sphinx and MyST-NB; `make site` installs them"):
        build.build(ROOT, tmp_path / "site", tmp_path / "work")


def test_a_lesson_that_the_readme_leaves_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("| 1 | a | b | 5 min | x |\n", encoding="utf-8")
    assert build._row("01_small", tmp_path) == "| [1 · a](notebooks/01_small.ipynb) | b | 5 min |"
    with pytest.raises(CourseError, match="no line for lesson 2, 02_other"):
        build._row("02_other", tmp_path)


def test_where_a_page_lies_decides_what_its_stills_are_called(place: lessons.Place) -> None:
    at_start = replace(place, address="_static/stills")
    assert 'src="_static/stills/' in lessons.first_picture(lesson(), "2 bars", at_start)
    assert lessons.first_picture(lesson(), "no such words", at_start) == ""
