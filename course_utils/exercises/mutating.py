"""How much an exercise's check lets through: the reference solution changed in one place, judged as an answer.

The changes are mutmut's (a number one higher, an operator turned, an argument dropped, an assignment of None ...). One
that gives the reference's values on every input is equivalent; that takes a person to say, and `tests/mutants.md` has
each with the reason. Every other one must be refused, whatever the seed: one that passes shows a case that the exercise
never draws. The table and the command are in :mod:`course_utils.exercises.mutation_table`.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import runpy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.exercises.judging import fault, run_case
from course_utils.exercises.protocol import Case, Exercise, Model
from course_utils.exercises.running import Outcome
from course_utils.exercises.showing import pasteable
from course_utils.exercises.surroundings import OutOfTime, time_limit

SEEDS = (1, 2, 3, 4, 5)
SECONDS = 10.0
"""For one case: a mutant may loop for ever, and a reference takes a second."""

EQUIVALENT_EVERYWHERE = (
    (r",? ?strict=(True|False|None)", "`strict` is an assertion: the two are always of one length"),
    (r",? ?device=[\w.]+(\(\))?(\.device)?", "`device` says where: here is one device"),
    (r"@torch\.no_grad\(\)|torch\.no_grad\(\),? ?", "`no_grad` saves memory: the values are the same"),
)
"""Where two sources differ in nothing but this, they give the same values."""


@dataclass(frozen=True)
class Mutant:
    """A solution changed in one place: the line before and after, and a whole source that runs by itself."""

    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"`{self.before}` → `{self.after}`"


@dataclass
class Found:
    """What became of an exercise's mutants. ``passed`` has with each the seeds on which it was taken for right."""

    exercise: str
    refused: list[Mutant]
    equivalent: list[Mutant]
    passed: list[tuple[Mutant, list[int]]]

    @property
    def made(self) -> int:
        """All of them."""
        return len(self.refused) + len(self.equivalent) + len(self.passed)


def mutants(reference: Callable[..., Any]) -> list[Mutant]:
    """Every mutant of a function's or class's source, each once, in the order of the source.

    Left as they are: annotations, imports, decorators and what an exception says, since no docstring promises them, and
    an argument of ``len`` or ``isinstance``, without which anything fails.

    Raises:
        CourseError: mutmut is not installed.
    """
    try:
        import libcst as cst
        from mutmut.mutation.mutators import mutation_operators
    except ImportError:
        raise CourseError("Mutants are made with mutmut: pip install 'course-utils[test]'.") from None

    class Changes(cst.CSTVisitor):
        def __init__(self) -> None:
            self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []

        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.Annotation | cst.Raise | cst.Import | cst.ImportFrom | cst.Decorator):
                return False
            if not (isinstance(node, cst.Call) and getattr(node.func, "value", None) in ("len", "isinstance")):
                for kind, operator in mutation_operators:
                    if isinstance(node, kind):
                        self.found += [(node, changed) for changed in operator(node)]
            return True

    text = pasteable(reference)
    tree, changes = cst.parse_module(text), Changes()
    tree.visit(changes)
    made: dict[str, Mutant] = {}
    for node, changed in changes.found:
        whole = tree.deep_replace(node, changed)
        assert isinstance(whole, cst.Module)
        source = whole.code
        before, after = _changed_lines(text, source)
        twins = sum(one.before == before and one.after.split("  # ")[0] == after for one in made.values())
        if source != text and source not in made:
            made[source] = Mutant(before, after if not twins else f"{after}  # {twins + 1}", source)
    return list(made.values())


def _changed_lines(text: str, other: str) -> tuple[str, str]:
    lines = list(difflib.ndiff(text.splitlines(), other.splitlines()))
    before, after = ([line[2:].strip() for line in lines if line.startswith(sign)] for sign in ("- ", "+ "))
    return " ".join(before), " ".join(after)


def reason_everywhere(text: str, mutant: Mutant) -> str:
    """Why a mutant of this text is equivalent whatever the exercise; "" if it need not be."""
    for pattern, why in EQUIVALENT_EVERYWHERE:
        one, other = (re.sub(r", ?\)", ")", re.sub(pattern, "", source)) for source in (text, mutant.source))
        if one == other:
            return why
    return ""


class Bench:
    """Judges many answers to one exercise on some seeds; the reference is run once on each case."""

    def __init__(self, exercise: Exercise, seeds: Sequence[int] = SEEDS) -> None:
        self.exercise, self.seeds = exercise, seeds
        models: dict[Model, Any] = {}
        # What runs on the lessons' model comes last: most mutants are refused before.
        self.cases = {
            seed: [_with_kept_models(case, models) for case in sorted(exercise.cases(seed), key=_is_slow)]
            for seed in seeds
        }
        self.expected: dict[tuple[int, int], Outcome] = {}

    def passes(self, answer: Any, seed: int) -> bool:
        """Whether a check with this seed takes an answer for right. It ends at the first case that is wrong."""
        for place, case in enumerate(self.cases[seed]):
            if (seed, place) not in self.expected:
                self.expected[seed, place] = run_case(self.exercise, self.exercise.reference, case)
            got = Outcome("error", error="out of time")
            with contextlib.suppress(OutOfTime), time_limit(SECONDS):
                got = run_case(self.exercise, answer, case)
            if got.kind == "not tried" or fault(self.exercise, self.expected[seed, place], got):
                return False
        return True

    def seeds_passed(self, mutant: Mutant, path: Path) -> list[int]:
        """The seeds on which a mutant is taken for right. Its source goes to ``path``: a trace reads it from there."""
        path.write_text(mutant.source, encoding="utf-8")
        try:
            answer = runpy.run_path(str(path))[self.exercise.name]
        except Exception:  # it cannot even be defined
            return []
        return [seed for seed in self.seeds if self.passes(answer, seed)]


class _Kept:
    """Stands for a model that is made once for all answers. What an answer changes of it is undone after its run."""

    def __init__(self, model: Model, made: dict[Model, Any]) -> None:
        self.model, self.made = model, made

    def load(self) -> Any:
        if self.model not in self.made:
            self.made[self.model] = self.model.load()
        return self.made[self.model]


def _with_kept_models(case: Case, made: dict[Model, Any]) -> Case:
    def kept(arg: Any) -> Any:
        return _Kept(arg, made) if isinstance(arg, Model) else arg

    kwargs = {name: kept(arg) for name, arg in case.kwargs.items()}
    return replace(case, args=tuple(map(kept, case.args)), kwargs=kwargs)


def _is_slow(case: Case) -> bool:
    models = [getattr(arg, "model", arg) for arg in (*case.args, *case.kwargs.values())]
    return any(isinstance(model, Model) and model.name is None for model in models)


def judge_mutants(exercise: Exercise, equivalent: dict[str, str], seeds: Sequence[int] = SEEDS) -> Found:
    """Judge every mutant of an exercise's reference; ``equivalent`` has those that are not run, by their text."""
    bench, found, text = Bench(exercise, seeds), Found(exercise.id, [], [], []), pasteable(exercise.reference)
    with tempfile.TemporaryDirectory() as folder:
        for number, mutant in enumerate(mutants(exercise.reference)):
            if str(mutant) in equivalent or reason_everywhere(text, mutant):
                found.equivalent.append(mutant)
                continue
            passed = bench.seeds_passed(mutant, Path(folder) / f"mutant{number}.py")
            if passed:
                found.passed.append((mutant, passed))
            else:
                found.refused.append(mutant)
    return found
