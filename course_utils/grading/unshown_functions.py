"""Functions of the course that an answer uses and the solution does not.

Some of them do what the exercise asks for: `concept_directions` gives what `concept_direction` should. That one is not
withheld, since the lesson needs it. Whether an answer that uses it is the learner's own is for a person to decide.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from textwrap import dedent
from types import ModuleType
from typing import Any

from course_utils.exercises import LESSONS
from course_utils.grading.lesson import Lesson
from course_utils.grading.names import names_used
from course_utils.notebooks.normalise import exercise_roles, parse_cell

_SHORT = 2_500  # characters; the longest cell of a lesson, its set-up, has some 2,300
_SWEEPS = ("questions", "paths", "direct", "edge_gradients", "circuit_runs")
_TEACHING = {
    *(f"course_utils.sweeps.{name}" for name in _SWEEPS),
    *(f"course_utils.{name}" for name in LESSONS.values()),
}


def teaching_modules(lesson: Lesson) -> set[str]:
    """The modules whose functions do what exercises ask for."""
    return _TEACHING | {module for module in lesson.modules if lesson.folder is not None}


def unshown_functions(
    lesson: Lesson,
    exercise_id: str,
    cells: Iterable[str],
    others: Iterable[str] = (),
    seen: Iterable[str] = (),
) -> list[str]:
    """The functions and classes, as "name of module", that an answer takes from the course beyond what it was shown.

    What the solution itself uses is not among them, nor is what the lesson's own cells use in front of the answer.

    Args:
        cells: the answer, and the learner's own cells that stand right before it.
        others: more cells of the learner's own, in which something may have been imported.
        seen: what was seen to be called while the answer ran. It comes out of the sandbox, so only names that there are
            count.
    """
    modules = teaching_modules(lesson)
    reference = lesson.exercise(exercise_id).reference
    given = _imported([cell.source for cell in lesson.notebook.cells if cell.cell_type == "code"], modules)
    own = list(cells)
    used = _named(own, _imported([*others, *own], modules), modules)
    taken = {name for cell in own for name in names_used(cell)}  # a variable of the answer's own may have a tool's name
    used |= _named(own, {name: thing for name, thing in given.items() if name in taken}, modules)
    solution = _named([dedent(inspect.getsource(reference))], vars(inspect.getmodule(reference)), modules)
    shown = _named(_cells_before(lesson, exercise_id), given, modules)
    used |= {name for name in seen if _exists(name, modules)} - {_name(one.reference) for one in lesson.exercises}
    return sorted(used - solution - shown - {_name(reference)})


def _exists(name: str, modules: set[str]) -> bool:
    function, _, module = name.partition(" of ")
    return module in modules and hasattr(importlib.import_module(module), function)


def _cells_before(lesson: Lesson, exercise_id: str) -> list[str]:
    roles = exercise_roles(lesson.notebook)
    (answer,) = (index for index, role in roles.items() if role == (exercise_id, "answer"))
    before = enumerate(lesson.notebook.cells[:answer])
    return [cell.source for index, cell in before if cell.cell_type == "code" and index not in roles]


def _imported(cells: Iterable[str], modules: set[str]) -> dict[str, Any]:
    """What the cells' imports bind, as far as it is of `modules`."""
    bound: dict[str, Any] = {}
    for node in _nodes(cell for cell in cells if "import" in cell):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                bound[alias.asname or top] = _module(alias.name if alias.asname else top, modules)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            module = _module(node.module, modules)
            for alias in node.names:
                if alias.name == "*":
                    everything = vars(module) if module else {}
                    bound |= {name: thing for name, thing in everything.items() if not name.startswith("_")}
                else:
                    found = _module(f"{node.module}.{alias.name}", modules) or getattr(module, alias.name, None)
                    bound[alias.asname or alias.name] = found
    return bound


def _module(name: str, modules: set[str]) -> ModuleType | None:
    """The module of that name, if it is one of these, or the package that holds them. No other is imported: a learner
    wrote the name.
    """
    if name in modules or any(module.startswith(f"{name}.") for module in modules):
        return importlib.import_module(name)
    return None


def _named(cells: Iterable[str], bound: Mapping[str, Any], modules: set[str]) -> set[str]:
    """The functions and classes of `modules` that the cells name, as "name of module"."""
    found = set()
    for node in _nodes(cells):
        thing = _resolve(node, bound)
        if (inspect.isroutine(thing) or inspect.isclass(thing)) and thing.__module__ in modules:
            found.add(_name(thing))
    return found


def _resolve(node: ast.AST, bound: Mapping[str, Any]) -> Any:
    attributes = []
    while isinstance(node, ast.Attribute):  # no recursion: a hostile chain may be thousands long
        attributes.append(node.attr)
        node = node.value
    thing = bound.get(node.id) if isinstance(node, ast.Name) else None
    for attribute in reversed(attributes):
        thing = getattr(thing, attribute, None) if isinstance(thing, ModuleType) else None
    return thing


def _name(thing: Any) -> str:
    return f"{thing.__name__} of {thing.__module__}"


def _nodes(cells: Iterable[str]) -> Iterator[ast.AST]:
    """The nodes of all cells. The lesson's own cells are looked through for each exercise of each submission, so what
    is found in cells as short as these is kept.
    """
    for cell in cells:
        yield from _kept(cell) if len(cell) <= _SHORT else _nodes_of(cell)


@lru_cache(maxsize=300)
def _kept(cell: str) -> tuple[ast.AST, ...]:
    return tuple(_nodes_of(cell))


def _nodes_of(cell: str) -> Iterator[ast.AST]:
    return (node for statement in parse_cell(cell) for node in ast.walk(statement))
