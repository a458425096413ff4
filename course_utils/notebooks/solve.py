"""A lesson with every stub solved, and whether it goes on as the committed one does.

The solved copy is made, never stored. So there are no student and teacher twins to keep alike: what is tested
is the committed notebook with the reference's own source in place of each stub.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.exercises.showing import pasteable
from course_utils.notebooks.normalise import (
    Problem,
    checks_in,
    exercise_roles,
    parse_cell,
    text_of,
)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def solve(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in which each answer cell's stub is the source of its exercise's reference.

    The cell imports first what that source takes from its module, but not what an earlier answer defines: a solution
    goes on with the learner's own. Raises CourseError if a check cell names an exercise that does not exist.
    """
    result = copy.deepcopy(notebook)
    answered: set[str] = set()
    for index, exercise_id, name in _answers(notebook):
        reference = _reference(exercise_id)
        cell = result.cells[index]
        stub = _definition(cell.source, name)
        lines = cell.source.split("\n")
        first = min([stub.lineno, *(decorator.lineno for decorator in stub.decorator_list)]) - 1
        solution = pasteable(reference, answered).rstrip("\n")
        if reference.__name__ != name:
            solution += f"\n\n\n{name} = {reference.__name__}"
        solved = [*lines[:first], *solution.split("\n"), *lines[stub.end_lineno :]]
        cell["source"] = "\n".join(solved)
        answered.add(name)
    return result


def stub_problems(notebook: NotebookNode) -> list[Problem]:
    """Where a stub's name, parameters, defaults, type hints or docstring are not its reference's.

    A stub may leave out type hints; one that it gives must be the reference's.
    """
    found = []
    for index, exercise_id, name in _answers(notebook):
        reference = _reference(exercise_id)
        wanted = ast.parse(textwrap.dedent(inspect.getsource(reference))).body[0]
        assert isinstance(wanted, Definition)
        stub = _definition(notebook.cells[index].source, name)
        if name != reference.__name__:
            text = f"defines `{name}`, exercise {exercise_id} asks for `{wanted.name}`"
            found.append(Problem(index, text))
        drift = _drift(stub, wanted)
        found.extend(Problem(index, f"the stub of exercise {exercise_id}: {text}") for text in drift)
        if not any(_raises_not_implemented(node) for node in ast.walk(stub)):
            found.append(Problem(index, f"the stub of {exercise_id} does not raise NotImplementedError"))
    return found


def parted(committed: NotebookNode, solved: NotebookNode) -> list[Problem]:
    """The cells whose text outputs differ between the lesson as committed and the lesson solved, both executed.

    Answer and check cells differ by design, and so may cells that call `hint` or `solution` or that are tagged
    `nbval-ignore-output`. Pictures are not compared.
    """
    roles = exercise_roles(committed)
    found = []
    for index, (before, after) in enumerate(zip(committed.cells, solved.cells, strict=True)):
        if before.cell_type != "code" or index in roles or _may_differ(before):
            continue
        left, right = (list(map(text_of, cell.outputs)) for cell in (before, after))
        if left != right:
            found.append(Problem(index, f"as committed it shows {_short(left)}, solved {_short(right)}"))
    return found


def unsolved(solved: NotebookNode) -> list[Problem]:
    """The check cells of an executed solved lesson that do not show the tick of a right answer."""
    found = []
    for index, (exercise_id, role) in exercise_roles(solved).items():
        text = "".join(map(text_of, solved.cells[index].get("outputs", [])))
        if role == "check" and f"✓ {exercise_id}" not in text:
            found.append(Problem(index, f"the reference of {exercise_id} did not pass: {_short([text])}"))
    return found


def _answers(notebook: NotebookNode) -> Iterator[tuple[int, str, str]]:
    """Index, exercise id and name of each answer cell, in order."""
    names = {
        one.exercise: one.name for cell in notebook.cells if cell.cell_type == "code" for one in checks_in(cell.source)
    }
    for index, (exercise_id, role) in sorted(exercise_roles(notebook).items()):
        if role == "answer":
            yield index, exercise_id, names[exercise_id]


def _reference(exercise_id: str) -> Any:
    from course_utils.exercises import get_exercise

    try:
        return get_exercise(exercise_id).reference
    except Exception as error:
        raise CourseError(f"exercise {exercise_id}: {error}") from error


def _definition(source: str, name: str) -> Definition:
    defined = [node for node in parse_cell(source) if isinstance(node, Definition) and node.name == name]
    return defined[-1]


def _drift(stub: Definition, wanted: Definition) -> Iterator[str]:
    if type(stub) is not type(wanted):
        yield f"is a {_kind(stub)}, the reference is a {_kind(wanted)}"
        return
    if ast.get_docstring(stub) != ast.get_docstring(wanted):
        yield f"the docstring of `{stub.name}` is not the reference's"
    if isinstance(stub, ast.ClassDef) and isinstance(wanted, ast.ClassDef):
        methods = {node.name: node for node in wanted.body if isinstance(node, ast.FunctionDef)}
        for node in stub.body:
            if isinstance(node, ast.FunctionDef):
                if node.name in methods:
                    yield from _drift(node, methods[node.name])
                else:
                    yield f"the reference has no method `{node.name}`"
        missing = {name for name in methods if not name.startswith("_") or name == "__init__"}
        for name in sorted(missing - {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}):
            yield f"the reference's method `{name}` is missing"
    elif isinstance(stub, ast.FunctionDef) and isinstance(wanted, ast.FunctionDef):
        ours, theirs = ast.unparse(_bare(stub.args)), ast.unparse(_bare(wanted.args))
        if ours != theirs:
            yield f"`{stub.name}({ours})`, the reference has `{wanted.name}({theirs})`"
        yield from _hint_drift(stub, wanted)


def _hint_drift(stub: ast.FunctionDef, wanted: ast.FunctionDef) -> Iterator[str]:
    def hints(node: ast.FunctionDef) -> dict[str, str]:
        given = {
            arg.arg: ast.unparse(arg.annotation)
            for arg in ast.walk(node.args)
            if isinstance(arg, ast.arg) and arg.annotation
        }
        return given | ({"return": ast.unparse(node.returns)} if node.returns else {})

    reference = hints(wanted)
    for name, hint in hints(stub).items():
        if hint != reference.get(name):
            yield f"the type hint of `{name}` is `{hint}`, the reference has `{reference.get(name)}`"


def _bare(arguments: ast.arguments) -> ast.arguments:
    bare = copy.deepcopy(arguments)
    for node in ast.walk(bare):
        if isinstance(node, ast.arg):
            node.annotation = None
    return bare


def _kind(node: Definition) -> str:
    return "class" if isinstance(node, ast.ClassDef) else "function"


def _raises_not_implemented(node: ast.AST) -> bool:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _may_differ(cell: NotebookNode) -> bool:
    if "nbval-ignore-output" in cell.metadata.get("tags", []):
        return True
    nodes = [node for statement in parse_cell(cell.source) for node in ast.walk(statement)]
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    return any(isinstance(called, ast.Name) and called.id in ("hint", "solution") for called in calls)


def _short(texts: list[str]) -> str:
    joined = " | ".join(texts)
    return repr(joined if len(joined) <= 300 else joined[:300] + " ...")
