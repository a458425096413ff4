"""Questions in words: what to compare with is shown once something was written, and every question has it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from course_utils.exercises import LESSONS, in_words, questions, solution

ROOT = Path(__file__).parents[2]
MARK = "<!-- answer 2.aq -->\n**Question.** What would such a mask do?\nSay why.\n\n"
TOLD = "Write an answer of your own under the question first"


def notebook(text: str) -> dict[str, Any]:
    return {"cells": [{"cell_type": "code", "source": "1"}, {"cell_type": "markdown", "source": text}]}


@pytest.mark.parametrize(
    ("below", "words"),
    [
        ("*Your answer here.*", ""),
        ("", ""),
        ("It looks ahead.", "It looks ahead."),
        ("*Your answer here.*\n\nIt looks\n\nahead.", "It looks\n\nahead."),
        ("It looks ahead.\n\n*Your answer here.*", "It looks ahead."),
    ],
)
def test_what_a_learner_wrote_is_what_stands_below_the_question(below: str, words: str) -> None:
    assert in_words.words_in(notebook(MARK + below), "2.aq") == words
    lines = (MARK + below).splitlines(keepends=True)  # as nbformat stores it
    assert in_words.words_in(notebook(lines), "2.aq") == words  # type: ignore[arg-type]


def test_a_notebook_without_the_question_has_no_words() -> None:
    assert in_words.words_in(notebook("Prose."), "2.aq") is None
    assert in_words.words_in({}, "2.aq") is None


def test_answer_is_shown_only_after_something_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JupyterLab, which names the notebook's file in the kernel's environment."""
    path = tmp_path / "lesson.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    for text, shown in [(None, False), ("{", False), ("*Your answer here.*", False), ("It looks ahead.", True)]:
        if text is not None:
            path.write_text(text if text == "{" else json.dumps(notebook(MARK + text)), encoding="utf-8")
        solution("2.aq")
        out = capsys.readouterr().out
        assert (TOLD in out) != shown
        assert (questions(2)[0].answer in out) == shown


def test_the_words_may_be_given_where_the_notebook_cannot_be_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    solution("2.aq", "  ")
    assert TOLD in capsys.readouterr().out
    solution("2.aq", "It looks ahead.")
    assert capsys.readouterr().out == questions(2)[0].answer + "\n"


def test_vs_code_and_colab_are_asked_in_their_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    path = tmp_path / "lesson.ipynb"
    path.write_text(json.dumps(notebook("vs")), encoding="utf-8")
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", str(path), raising=False)
    assert in_words.own_notebook() == notebook("vs")

    def blocking_request(what: str, timeout_sec: int) -> dict[str, Any]:
        assert what == "get_ipynb"
        return {"ipynb": notebook("colab")}

    colab = ModuleType("google.colab")
    colab._message = SimpleNamespace(blocking_request=blocking_request)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert in_words.own_notebook() == notebook("colab")


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_question_of_a_lesson_has_an_answer_and_what_to_look_for(lesson: str) -> None:
    (path,) = (ROOT / "notebooks").glob(f"{int(lesson):02}_*.ipynb")
    stored = json.loads(path.read_text(encoding="utf-8"))
    text = "".join("".join(cell["source"]) for cell in stored["cells"] if cell["cell_type"] == "markdown")
    assert re.findall(r"<!-- answer (\S+) -->", text) == [question.id for question in questions(lesson)]
    for question in questions(lesson):
        assert in_words.words_in(stored, question.id) == "", (
            "the question is one paragraph, and nothing stands below it"
        )
        assert question.answer and len(question.looks_for) >= 2


def test_a_lesson_of_ones_own_has_none() -> None:
    assert questions("99") == ()
