"""An exercise's words stand once: what the tool writes into a lesson, and that every lesson is as it writes it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils import cli
from course_utils import exercises as course
from course_utils.exercises import LESSONS, Case, Exercise, Hint, exercises, hint
from course_utils.notebooks import exercise_text, files, furnish

ROOT = Path(__file__).parents[2]
COMMITTED = files.lessons(ROOT)

lesson = pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])


@pytest.mark.slow
@lesson
def test_lesson_has_the_words_of_its_exercises(path: Path) -> None:
    notebook = files.read(path)
    assert list(map(str, exercise_text.problems(notebook))) == []
    written = furnish.furnish(notebook, path.stem, **files.project_settings(ROOT))
    assert written == notebook, "run `course notebooks furnish`"
    assert furnish.furnish(written, path.stem, **files.project_settings(ROOT)) == written


@pytest.mark.slow
@lesson
def test_a_change_in_any_exercise_is_seen_in_its_lesson_and_undone_by_the_tool(path: Path) -> None:
    """Also that each exercise's words are found where they stand, and not written a second time beside them."""
    notebook = files.read(path)
    for exercise in exercises(int(path.stem[:2])):
        changed = replace(
            exercise, title="Another", minutes=99, hints=(Hint("a new title", "New."), *exercise.hints[1:])
        )
        course.register(changed)
        try:
            found = exercise_text.problems(notebook)
            assert found and all(f"exercise {exercise.id} " in problem.text for problem in found)
            drifted = copy.deepcopy(notebook)
            exercise_text.write_exercises(drifted)
        finally:
            course._registered.pop(exercise.id)
        texts = "".join(cell.source for cell in drifted.cells)
        assert texts.count(f"### {exercise.id} · Another\n`99 min` · ") == 1
        assert texts.count("<details><summary>Hint 1: a new title</summary>New.</details>") == 1
        assert texts.count("<details>") == "".join(cell.source for cell in notebook.cells).count("<details>")
        exercise_text.write_exercises(drifted)
        assert drifted == notebook


# The hints that every lesson has


@pytest.mark.parametrize("number", LESSONS)
def test_a_hint_is_well_formed(number: str) -> None:
    for exercise in exercises(number):
        for each in exercise.hints:
            for words in (each.title, each.text):
                assert words == words.strip(), f"{exercise.id}: {words!r}"
                assert words.count("`") % 2 == 0, f"{exercise.id}: a backtick without its fellow in {words!r}"
                assert "<code>" not in words and "&lt;" not in words, f"{exercise.id}: HTML in {words!r}"
            folded = exercise_text.folded_hint(1, each)
            assert "\n\n" not in folded, f"{exercise.id}: an empty line ends the fold: {folded}"


# The tool


def double(x: int) -> int:
    """Twice x."""
    return 2 * x


MADE_UP = Exercise(
    id="99.7",
    title="Twice",
    minutes=5,
    points=1,
    difficulty=2,
    reference=double,
    shows="",
    hints=(
        Hint("which sign?", "Use `x * 2 < y & z` or `+`."),
        Hint("a loop", "So:\n```\nfor _ in range(2):\n    x += 1\n```"),
    ),
    draw=lambda rng: [Case("a number", (rng.randrange(9),))],
)
HEADING = "### 99.7 · Twice\n`5 min` · `1 point` · `●●○`"
HINTS = (
    "<details><summary>Hint 1: which sign?</summary>"
    "Use <code>x * 2 &lt; y &amp; z</code> or <code>+</code>.</details>\n"
    "<details><summary>Hint 2: a loop</summary>So:\n<pre>for _ in range(2):\n    x += 1</pre>\n</details>"
)


@pytest.fixture(autouse=True)
def made_up() -> Iterator[None]:
    course.register(MADE_UP)
    course._hints_given.clear()
    yield
    course._registered.pop("99.7")


