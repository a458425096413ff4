"""The house is kept: what holds for the package as a whole, whoever changes which room."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "course_utils"
MOST_PARAMETERS = 8


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


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of a function's parameters, by position or by keyword, but `self`, `cls` and what takes the rest."""
    listed = function.args
    names = [argument.arg for argument in [*listed.posonlyargs, *listed.args, *listed.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]
