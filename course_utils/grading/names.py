"""Which names a cell takes from the notebook, and which it gives to it, from its source alone."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterable, Iterator

from course_utils.notebooks.normalise import parse_cell

_DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "get_ipython", "__import__"}
_WORD = re.compile(r"[^\W\d]\w*")
# Each from the start of a line and within it: else a long line, or many empty ones, take the square of their length.
_MAGIC = re.compile(r"^[^\S\n]*[%!?].*|^.*=[^\S\n]*[%!].*|^.*\?[^\S\n]*$", re.MULTILINE)
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def is_dynamic(body: Iterable[ast.stmt]) -> bool:
    """Whether names may be used that the source does not show: ``eval``, ``globals`` and the like."""
    nodes = (node for statement in body for node in ast.walk(statement))
    return any(isinstance(node, ast.Name) and node.id in _DYNAMIC for node in nodes)


def names_used(source: str) -> set[str]:
    """The names that a cell takes from the notebook: what its functions look up there, and what it reads before it
    binds it itself.

    A function's own variables are not among them, or every answer with a variable `text` would need the cell that has
    another one. Of lines for IPython, and of a cell that Python refuses, it is every word.
    """
    body = parse_cell(source)
    if not body:
        return set(_WORD.findall(source))
    magics = {word for line in _MAGIC.findall(source) for word in _WORD.findall(line)}
    return names_used_by(body) | magics


def names_used_by(body: Iterable[ast.stmt]) -> set[str]:
    """As :func:`names_used`, of statements."""
    used: set[str] = set()
    bound: set[str] = set()
    inner: set[str] = set()
    for statement in body:
        table = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
        inner |= _looked_up(table)
        used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()} - bound
        bound |= _set_in(table)
    return used | (inner - bound)


def names_set_by(body: Iterable[ast.stmt]) -> set[str]:
    """The names that statements bind in the notebook: functions, classes, variables, imports."""
    return {name for one in body for name in _set_in(symtable.symtable(ast.unparse(one), "<cell>", "exec"))}


def names_bound(source: str) -> set[str]:
    """The names that a cell binds, or whose values it may change."""
    return names_bound_by(parse_cell(source))


def names_bound_by(body: Iterable[ast.stmt]) -> set[str]:
    """As :func:`names_bound`, of statements."""
    statements = list(body)
    bound = names_set_by(statements)
    for statement in statements:
        for node in _outside_functions(statement):
            if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
                bound |= {leaf.id for leaf in ast.walk(node.value) if isinstance(leaf, ast.Name)}
            elif (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Attribute)
            ):
                changed = node.value.func.value  # `results.append(...)`
                if isinstance(changed, ast.Name) and changed.id != "plots":
                    bound.add(changed.id)
        bound |= {name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names}
    return bound


def imports_everything(body: Iterable[ast.stmt]) -> bool:
    """Whether names come in that the source does not show (``from x import *``)."""
    return any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in body)


def _set_in(table: symtable.SymbolTable) -> set[str]:
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }


def _looked_up(table: symtable.SymbolTable) -> set[str]:
    """The globals that the functions and classes in a scope refer to."""
    found: set[str] = set()
    for child in table.get_children():
        found |= {
            symbol.get_name() for symbol in child.get_symbols() if symbol.is_global() and symbol.is_referenced()
        } | _looked_up(child)
    return found


def _outside_functions(statement: ast.stmt) -> Iterator[ast.AST]:
    """A statement's nodes that run when it does."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _Scope):
            waiting += ast.iter_child_nodes(node)
