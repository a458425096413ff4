"""The options of the sweeps: each is declared and explained once, and every call that has it has the same."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from course_utils.sweeps import PathOptions, SweepOptions, circuit_runs, options


def test_each_option_is_declared_once() -> None:
    declared = Counter(
        field.target.id
        for file in Path(options.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and any(word.arg == "total" for word in node.keywords)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    )
    assert set(declared) == {*SweepOptions.__annotations__, "ablation"}
    assert set(declared.values()) == {1}


def test_each_kind_of_call_has_the_options_that_it_can_use() -> None:
    taken = {
        SweepOptions: {"metric", "positions", "layers", "memory_mb", "progress", "shortcuts"},
        options.Question: {"metric", "positions", "layers"},
        PathOptions: {"metric", "positions", "memory_mb", "progress", "shortcuts"},
        options.Positioned: {"metric", "positions"},
        circuit_runs.CircuitOptions: {"metric", "memory_mb", "progress", "ablation"},
    }
    assert {kind: set(kind.__annotations__) for kind in taken} == taken


def test_each_option_is_named_where_a_call_says_what_it_takes() -> None:
    """A page of the reference does not list what a class inherits."""
    for kind in (SweepOptions, PathOptions, options.Question, options.Shortened, circuit_runs.CircuitOptions):
        assert [name for name in kind.__annotations__ if name not in str(kind.__doc__)] == []
