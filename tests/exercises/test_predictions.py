"""The predictions and questions of all lessons: complete, readable, asked and answered in the lesson."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_utils.exercises import LESSONS, get_prediction, get_quiz, predictions, quizzes
from course_utils.exercises.guess_kinds import Choice, Kind, Number, Several, Token
from course_utils.exercises.predicting import Prediction
from course_utils.exercises.quizzing import Option, Quiz

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ALL = [each for lesson in LESSONS for each in predictions(lesson)]
QUIZZES = [each for lesson in LESSONS for each in quizzes(lesson)]


def calls(lesson: str, name: str) -> Iterator[tuple[int, ast.Call]]:
    """The calls of a function that stand as a statement of their own, with the place of their cell."""
    (path,) = NOTEBOOKS.glob(f"0{lesson}_*.ipynb")
    for place, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type != "code" or f"{name}(" not in cell.source:
            continue
        for node in ast.parse(cell.source).body:
            call = node.value if isinstance(node, ast.Expr) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name:
                yield place, call


def ids(lesson: str, name: str) -> list[str]:
    return [ast.literal_eval(call.args[0]) for _, call in calls(lesson, name)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_asks_each_prediction_and_reveals_it_further_down(lesson: str) -> None:
    known = [each.id for each in predictions(lesson)]
    assert known and ids(lesson, "predict") == known and sorted(ids(lesson, "reveal")) == sorted(known)
    asked = {ast.literal_eval(call.args[0]): place for place, call in calls(lesson, "predict")}
    answered = {ast.literal_eval(call.args[0]): place for place, call in calls(lesson, "reveal")}
    assert all(asked[id] < answered[id] for id in known)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_comment_beside_a_guess_tells_the_form_that_is_read(lesson: str) -> None:
    """All options in their order, a scale's both ends, a list of as many values as an example."""
    (path,) = NOTEBOOKS.glob(f"0{lesson}_*.ipynb")
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    told = dict(re.findall(r"^predict\(\"([\d.]+)\", \.\.\.\)  # (.+)$", code, re.MULTILINE))
    for id, comment in told.items():
        kind = get_prediction(id).kind
        if isinstance(kind, Choice):
            assert tuple(re.findall(r"\"(.+?)\"", comment)) == kind.options, id
        if isinstance(kind, Number) and (ends := re.search(r"(-?[\d,]+) to ([\d,]+)$", comment)):
            assert tuple(int(end.replace(",", "")) for end in ends.groups()) == (kind.low, kind.high), id
        if isinstance(kind, Several):
            assert kind.read(ast.literal_eval(comment.partition("as in ")[2])), id
    assert list(told) == [each.id for each in predictions(lesson)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_as_committed_nothing_is_guessed_or_chosen(lesson: str) -> None:
    for name in ("predict", "quiz"):
        assert {ast.literal_eval(call.args[1]) for _, call in calls(lesson, name)} == {...}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_at_least_five_questions_and_asks_each(lesson: str) -> None:
    known = [each.id for each in quizzes(lesson)]
    assert len(known) >= 5 and sorted(ids(lesson, "quiz")) == known


@pytest.mark.parametrize("prediction", ALL, ids=lambda each: each.id)
def test_at_least_three_guesses_are_answered(prediction: Prediction) -> None:
    assert len(prediction.guesses) >= 3
    assert len({guess.name for guess in prediction.guesses}) == len(prediction.guesses)


def an_example(kind: Kind, wanted: Any) -> Any:
    """A guess that `wanted` describes."""
    if isinstance(kind, Number):
        return sum(wanted) / 2 if wanted else kind.low
    if isinstance(kind, Several):
        return tuple(an_example(part, each) for part, each in zip(kind.parts, wanted, strict=True))
    first = wanted if isinstance(wanted, str) else wanted[0] if wanted else None
    return first or (kind.options[0] if isinstance(kind, Choice) else "x")


@pytest.mark.parametrize("prediction", ALL, ids=lambda each: each.id)
def test_each_remark_can_be_reached_by_a_guess_that_is_read(prediction: Prediction) -> None:
    """None hides behind an earlier one (in a list all that fit are made), and each can be printed."""
    for guess in prediction.guesses:
        made = prediction.kind.read(an_example(prediction.kind, guess.fits))
        assert prediction.kind.fits(guess.fits, made)
        first = next(each for each in prediction.guesses if prediction.kind.fits(each.fits, made))
        assert first is guess or isinstance(prediction.kind, Several)
        said = guess.says.format(guess=prediction.kind.show(made), truth="?", logistic=0.5)
        assert said.endswith(".") and "{" not in said


def test_an_unknown_id_names_those_that_there_are() -> None:
    with pytest.raises(KeyError, match=r"no prediction '1\.99'; this lesson has 1\.1, 1\.2"):
        get_prediction("1.99")
    with pytest.raises(KeyError, match=r"no prediction '99\.1'; this lesson has none"):
        get_prediction("99.1")
    with pytest.raises(KeyError, match=r"no question '1\.z'; this lesson has 1\.a, 1\.b"):
        get_quiz("1.z")


def test_every_kind_is_used() -> None:
    kinds = {type(each.kind) for each in ALL}
    assert kinds == {Number, Choice, Token, Several}


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda each: each.id)
def test_each_answer_is_explained(quiz: Quiz) -> None:
    assert quiz.asks.endswith("?")
    assert all(len(option.says) > 20 and option.says.endswith(".") for option in quiz.options)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_refutes_by_experiment_where_it_can(lesson: str) -> None:
    assert sum(any(option.tries for option in each.options) for each in quizzes(lesson)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda each: each.id)
def test_the_experiments_come_out_as_is_said(quiz: Quiz, real_model: Any) -> None:
    for tries in {option.tries for option in quiz.options if option.tries}:
        as_said, line = tries(real_model)
        assert as_said, line
        assert line.endswith(".")


@pytest.mark.parametrize("right", [0, 2])
def test_a_question_has_one_right_answer(right: int) -> None:
    options = tuple(Option(str(i), "because.", right=i < right) for i in range(3))
    with pytest.raises(ValueError, match="one of them right"):
        Quiz("9.a", "?", options)
