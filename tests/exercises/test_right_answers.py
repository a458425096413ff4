"""Right answers in other styles are ticked."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course_utils.exercises import LESSONS, Exercise, Model, attempt, exercises, judge
from tests import right_answers
from tests.exercises.test_exercises import load_once, once, seed_for, without_the_lessons_model

SEEDS = (3, 30)
ON_EVERYTHING = 2
"""How many of an exercise's right answers are run on the lesson's own model, too."""


def written() -> dict[str, list[Callable[..., Any]]]:
    """The right answers by exercise; a module is named after the number of its exercise."""
    found: dict[str, list[Callable[..., Any]]] = {}
    for lesson, name in LESSONS.items():
        for path in sorted((Path(right_answers.__file__).parent / name).glob("ex*.py")):
            module = importlib.import_module(f"tests.right_answers.{name}.{path.stem}")
            found[f"{lesson}.{path.stem.split('_')[0].removeprefix('ex')}"] = module.RIGHT
    return found


RIGHT = written()

FEWER = {
    "2.4": (3, "the answer is a sentence of one's own"),
    "4.8": (2, "the answer is the name of a landmark"),
    "5.10": (4, "the answer is one vector, and another than the glad one that works has to be found at all"),
}
"""Where six styles would be one style six times: how many there are, and why."""

BY_ID: dict[str, Exercise] = {exercise.id: exercise for lesson in LESSONS for exercise in exercises(lesson)}


@pytest.mark.slow  # hundreds of them
@pytest.mark.parametrize(
    ("id", "number"),
    [(id, number) for id, answers in RIGHT.items() for number in range(len(answers))],
    ids=lambda one: str(one),
)
def test_right_answer_is_ticked(id: str, number: int, real_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exercise's first answers on everything that a seed draws; the others not on the lesson's own model, where they
    would take minutes together.
    """
    monkeypatch.setattr(Model, "load", load_once)
    exercise, answer, seed = BY_ID[id], RIGHT[id][number], seed_for(id, SEEDS)
    if number >= ON_EVERYTHING:
        exercise = without_the_lessons_model(exercise)
    verdict = judge(exercise, attempt(exercise, answer, seed), seed, run=once)
    assert verdict.status == "right", f"{answer.__name__}: {verdict}"


@pytest.mark.parametrize("id", BY_ID)
def test_there_are_six_of_them(id: str) -> None:
    answers = RIGHT.get(id, [])
    assert len(answers) >= (FEWER[id][0] if id in FEWER else 6)
    assert len({answer.__name__ for answer in answers}) == len(answers)
