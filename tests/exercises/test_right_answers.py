"""Right answers in other styles are ticked."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course_utils.exercises import LESSONS, Exercise, Model, attempt, exercises, judge
from tests import right_answers
from tests.exercises.test_exercises import load_once, once

SEEDS = (3, 30)


def written() -> dict[str, list[Callable[..., Any]]]:
    """The right answers by exercise; a module is named after the number of its exercise."""
    found: dict[str, list[Callable[..., Any]]] = {}
    for lesson, name in LESSONS.items():
        for path in sorted((Path(right_answers.__file__).parent / name).glob("ex*.py")):
            module = importlib.import_module(f"tests.right_answers.{name}.{path.stem}")
            found[f"{lesson}.{path.stem.split('_')[0].removeprefix('ex')}"] = module.RIGHT
    return found


RIGHT = written()
BY_ID: dict[str, Exercise] = {exercise.id: exercise for lesson in LESSONS for exercise in exercises(lesson)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "answer"),
    [(id, answer) for id, answers in RIGHT.items() for answer in answers],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_right_answer_is_ticked(
    id: str, answer: Callable[..., Any], real_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "load", load_once)
    for seed in SEEDS:
        verdict = judge(BY_ID[id], attempt(BY_ID[id], answer, seed), seed, run=once)
        assert verdict.status == "right", str(verdict)


@pytest.mark.parametrize("id", RIGHT)
def test_there_are_six_of_them(id: str) -> None:
    assert len(RIGHT[id]) >= 6 and len({answer.__name__ for answer in RIGHT[id]}) == len(RIGHT[id])
