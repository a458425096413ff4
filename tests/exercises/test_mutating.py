"""`course exercises mutate` and its table: what of the reference solutions' mutants the checks let through."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from course_utils.cli import main
from course_utils.exercises import LESSONS, Case, Exercise, exercises, get_exercise, mutating, mutation_table
from course_utils.exercises.mutating import Bench, judge_mutants, mutants, reason_everywhere
from course_utils.exercises.mutation_table import Table
from course_utils.exercises.showing import pasteable
from course_utils.kv_cache import causal_mask

ALL = [exercise for lesson in LESSONS for exercise in exercises(lesson)]
TABLE = Table.read(mutation_table.TABLE.read_text(encoding="utf-8"))


def area(width: int, height: int = 2) -> int:
    """The area of a rectangle; raises ValueError below 0."""
    if width < 0:
        raise ValueError(f"width is {width}" + "!")
    return sum(a * height for a, _ in zip([width], [height], strict=True))


@pytest.mark.slow
def test_a_mutant_is_the_reference_changed_in_one_place() -> None:
    made = mutants(area)
    defaults = "def area(width: int, height: int = 2) -> int:", "def area(width: int, height: int = 3) -> int:"
    assert defaults in {(mutant.before, mutant.after) for mutant in made}
    changes = " ".join(str(mutant) for mutant in made)
    assert "`if width < 0:` → `if width <= 0:`" in changes and "a / height" in changes
    assert "rectangle" not in changes and "width is" not in changes, "neither docstrings nor errors' texts are changed"
    assert len({mutant.source for mutant in made}) == len(made)
    assert all(area(3) == 6 and compile(mutant.source, "mutant", "exec") for mutant in made)


def test_what_is_equivalent_everywhere_has_its_reason() -> None:
    text = pasteable(area)
    reasons = {mutant.after: reason_everywhere(text, mutant) for mutant in mutants(area)}
    assert all("strict" in why for after, why in reasons.items() if "strict=False" in after or "[height], )" in after)
    assert reasons["if width <= 0:"] == ""


@pytest.mark.slow
def test_a_case_that_is_never_drawn_shows(tmp_path: Path) -> None:
    whole = get_exercise("3.2")
    narrow = dataclasses.replace(whole, draw=lambda rng: [Case("an empty cache", (rng.randint(3, 6),))])
    assert judge_mutants(whole, {}, seeds=(1, 2)).passed == []
    passed = {str(mutant): seeds for mutant, seeds in judge_mutants(narrow, {}, seeds=(1, 2)).passed}
    let_through = "`positions = n_held + torch.arange(n_new)` → `positions = n_held - torch.arange(n_new)`"
    assert let_through not in passed, "this one shows without a cache, too"
    assert passed["`if n_new < 1 or n_held < 0:` → `if n_new < 1 and n_held < 0:`"] == [1, 2]
    known = dict.fromkeys(passed, "known")
    assert judge_mutants(narrow, known, seeds=(1,)).passed == []


def test_an_answer_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(n_new: int, n_held: int = 0) -> Any:
        while True:
            pass

    bench = Bench(get_exercise("3.2"), seeds=(1,))
    assert bench.passes(causal_mask, 1)
    monkeypatch.setattr(mutating, "SECONDS", 0.1)
    assert not bench.passes(endless, 1)


def test_the_table_is_read_as_it_is_written() -> None:
    text = mutation_table.TABLE.read_text(encoding="utf-8")
    assert Table.read(text).text() == text


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_table_is_of_these_references_and_nine_in_ten_are_refused(exercise: Exercise) -> None:
    assert exercise.id in TABLE.counts, f"run `course exercises mutate {exercise.id} --write`"
    made, text = mutants(exercise.reference), pasteable(exercise.reference)
    known = TABLE.equivalent.get(exercise.id, {})
    assert set(known) <= {str(mutant) for mutant in made}, "what is said to be equivalent is no mutant any more"
    assert all(len(why) > 10 for why in known.values())
    equivalent = [mutant for mutant in made if str(mutant) in known or reason_everywhere(text, mutant)]
    assert TABLE.counts[exercise.id][:2] == (len(made), len(equivalent)), (
        f"the reference is another: run `course exercises mutate {exercise.id} --write`"
    )
    assert TABLE.share(exercise.id) >= 0.9


def test_of_all_mutants_97_in_100_are_refused() -> None:
    assert TABLE.share() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_a_sample_of_the_mutants_is_refused(exercise: Exercise, real_model: Any, tmp_path: Path) -> None:
    """The table is run by hand; this holds some of it each time, others as soon as the reference changes."""
    rng = random.Random(pasteable(exercise.reference))
    bench = Bench(exercise, seeds=[seed := rng.randrange(10**6)])
    text, known = pasteable(exercise.reference), TABLE.equivalent.get(exercise.id, {})
    passed = " ".join(TABLE.passed.get(exercise.id, []))
    apart = [
        mutant
        for mutant in mutants(exercise.reference)
        if str(mutant) not in known and str(mutant) not in passed and not reason_everywhere(text, mutant)
    ]
    count = 1 if all(map(mutating._is_slow, bench.cases[seed])) else 3
    for number, mutant in enumerate(rng.sample(apart, min(len(apart), count))):
        assert not bench.seeds_passed(mutant, tmp_path / f"mutant{number}.py"), f"taken for right: {mutant}"


@pytest.mark.slow
def test_the_command_tells_what_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "mutants.md"
    table.write_text(
        f"## {mutation_table.EQUIVALENT}\n\n- 3.2: `if no` → `such mutant`: it is gone\n", encoding="utf-8"
    )
    monkeypatch.setattr(mutation_table, "TABLE", table)
    assert main(["exercises", "mutate", "3.2"]) == 0
    told = capsys.readouterr().out
    assert "3.2 causal_mask: 12 mutants, 0 equivalent, 100% of the others refused on every seed" in told
    assert "no such mutant any more: `if no` → `such mutant`" in told
    assert "causal" not in table.read_text(encoding="utf-8")
    assert main(["exercises", "mutate", "3.2", "--write"]) == 0
    assert Table.read(table.read_text(encoding="utf-8")).counts == {"3.2": (12, 0, 12)}


def test_the_command_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["exercises", "mutate", "3.99"]) == 1
    assert "There is no exercise '3.99'; this lesson has 3.1" in capsys.readouterr().err
    monkeypatch.setattr(mutation_table, "TABLE", tmp_path / "nowhere.md")
    assert main(["exercises", "mutate", "3.2"]) == 1
    assert "run this in a checkout" in capsys.readouterr().err
