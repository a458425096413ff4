"""`tests/mutants.md`, the table of what the exercises' checks let through, and the command that fills it.

``course exercises mutate 3.4`` is for whoever writes an exercise; :mod:`course_utils.exercises.mutating` does the work.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, exercises, get_exercise
from course_utils.exercises.mutating import EQUIVALENT_EVERYWHERE, SEEDS, Found, judge_mutants
from course_utils.exercises.protocol import Exercise

TABLE = Path(__file__).resolve().parents[2] / "tests" / "mutants.md"


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
