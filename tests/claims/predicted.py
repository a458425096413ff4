"""How the remarks on guesses are held: each has a claim of its name, a function of the lessons' model that is true."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_utils.exercises import predictions
from course_utils.learner import predict, reveal

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

Claims = dict[str, dict[str, Callable[[Any], Any]]]
"""By prediction and name of the guess; what is true of the model, as a bool or a tensor of one."""
Truths = dict[str, Callable[[Any], Any]]


def not_held(lesson: str, claims: Claims) -> set[tuple[str, str]]:
    """The remarks of a lesson without a claim, and the claims without a remark."""
    remarks = {(each.id, guess.name) for each in predictions(lesson) for guess in each.guesses}
    return remarks ^ {(id, name) for id, named in claims.items() for name in named}


def stored_answer(id: str) -> str:
    """The line that the committed lesson shows where it reveals ``id``."""
    (path,) = NOTEBOOKS.glob(f"0{id.split('.')[0]}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    called = re.compile(rf'^reveal\("{re.escape(id)}"', re.M)
    (cell,) = (cell for cell in cells if cell.cell_type == "code" and called.search(cell.source))
    return next(
        line for output in cell.outputs for line in output.get("text", "").splitlines() if line.startswith(f"◇ {id} ")
    )


def shown(id: str, truth: Any, say: Callable[[], str]) -> str:
    """What `reveal` prints of a truth where nothing was guessed; ``say`` reads what was printed."""
    predict(id, ...)
    say()
    reveal(id, truth)
    return say().strip()


def three_tests_of(lesson: str, claims: Claims, truths: Truths) -> tuple[Callable[..., None], ...]:
    """What each lesson's module tests: no remark without a claim, that each claim is true, and what is revealed."""

    def each_remark_has_its_claim() -> None:
        assert not not_held(lesson, claims)

    @pytest.mark.parametrize(("id", "name"), [(id, name) for id, named in claims.items() for name in named])
    def what_is_said_of_a_guess_is_so(id: str, name: str, real_model: Any) -> None:
        assert claims[id][name](real_model)

    @pytest.mark.parametrize("id", truths)
    def the_lesson_reveals_what_is_so(id: str, real_model: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert stored_answer(id) == shown(id, truths[id](real_model), lambda: capsys.readouterr().out)

    return each_remark_has_its_claim, what_is_said_of_a_guess_is_so, the_lesson_reveals_what_is_so
