"""How much an exercise's check lets through: the reference solution changed in one place, judged as an answer.

The changes are mutmut's (a number one higher, an operator turned, an argument dropped, an assignment of None ...). One
that gives the reference's values on every input is equivalent; that takes a person to say, and `tests/mutants.md` has
each with the reason. Every other one must be refused, whatever the seed: one that passes shows a case that the exercise
never draws. ``course exercises mutate 3.4`` is for whoever writes an exercise.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import re
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, exercises, get_exercise
from course_utils.exercises.judging import fault, run_case
from course_utils.exercises.protocol import Case, Exercise, Model
from course_utils.exercises.running import Outcome
from course_utils.exercises.showing import pasteable
from course_utils.exercises.surroundings import OutOfTime, time_limit

TABLE = Path(__file__).resolve().parents[2] / "tests" / "mutants.md"
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
    sources = [tree.deep_replace(node, changed).code for node, changed in changes.found]  # type: ignore[attr-defined]
    made: dict[str, Mutant] = {}
    for source in sources:
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

    @property
    def is_slow(self) -> bool:
        """Whether every case runs the lessons' model."""
        return all(_is_slow(case) for cases in self.cases.values() for case in cases)

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


# The table: counts, what passed, what is equivalent.


@dataclass
class Table:
    """`tests/mutants.md` as data: counts by exercise, what was let through, and what is equivalent with the reason."""

    counts: dict[str, tuple[int, int, int]]  # made, equivalent, refused on every seed
    passed: dict[str, list[str]]
    equivalent: dict[str, dict[str, str]]

    @classmethod
    def read(cls, text: str) -> Table:
        """From the file's text."""
        table = cls({}, {}, {})
        section = ""
        for line in text.splitlines():
            if line.startswith("## "):
                section = line[3:]
            elif row := re.match(r"\| (\d\.\d+) \| (\d+) \| (\d+) \| (\d+) \|", line):
                table.counts[row[1]] = (int(row[2]), int(row[3]), int(row[4]))
            elif item := re.match(r"- (\d\.\d+): (`.*?` → `.*?`)(?:: (.*))?$", line):
                if section == EQUIVALENT:
                    table.equivalent.setdefault(item[1], {})[item[2]] = item[3] or ""
                else:
                    table.passed.setdefault(item[1], []).append(item[2] + (f": {item[3]}" if item[3] else ""))
        return table

    def put(self, found: Found) -> None:
        """Set what is known of one exercise; what is equivalent is a person's to write."""
        self.counts[found.exercise] = (found.made, len(found.equivalent), len(found.refused))
        told = [f"{mutant}: on {len(seeds)} of {len(SEEDS)} seeds" for mutant, seeds in found.passed]
        self.passed[found.exercise] = told

    def share(self, *ids: str) -> float:
        """Of the mutants that are not equivalent, the share that is refused on every seed; of all without ``ids``."""
        rows = [self.counts[id] for id in ids or self.counts]
        apart = sum(made - equivalent for made, equivalent, _ in rows)
        return sum(refused for *_, refused in rows) / apart if apart else 1.0

    def text(self) -> str:
        """The file."""
        lines = [HEAD, "| exercise | mutants | equivalent | refused on every seed | share |", "|---|---|---|---|---|"]
        for id in sorted(self.counts, key=_place):
            made, equivalent, refused = self.counts[id]
            lines.append(f"| {id} | {made} | {equivalent} | {refused} | {self.share(id):.1%} |")
        made, equivalent, refused = (sum(column) for column in zip(*self.counts.values(), strict=True))
        lines += [f"| all | {made} | {equivalent} | {refused} | {self.share():.1%} |", "", f"## {PASSED}", ""]
        lines += [f"- {id}: {mutant}" for id in sorted(self.passed, key=_place) for mutant in self.passed[id]]
        lines += ["", f"## {EQUIVALENT}", "", "In every exercise:", ""]
        lines += [f"- {why}." for _, why in EQUIVALENT_EVERYWHERE]
        lines += ["", "In one:", ""]
        for id in sorted(self.equivalent, key=_place):
            lines += [f"- {id}: {mutant}: {why}" for mutant, why in self.equivalent[id].items()]
        return "\n".join(lines) + "\n"


HEAD = """# Mutants of the reference solutions

Each reference solution, changed in one place in every way that mutmut knows, was judged by its exercise's check on
seeds 1 to 5. Written by `course exercises mutate --write`; only the reasons are a person's.
"""
PASSED = "Let through on some seed"
EQUIVALENT = "Equivalent: the same values on every input that the docstring allows"


def _place(id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in id.split("."))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare `course exercises mutate`."""
    commands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    mutate = commands.add_parser("mutate", help="change a reference solution in one place, and let its check judge it")
    mutate.add_argument("ids", nargs="*", metavar="ID", help="an exercise (3.4) or a lesson (3); all unless given")
    mutate.add_argument("--write", action="store_true", help=f"write the counts to {TABLE.name}")
    mutate.set_defaults(run=_mutate)


def _mutate(arguments: argparse.Namespace) -> int:
    if not TABLE.exists():
        raise CourseError(f"The table of mutants, {TABLE}, is not there: run this in a checkout of the course.")
    for exercise in list(_chosen(arguments.ids)):
        equivalent = Table.read(TABLE.read_text(encoding="utf-8")).equivalent.get(exercise.id, {})
        found = judge_mutants(exercise, equivalent)
        table = Table.read(TABLE.read_text(encoding="utf-8"))
        table.put(found)
        for mutant, seeds in found.passed:
            print(f"  passed on {len(seeds)} of {len(SEEDS)} seeds: {mutant}")
        gone = set(equivalent) - {str(mutant) for mutant in found.equivalent}
        for mutant_text in sorted(gone):
            print(f"  no such mutant any more: {mutant_text}")
        print(
            f"{exercise.id} {exercise.name}: {found.made} mutants, {len(found.equivalent)} equivalent, "
            f"{table.share(exercise.id):.0%} of the others refused on every seed"
        )
        sys.stdout.flush()
        if arguments.write:
            TABLE.write_text(table.text(), encoding="utf-8")
    return 0


def _chosen(ids: Sequence[str]) -> Iterator[Exercise]:
    for id in ids or LESSONS:
        try:
            yield from [get_exercise(id)] if "." in id else exercises(id)
        except KeyError as error:
            raise CourseError(str(error.args[0])) from None
