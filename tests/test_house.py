"""The house is kept: what holds for the package as a whole, whoever changes which room."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "course_utils"
FOLDERS_WITH_SOURCES = (".ci", "benchmarks", "course_utils", "docs", "tests")
MOST_PARAMETERS = 8
MOST_CHARACTERS = 120


def test_no_function_takes_more_than_eight_parameters() -> None:
    """More than that nobody can call by heart; `**options: Unpack[...]` names them once for all that share them."""
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name} takes {len(parameters_of(node))}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(parameters_of(node)) > MOST_PARAMETERS
    ]
    assert not found


def test_a_parameter_is_counted_however_it_is_passed() -> None:
    source = "class A:\n    def f(self, a, /, b, c=1, *rest, d, e=2, **options): pass"
    (function,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    assert parameters_of(function) == ["a", "b", "c", "d", "e"]


def test_no_line_is_longer_than_120_characters() -> None:
    """ruff passes over a line that ends in a comment for a tool, such as `# type: ignore`; a reader does not."""
    files = [
        *ROOT.glob("*.py"),
        *(file for name in FOLDERS_WITH_SOURCES for file in sorted((ROOT / name).rglob("*.py"))),
    ]
    found = [f"{file.relative_to(ROOT)}:{number}" for file in files for number in long_lines(file.read_text("utf-8"))]
    assert not found


def test_a_line_is_measured_whatever_it_ends_in() -> None:
    assert long_lines(f"{'x' * 118} #\n{'é' * 120}\nx = 1{' ' * 100}# type: ignore[misc]\n") == [3]


def long_lines(source: str) -> list[int]:
    """The numbers of the lines that are too long."""
    return [number for number, line in enumerate(source.splitlines(), start=1) if len(line) > MOST_CHARACTERS]


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of a function's parameters, by position or by keyword, but `self`, `cls` and what takes the rest."""
    listed = function.args
    names = [argument.arg for argument in [*listed.posonlyargs, *listed.args, *listed.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]
