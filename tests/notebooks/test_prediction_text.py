"""A prediction's question stands once: what the tool writes into a lesson, and that every lesson asks just that."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import cli
from course_utils.exercises import LESSONS, predictions
from course_utils.exercises.predicting import Prediction
from course_utils.notebooks import files, prediction_text
from course_utils.notebooks.pages import markdown_as_html

ROOT = Path(__file__).parents[2]
COMMITTED = files.lessons(ROOT)
ALL = [each for lesson in LESSONS for each in predictions(lesson)]
ASKS = predictions(1)[0].asks

lesson = pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])


@lesson
def test_a_lesson_asks_what_its_predictions_ask_each_once(path: Path) -> None:
    notebook = files.read(path)
    assert list(map(str, prediction_text.problems(notebook))) == []
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    asked = [question for source in prose for question in prediction_text.asked_before(source)]
    for prediction in predictions(path.stem[1]):
        assert asked.count(prediction.asks) == 1 and "\n".join(prose).count(prediction.asks) == 1, prediction.id


@lesson
def test_a_change_of_any_question_is_seen_in_its_lesson_and_written_by_the_tool(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = files.read(path)
    for prediction in predictions(path.stem[1]):
        changed = replace(prediction, asks="what else?")
        with monkeypatch.context() as patch:
            patch.setattr(prediction_text, "get_prediction", ask_another(changed))
            (problem,) = prediction_text.problems(notebook)
            assert f"what prediction {prediction.id} asks" in problem.text
            drifted = copy.deepcopy(notebook)
            prediction_text.write_questions(drifted)
        (index,) = [i for i, cell in enumerate(drifted.cells) if cell != notebook.cells[i]]
        assert index == problem.cell and "**Predict first:** what else?" in drifted.cells[index].source
        prediction_text.write_questions(drifted)
        assert drifted == notebook


def ask_another(changed: Prediction) -> Callable[[str], Prediction]:
    """The predictions as they are, but for one."""
    known = {each.id: each for each in ALL} | {changed.id: changed}
    return known.__getitem__


@pytest.mark.parametrize("prediction", ALL, ids=lambda each: each.id)
def test_a_question_is_one_paragraph_of_markdown_that_goes_on_after_the_mark(prediction: Prediction) -> None:
    asks = prediction.asks
    assert asks == " ".join(asks.split()) and "?" in asks and asks.endswith(("?", ".", ")"))
    assert not asks[0].isupper() and "<" not in asks and "$" not in asks, "no sentence begins, no HTML, no formula"
    shown = BeautifulSoup(markdown_as_html(asks), "html.parser")
    assert shown.get_text().strip() == asks.replace("*", ""), "each star is one of a pair"


def asking(*prose: str, id: str = "1.1") -> NotebookNode:
    """A lesson with a prediction, whose text is in these cells."""
    guess = new_code_cell(f'predict("{id}", ...)  # a number')
    return new_notebook(cells=[*map(new_markdown_cell, prose), guess, new_markdown_cell("**Predict first:** no more?")])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("**Predict first:** how\nmany?", f"**Predict first:** {ASKS}"),
        ("So. **Predict:** how\nmany?\n\nBuild it.", f"So. **Predict first:** {ASKS}\n\nBuild it."),
        ("**Predict first.** How many?", f"**Predict first:** {ASKS}"),
        (
            "**Predict first:** why?\n\n**Predict first:** how many?",
            f"**Predict first:** why?\n\n**Predict first:** {ASKS}",
        ),
        (
            "Build it.\n\n<details><summary>Hint 1</summary>So.</details>",
            f"Build it.\n\n**Predict first:** {ASKS}\n\n<details><summary>Hint 1</summary>So.</details>",
        ),
        ("Build it.", f"Build it.\n\n**Predict first:** {ASKS}"),
    ],
    ids=["broken lines", "among others", "another mark", "two", "none above hints", "none"],
)
def test_a_question_is_written_where_it_stands(before: str, after: str) -> None:
    notebook = asking("**Predict first:** of another?", before)
    others = [cell for index, cell in enumerate(copy.deepcopy(notebook).cells) if index != 1]
    assert [problem.cell for problem in prediction_text.problems(notebook)] == [1]
    prediction_text.write_questions(notebook)
    assert notebook.cells[1].source == after
    assert [cell for index, cell in enumerate(notebook.cells) if index != 1] == others
    assert prediction_text.problems(notebook) == []
    once = copy.deepcopy(notebook)
    prediction_text.write_questions(notebook)
    assert notebook == once


@pytest.mark.parametrize("notebook", [asking("**Predict first:** why?", id="99.1"), asking()], ids=["unknown", "bare"])
def test_where_there_is_nothing_to_write_or_nowhere_all_is_left_alone(notebook: NotebookNode) -> None:
    before = copy.deepcopy(notebook)
    prediction_text.write_questions(notebook)
    assert notebook == before and prediction_text.problems(notebook) == []


@pytest.mark.slow
def test_check_reports_a_question_changed_in_the_code_and_furnish_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    for name in ("pyproject.toml", "README.md", f"notebooks/{COMMITTED[0].name}"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    changed = replace(predictions(1)[0], asks="into how many tokens, then?")
    monkeypatch.setattr(prediction_text, "get_prediction", ask_another(changed))
    assert cli.main(["notebooks", "check", "1"]) == 1
    assert "does not ask what prediction 1.1 asks; run `course notebooks furnish`" in capsys.readouterr().err
    for told in ("written", "unchanged"):
        assert cli.main(["notebooks", "furnish", "1"]) == 0
        assert f"{COMMITTED[0].name}: {told}" in capsys.readouterr().out
    assert cli.main(["notebooks", "check", "1"]) == 0
    (written,) = files.lessons(tmp_path)
    before, after = ([cell.get("outputs") for cell in files.read(path).cells] for path in (COMMITTED[0], written))
    assert before == after
