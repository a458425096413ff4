"""The way of a learner through the beginning of lesson 1, with mouse and keyboard in a real JupyterLab."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from course_utils.exercises import get_quiz
from tests.browser.jupyterlab import NotebookPage, serve_lab
from tests.learner.kernels import surroundings

RIGHT = """\
def split_tokens(model, text):
    return [(i, model.tokenizer.decode([i])) for i in model.tokenizer(text)["input_ids"]]"""
SWAPPED = RIGHT.replace("(i, model.tokenizer.decode([i]))", "(model.tokenizer.decode([i]), i)")
NAMES_ALONE = RIGHT.replace("(i, model.tokenizer.decode([i]))", "model.tokenizer.decode([i])")
RIGHT_LETTER = next(letter for letter, option in get_quiz("1.a").lettered.items() if option.right)


def test_a_learner_clicks_through_an_exercise(chromium: Any, tmp_path: Path) -> None:
    environment = surroundings(tmp_path / "home", COURSE_MODEL="tiny-gpt2")

    def course(*arguments: str) -> str:
        command = [sys.executable, "-m", "course_utils.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
        return done.stdout

    mine = tmp_path / "mine"
    course("start", str(mine))
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    with serve_lab(mine, environment) as address:
        lesson = NotebookPage(page, address, "01_tokens_and_logits.ipynb")
        lesson.run_until('predict("1.1", ...)')
        assert "no guess" in lesson.run()
        lesson.up()
        lesson.write('predict("1.1", 6)')
        assert "your guess is kept: 6 tokens" in lesson.run()

        lesson.run_until("def split_tokens")
        for wrong in (SWAPPED, NAMES_ALONE):
            lesson.write(wrong)
            lesson.run()
            assert "✗ 1.1" in lesson.run()
            lesson.up()
            lesson.up()
        lesson.write('hint("1.1")')
        assert "Hint 1 of 2" in lesson.run()
        lesson.up()
        lesson.write(RIGHT)
        lesson.run()
        assert "✓ 1.1 · 1 of 1 points" in lesson.run()
        lesson.run_until('reveal("1.1"')
        assert "The answer: 7 tokens. You said 6 tokens. That is 1 token too low. One for each word" in lesson.run()
        lesson.save()

        lesson.restart()
        lesson.to_the_top()
        lesson.run_until('predict("1.1", 6)')
        assert "Welcome back: 1 of 8 exercises of lesson 1 are right, next is 1.2." in lesson.run()
        lesson.run_until("split_tokens = check")
        assert "✓ 1.1 · 1 of 1 points" in lesson.run()
        lesson.run_until('quiz("1.a", ...)')
        lesson.write(f'quiz("1.a", "{RIGHT_LETTER}")')
        assert f"✓ {RIGHT_LETTER}: right." in lesson.run()
        page.screenshot(path=tmp_path / "page.png")
    page.close()

    found = json.loads(course("progress", "--json"))
    told = found["lessons"][0]
    assert (told["right"], told["points"], told["guesses"], told["questions_right"]) == (1, 1, 1, 1)
    assert found["next"] == told["next"] == "1.2"
    entry = json.loads(Path(found["file"]).read_text(encoding="utf-8"))["exercises"]["1.1"]
    assert (entry["tries"], entry["hints"]) == (4, 1)
    saved = [cell.source for cell in nbformat.read(mine / "01_tokens_and_logits.ipynb", as_version=4).cells]
    assert RIGHT in saved and any(source.startswith('predict("1.1", 6)') for source in saved)