def lesson_with(*prose: str) -> NotebookNode:
    """A lesson with the exercise, whose text is in these cells."""
    shown = [new_output("stream", name="stdout", text="✓\n")]
    return new_notebook(
        cells=[
            new_markdown_cell("# A lesson"),
            *map(new_markdown_cell, prose),
            new_markdown_cell("<!-- answer 99.7q -->\n*Your words here.*"),
            new_code_cell("def double(x):\n    raise NotImplementedError"),
            new_code_cell('double = check("99.7", double)', execution_count=2, outputs=shown),
            new_markdown_cell("The end."),
        ]
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["Build it."], [f"{HEADING}\n\nBuild it.\n\n{HINTS}"]),
        (["### 99.7 · Old\n\nBuild it."], [f"{HEADING}\n\nBuild it.\n\n{HINTS}"]),
        (["### 99.7 · Old\n\n`7 min` · `2 points` · `●○○`\nBuild it."], [f"{HEADING}\n\nBuild it.\n\n{HINTS}"]),
        (
            ["So much for that.\n\n### 99.7 · Old", "Build it."],
            [f"So much for that.\n\n{HEADING}", f"Build it.\n\n{HINTS}"],
        ),
        (
            [
                HEADING,
                "Build it.\n\n<details><summary>Hint 1: x</summary>\nOld.</details>\n"
                "<details>\n<summary>Hint 2: y</summary>Old.</details>\n\nAnd then?",
            ],
            [HEADING, f"Build it.\n\n{HINTS}\n\nAnd then?"],
        ),
        (
            [HEADING, "<details><summary>Hint 1: x</summary>Old.</details>", "Last words."],
            [HEADING, HINTS, "Last words."],
        ),
        (
            [HEADING, "<details><summary>How it is proved</summary>By hand.</details>"],
            [HEADING, f"<details><summary>How it is proved</summary>By hand.</details>\n\n{HINTS}"],
        ),
    ],
    ids=["nothing", "title", "facts", "two cells", "more hints than there are", "hints alone", "another fold"],
)
def test_words_are_written_where_they_stand(before: list[str], after: list[str]) -> None:
    notebook = lesson_with(*before)
    others = [cell for index, cell in enumerate(copy.deepcopy(notebook).cells) if not 0 < index <= len(before)]
    assert exercise_text.problems(notebook)
    exercise_text.write_exercises(notebook)
    assert [cell.source for cell in notebook.cells[1 : len(after) + 1]] == after
    assert [cell for index, cell in enumerate(notebook.cells) if not 0 < index <= len(after)] == others
    assert exercise_text.problems(notebook) == []
    once = copy.deepcopy(notebook)
    exercise_text.write_exercises(notebook)
    assert notebook == once


def test_an_exercise_that_nothing_defines_is_left_alone() -> None:
    notebook = lesson_with("### 99.7 · Twice")
    for cell in notebook.cells:
        cell["source"] = cell.source.replace("99.7", "98.1")
    before = copy.deepcopy(notebook)
    exercise_text.write_exercises(notebook)
    assert notebook == before and exercise_text.problems(notebook) == []


def test_a_long_hint_is_broken_between_words() -> None:
    folded = exercise_text.folded_hint(1, Hint("long", "One word after `another word` and so on. " * 20))
    lines = folded.split("\n")
    assert len(lines) > 5 and max(map(len, lines)) <= exercise_text.WIDTH and min(map(len, lines[:-1])) > 100
    assert folded.count("<code>another") == folded.count("word</code>") == 20


def test_hint_prints_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        hint("99.7")
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 2 (which sign?): Use `x * 2 < y & z` or `+`.",
        "Hint 2 of 2 (a loop): So:",
        "```",
        "for _ in range(2):",
        "    x += 1",
        "```",
        'That was the last hint. solution("99.7") shows the reference solution.',
    ]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one lesson, number 1, as it is committed."""
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    files.write(files.read(COMMITTED[0]), tmp_path / "notebooks" / COMMITTED[0].name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_check_reports_a_hint_changed_in_the_code_and_furnish_writes_it(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise = exercises(1)[1]
    changed = replace(exercise, hints=(Hint("which row?", "The last."), *exercise.hints[1:]))
    monkeypatch.setitem(course._registered, exercise.id, changed)
    assert cli.main(["notebooks", "check", "1"]) == 1
    said = capsys.readouterr().err
    assert "does not say of exercise 1.2 what the exercise says; run `course notebooks furnish`" in said
    before = files.read(checkout / "notebooks" / COMMITTED[0].name)
    for told in ("written", "unchanged"):
        assert cli.main(["notebooks", "furnish", "1"]) == 0
        assert f"{COMMITTED[0].name}: {told}" in capsys.readouterr().out
    assert cli.main(["notebooks", "check", "1"]) == 0
    after = files.read(checkout / "notebooks" / COMMITTED[0].name)
    assert "<details><summary>Hint 1: which row?</summary>The last.</details>" in str(after)
    outputs = [[cell.get("outputs") for cell in notebook.cells] for notebook in (before, after)]
    assert outputs[0] == outputs[1]


@lesson
def test_a_lesson_takes_as_long_as_the_readme_says_and_longer_than_its_exercises(path: Path) -> None:
    number = int(path.stem[:2])
    said = re.search(r"\*\*Time:\*\* about (\d+) minutes", files.read(path).cells[0].source)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {number} \|.*\| (\d+) min \|", readme, re.MULTILINE)
    assert said is not None and row is not None and said[1] == row[1]
    assert int(said[1]) > sum(exercise.minutes for exercise in exercises(number))
