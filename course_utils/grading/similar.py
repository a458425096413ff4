"""Answers whose code is the reference's, or one another's, also under other names. For a person to look at: alike is
not copied.

An answer is reduced to what it does: comments, docstrings, type hints and formatting go, and the names that it chose
itself are numbered in the order in which they come (as in Prechelt, Malpohl and Philippsen 2002, "Finding plagiarisms
among a set of programs with JPlag", the order of tokens is compared, not the words). Two answers are alike by the
share of their runs of five tokens that they have in common.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from course_utils.grading.lesson import Lesson
from course_utils.notebooks.normalise import parse_cell

SMALL = 40  # tokens; below that, right answers are bound to be alike
ALIKE = 0.9
_RUN = 5


@dataclass(frozen=True)
class Group:
    """Answers to one exercise that are alike.

    Attributes:
        students: two or more, or one where the reference is alike.
        reference: whether the reference is among them.
        share: 1.0 where only names differ, else the share of runs that the two have in common.
    """

    exercise: str
    students: tuple[str, ...]
    reference: bool
    share: float


def groups(lesson: Lesson, sources: dict[str, dict[str, str]]) -> list[Group]:
    """The answers that are alike: all that are the same as one group, then the pairs that are nearly so, most alike
    first.

    Args:
        sources: by student, by exercise, the source of what was handed in; only answers that were tried.
    """
    found: list[Group] = []
    for exercise in lesson.exercises:
        same: dict[tuple[str, ...], list[str]] = {}
        for student, answers in sorted(sources.items()):
            if len(own := tokens(answers.get(exercise.id, ""))) >= SMALL:
                same.setdefault(own, []).append(student)
        given = tokens(textwrap.dedent(inspect.getsource(exercise.reference)))
        for own, students in same.items():
            if len(students) > 1 or own == given:
                found.append(Group(exercise.id, tuple(students), own == given, 1.0))
        runs = [(students[0], _runs(own)) for own, students in same.items()]
        for (first, one), (second, other) in combinations(runs, 2):
            if (share := _share(one, other)) >= ALIKE:
                found.append(Group(exercise.id, (first, second), False, share))
    return sorted(found, key=lambda group: (not group.reference, -group.share, group.exercise, group.students))


def tokens(source: str) -> tuple[str, ...]:
    """What a source does, as a row of tokens without its own choice of names."""
    walker = _Walker()
    for statement in parse_cell(source):
        walker.visit(statement)
    return tuple(walker.row)


class _Walker(ast.NodeVisitor):
    def __init__(self) -> None:
        self.row: list[str] = []
        self.names: dict[str, str] = {}

    def _name(self, name: str) -> str:
        return self.names.setdefault(name, f"n{len(self.names)}")

    def generic_visit(self, node: ast.AST) -> Any:
        self.row.append(type(node).__name__)
        super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        self.row.append(self._name(node.id))

    def visit_arg(self, node: ast.arg) -> Any:
        self.row.append(self._name(node.arg))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        self.visit(node.value)
        self.row.append(f".{node.attr}")

    def visit_Constant(self, node: ast.Constant) -> Any:
        self.row.append(repr(node.value)[:50])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            self.row.append("Assign")
            self.visit(node.target)
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.row.append("FunctionDef")
        self._name(node.name)
        self.visit(node.args)
        body = node.body
        if (
            body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body = body[1:]
        for statement in body:
            self.visit(statement)

    def visit_Expr(self, node: ast.Expr) -> Any:
        if not isinstance(node.value, ast.Constant):  # a text that stands alone is a comment
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> Any:
        """What is imported shows where it is used."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """What is imported shows where it is used."""


def _runs(row: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {row[start : start + _RUN] for start in range(max(1, len(row) - _RUN + 1))}


def _share(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)
