"""A reference solution as a text that runs where it is pasted: its source, and the imports that the source needs."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any


def pasteable(reference: Callable[..., Any], have: Collection[str] = ()) -> str:
    """The source of a function or class, under one import for each name that it takes from around it.

    What its module imports is imported in the same way; what its module defines, from there. So the text runs in a
    cell of its own, whatever the notebook has imported. The names in ``have`` are there and are not imported.

    Raises:
        OSError: the source is not to be had.
    """
    source = textwrap.dedent(inspect.getsource(reference))
    module = sys.modules[reference.__module__]
    imports, defined = _names_of(module)
    plain: set[str] = set()
    parts: dict[str, set[str]] = {}  # by the module that they come from
    for name in _names_read(source) - {reference.__name__, *have}:
        if name in imports:
            origin, part = imports[name]
            if origin:
                parts.setdefault(origin, set()).add(part)
            else:
                plain.add(f"import {part}")
        elif name in defined:
            parts.setdefault(module.__name__, set()).add(name)
    head = [*sorted(plain), *(f"from {origin} import {', '.join(sorted(parts[origin]))}" for origin in sorted(parts))]
    return "\n".join([*head, "", "", source] if head else [source])


def _names_of(module: ModuleType) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """By name, where a module's imports come from ("" for a whole module) and what they import, those for type checkers
    too; and the names that it defines.
    """
    imports: dict[str, tuple[str, str]] = {}
    defined: set[str] = set()
    body = list(ast.parse(inspect.getsource(module)).body)
    for statement in body:
        if isinstance(statement, ast.If):  # if TYPE_CHECKING: annotations are read where the text is pasted
            body.extend(statement.body)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                imports[(alias.asname or alias.name).split(".")[0]] = ("", ast.unparse(alias))
        elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
            for alias in statement.names:
                part = alias.name if alias.asname in (None, alias.name) else ast.unparse(alias)
                imports[alias.asname or alias.name] = (statement.module or "", part)
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            defined |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return imports, defined


def _names_read(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    # Type hints may be quoted. A text that is no hint does no harm, unless the module has that very name.
    return names | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
