"""Every exercise of every lesson: its reference passes, its stub is "not tried", its known wrong answers are told
their name.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course_utils.exercises import LESSONS, Case, Exercise, Model, attempt, exercises, judge
from course_utils.exercises.judging import run_case
from course_utils.exercises.running import Outcome
from course_utils.exercises.showing import pasteable
from tests.wrong_answers import Wrong

ALL = [exercise for lesson in LESSONS for exercise in exercises(lesson)]
SEEDS = (1, 20)


def wrong_answers() -> list[Wrong]:
    found: list[Wrong] = []
    for name in LESSONS.values():
        try:
            found += importlib.import_module(f"tests.wrong_answers.{name}").WRONG
        except ModuleNotFoundError as error:
            if error.name != f"tests.wrong_answers.{name}":
                raise
    return found


WRONG = wrong_answers()


def stub_of(exercise: Exercise) -> Any:
    """What the lesson's answer cell defines before anyone has worked on it."""
    namespace: dict[str, Any] = {}
    if inspect.isclass(exercise.reference):
        exec(
            f"class {exercise.name}:\n    def __init__(self, *args, **kwargs):\n        raise NotImplementedError\n",
            namespace,
        )
    else:
        exec(f"def {exercise.name}(*args, **kwargs):\n    raise NotImplementedError\n", namespace)
    return namespace[exercise.name]


ONE_A_LESSON = [
    pytest.param(exercise, marks=() if exercise.id.endswith(".1") else pytest.mark.slow, id=exercise.id)
    for exercise in ALL
]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", ONE_A_LESSON)
def test_reference_is_right(
    exercise: Exercise, real_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `solution` prints it, where nothing else was imported."""
    monkeypatch.setattr(Model, "load", load_once)
    seed = seed_for(exercise.id, SEEDS)
    verdict = judge(exercise, attempt(exercise, pasted(exercise, tmp_path), seed), seed)
    assert verdict.status == "right", str(verdict)
    assert verdict.points == exercise.points


def pasted(exercise: Exercise, folder: Path) -> Any:
    """The solution as a learner has it who pastes it into an empty notebook."""
    path = folder / "pasted.py"  # a trace reads its own source from a file
    path.write_text(pasteable(exercise.reference), encoding="utf-8")
    return runpy.run_path(str(path))[exercise.name]


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_stub_is_not_tried(exercise: Exercise) -> None:
    verdict = judge(exercise, attempt(exercise, stub_of(exercise), 1), 1)
    assert verdict.status == "not tried" and verdict.points == 0


class Once:
    """Runs an exercise's reference and its known mistakes once for each input, and any other answer each time.

    The verdict on each of an exercise's wrong answers asks for the same runs again. What they give is frozen and comes
    of the inputs alone, so it can be shared; one exercise's at a time, since some of it is large.
    """

    def __init__(self) -> None:
        self.exercise = ""
        self.known: dict[tuple[Any, bytes], Outcome] = {}

    def __call__(self, exercise: Exercise, answer: Any, case: Case) -> Outcome:
        if all(answer is not own for own in [exercise.reference, *(mistake.answer for mistake in exercise.mistakes)]):
            return run_case(exercise, answer, case)
        if exercise.id != self.exercise:
            self.exercise = exercise.id
            self.known.clear()
        # Drawn anew for each verdict, so the inputs of one seed are equal and not the same: their bytes tell.
        key = (answer, pickle.dumps(case))
        if key not in self.known:
            self.known[key] = run_case(exercise, answer, case)
        return self.known[key]


def seed_for(id: str, seeds: tuple[int, ...]) -> int:
    """One seed for all answers to an exercise, so that what they are held against is run once; another for the next."""
    lesson, number = id.split(".")
    return seeds[(int(lesson) + int(number)) % len(seeds)]


def without_the_lessons_model(exercise: Exercise) -> Exercise:
    """The exercise with its cases on tiny models and on plain numbers; as it is where it has no others."""

    def draw(rng: random.Random) -> list[Case]:
        cases = list(exercise.draw(rng))
        return [case for case in cases if Model() not in case.args] or cases

    return dataclasses.replace(exercise, draw=draw)


once = Once()
tiny_models: dict[Model, Any] = {}


def load_once(model: Model, load: Callable[[Model], Any] = Model.load) -> Any:
    """A tiny model is made once for all answers, as the real one is. What an answer changes is undone after its run."""
    if model.name is None:
        return load(model)
    if model not in tiny_models:
        if len(tiny_models) > 30:
            tiny_models.clear()
        tiny_models[model] = load(model)
    return tiny_models[model]


@pytest.mark.slow  # hundreds of them
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.exercise}-{wrong.answer.__name__}")
def test_wrong_answer_is_told_its_name(wrong: Wrong, real_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exercise's first one on everything that a seed draws, the others not on the lesson's own model."""
    monkeypatch.setattr(Model, "load", load_once)
    exercise = next(exercise for exercise in ALL if exercise.id == wrong.exercise)
    own = [other for other in WRONG if other.exercise == wrong.exercise]
    if wrong is not own[0]:
        exercise = without_the_lessons_model(exercise)
    seed = seed_for(exercise.id, SEEDS)
    verdict = judge(exercise, attempt(exercise, wrong.answer, seed), seed, run=once)
    assert verdict.status == "wrong", f"taken for right: {verdict}"
    assert verdict.points < exercise.points
    assert verdict.mistake == wrong.mistake, str(verdict)
    assert wrong.says in verdict.message, str(verdict)


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_is_complete(exercise: Exercise) -> None:
    own = [wrong for wrong in WRONG if wrong.exercise == exercise.id]
    assert len([wrong for wrong in own if wrong.mistake]) >= 3, "at least three wrong answers that are told their name"
    assert {mistake.name for mistake in exercise.mistakes} <= {wrong.mistake for wrong in own}, (
        "each named mistake has a wrong answer"
    )
    assert len(exercise.hints) >= 2 and exercise.shows and exercise.title and exercise.points > 0
    assert any(case_is_fresh(exercise, label) for label in {case.label for case in exercise.cases(1)})


def test_a_case_of_one_token_has_one_on_every_seed() -> None:
    """What is wrong on a single token only was ticked where most of the drawn words were two."""
    found = 0
    for exercise in ALL:
        for case in (case for seed in range(1, 6) for case in exercise.cases(seed) if "one token" in case.label):
            if not case.args or not isinstance(case.args[0], Model):
                continue
            tokenizer = load_once(case.args[0]).tokenizer
            texts = [arg for arg in case.args[1:] if isinstance(arg, str)]
            texts += [text for arg in case.args[1:] if isinstance(arg, list) for text in arg]
            sizes = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
            assert 1 in sizes, f"{exercise.id}, {case.label}: {texts}"
            found += 1
    assert found > 40


def case_is_fresh(exercise: Exercise, label: str) -> bool:
    """Whether the case of this label has other inputs under another seed (else a hard-coded answer would pass)."""
    drawn = [repr([case for case in exercise.cases(seed) if case.label == label]) for seed in (1, 2)]
    return drawn[0] != drawn[1]


def test_a_hint_without_a_title_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Exercise 1\.1: the hint 'Look\.' is no Hint; write Hint"):
        dataclasses.replace(ALL[0], hints=("Look.",))  # type: ignore[arg-type]
