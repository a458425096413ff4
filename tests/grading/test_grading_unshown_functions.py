"""What counts as taken from the course: functions that do an exercise's work, but no tool that the lesson had shown
before.
"""

from __future__ import annotations

import inspect
from functools import cache

import pytest

from course_utils import sweeps
from course_utils.exercises import LESSONS
from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.unshown_functions import teaching_modules, unshown_functions


@cache
def lesson(number: str) -> Lesson:
    return load_lesson(number)


ANSWER = "def {name}(*given):\n    return {use}(*given)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "imports", "use", "taken"),
    [
        (
            "3.2",
            "from course_utils.kv_cache import prepare_mask",
            "prepare_mask",
            "prepare_mask of course_utils.kv_cache",
        ),
        ("3.2", "from course_utils import kv_cache as kv", "kv.prepare_mask", "prepare_mask of course_utils.kv_cache"),
        (
            "3.2",
            "import course_utils.kv_cache",
            "course_utils.kv_cache.prepare_mask",
            "prepare_mask of course_utils.kv_cache",
        ),
        ("3.2", "from course_utils.kv_cache import *", "prepare_mask", "prepare_mask of course_utils.kv_cache"),
        (
            "5.1",
            "",
            "concept_directions",
            "concept_directions of course_utils.steering",
        ),  # the lesson imports it, for later
        (
            "6.5",
            "from course_utils.sweeps import patch_heads",
            "patch_heads",
            "patch_heads of course_utils.sweeps.questions",
        ),
        (
            "7.3",
            "from course_utils.sweeps import patch_paths",
            "patch_paths",
            "patch_paths of course_utils.sweeps.paths",
        ),
        ("7.2", "", "direct_effects", "direct_effects of course_utils.sweeps.direct"),
        (
            "1.6",
            "from course_utils.kv_cache import greedy_with_cache",
            "greedy_with_cache",
            "greedy_with_cache of course_utils.kv_cache",
        ),
    ],
)
def test_what_does_the_work_is_named(id: str, imports: str, use: str, taken: str) -> None:
    name = lesson(id[0]).exercise(id).name
    answer = ANSWER.format(name=name, use=use)
    indented = "\n    " + imports + "\n    return"
    assert unshown_functions(lesson(id[0]), id, [answer], others=[imports]) == [taken], (
        "imported in a cell of their own"
    )
    if "*" not in imports:  # not allowed in a function
        assert unshown_functions(lesson(id[0]), id, [answer.replace("\n    return", indented)]) == [taken], (
            "in the function"
        )


def test_every_sweep_that_a_lesson_can_call_is_known() -> None:
    """All that `course_utils.sweeps` offers to call, in whichever of its modules it stands."""
    offered = [getattr(sweeps, name) for name in sweeps.__all__]
    homes = {thing.__module__ for thing in offered if inspect.isfunction(thing)}
    assert homes <= teaching_modules(lesson("7"))


@pytest.mark.slow
@pytest.mark.parametrize("number", LESSONS)
def test_solutions_and_stubs_take_nothing(number: str) -> None:
    for exercise in lesson(number).exercises:
        assert unshown_functions(lesson(number), exercise.id, [inspect.getsource(exercise.reference)]) == []


def test_what_the_lesson_showed_is_no_loan() -> None:
    """And neither is a variable with a tool's name, another module's function of that name, or a module that was never
    the course's.
    """
    shown = 'def concept_direction(model, positive):\n    return anatomy(model), load_model(), check("5.1", 1)\n'
    assert unshown_functions(lesson("5"), "5.1", [shown]) == []
    own = (
        "def concept_direction(rows):\n    concept_directions = [row.mean() for row in rows]\n"
        "    return concept_directions\n"
    )
    assert unshown_functions(lesson("5"), "5.1", [own]) == []
    other = "from this import causal_mask\nfrom course_utils.nothing import that\nimport course_utils.__main__\n"
    assert unshown_functions(lesson("3"), "3.2", [other + "causal_mask(that)"]) == []
