"""The learner's own code, cut into pieces, and those of them that an answer needs.

The answer to an exercise is what the learner's own notebook would define under its name at the moment of its check. So
it is not a cell but a slice (Weiser 1984, "Program Slicing"): the piece that binds the name last, and, again and again,
each piece that binds or changes what is read, wherever it stands and whatever its cell is called.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from course_utils.grading.names import (
    imports_everything,
    is_dynamic,
    names_bound_by,
    names_set_by,
    names_used,
    names_used_by,
)
from course_utils.notebooks.normalise import binds_nothing

_BUILTIN = frozenset(dir(builtins))
_ONLY_SHOW = {"print", "display", "check", "hint", "solution"}


@dataclass(frozen=True)
class Piece:
    """Statements of one cell that are the learner's own: those that define one exercise's answer, or the cell's others.

    Attributes:
        cell: the place of its cell in the notebook.
        body: empty where Python refuses the cell.
        answers: the name of the exercise that it answers, or "".
        before_check: it stands before a check in its own cell, or there is none in it.
    """

    cell: int
    body: tuple[ast.stmt, ...]
    answers: str = ""
    source: str = ""
    before_check: bool = True

    @cached_property
    def sets(self) -> frozenset[str]:
        """The names that it binds."""
        return frozenset(names_set_by(self.body))

    @cached_property
    def changes(self) -> frozenset[str]:
        """The names that it binds, or whose values it may change."""
        return frozenset(names_bound_by(self.body))

    @cached_property
    def reaches(self) -> frozenset[str]:
        """As ``changes``, and the names that it hands to a function for nothing but what that does to them."""
        return self.changes | {name for one in self.body for name in _handed_over(one)}

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names that it takes from elsewhere."""
        return frozenset(names_used_by(self.body) if self.body else names_used(self.source))

    @cached_property
    def dumped(self) -> tuple[str, ...]:
        """Its statements, as texts that are the same where they do the same."""
        return tuple(map(ast.dump, self.body))

    def only(self, name: str) -> Piece:
        """Of its statements those that reach a name."""
        return replace(self, body=tuple(self._by_name[name]))

    @cached_property
    def _by_name(self) -> dict[str, list[ast.stmt]]:
        found: dict[str, list[ast.stmt]] = {}
        for one in self.body:
            for name in Piece(self.cell, (one,)).reaches:
                found.setdefault(name, []).append(one)
        return found


@dataclass(frozen=True)
class OwnCode:
    """All of the learner's own code.

    Attributes:
        sources: the whole source of each cell that has some, by its place.
        bodies: its statements; none where Python refuses it.
        pieces: in the order of the notebook.
        checks: by exercise, the place of its last check.
        given: by place, the names that the lesson's own cells bind there.
    """

    sources: dict[int, str]
    bodies: dict[int, list[ast.stmt]]
    pieces: tuple[Piece, ...]
    checks: dict[str, int]
    given: dict[int, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def reaching(self) -> dict[str, list[Piece]]:
        """By name, the pieces that reach it."""
        found: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            for name in piece.reaches:
                found.setdefault(name, []).append(piece)
        return found

    @cached_property
    def hiding(self) -> list[Piece]:
        """The pieces that may bind names which their source does not show."""
        dynamic = {place for place, body in self.bodies.items() if is_dynamic(body)}
        return [one for one in self.pieces if imports_everything(one.body) or one.cell in dynamic]


def cut(whole: Piece, names: Mapping[str, str], given: Iterable[ast.stmt] = (), *, lessons: bool) -> list[Piece]:
    """The pieces of a cell. Each import is one of its own: that one fails must not cost what the others bring.

    Args:
        whole: all of the cell.
        names: of the exercises, by their ids.
        given: the lesson's statements of this cell, which are not the learner's.
        lessons: the cell is the lesson's, and not one for an answer: only what it has more, under new names, is kept.
    """
    if not whole.body:
        refused = bool(whole.source.strip()) and not lessons and not is_empty(whole.source)
        return [whole] if refused else []
    dumps = {ast.dump(statement) for statement in given}
    taken = names_set_by(given)
    own = (
        [one for one, dump in zip(whole.body, whole.dumped, strict=True) if dump not in dumps] if dumps else whole.body
    )
    if lessons:
        own = [one for one in own if imports_everything([one]) or ((new := names_set_by([one])) and not new & taken)]
    checked = {position: checked for position, one in enumerate(own) if (checked := _checked(one, names))}
    last = max(checked, default=len(own))
    found: dict[tuple[str, int], list[tuple[int, ast.stmt]]] = {}
    for position, one in enumerate(own):
        if position in checked:
            answer = checked[position]
            if answer is not one:  # `standardise = check("m.1", mine)`: given before it is checked
                found.setdefault((names_of(answer, names)[0], -1), []).append((position - 1, answer))
            continue
        for name in names_of(one, names) or [""]:
            alone = position if isinstance(one, ast.Import | ast.ImportFrom) else -1
            found.setdefault((name, alone), []).append((position, one))
    return [
        replace(
            whole,
            body=tuple(one for _, one in group),
            answers=name,
            before_check=any(position < last for position, _ in group),
        )
        for (name, _), group in found.items()
    ]


def source_of(code: OwnCode, pieces: Collection[Piece]) -> str:
    """The source of these pieces of one cell, as the learner wrote it where that can be had."""
    place = next(iter(pieces)).cell
    source, body = code.sources[place], code.bodies[place]
    if not body:
        return source
    wanted = {id(one): one for piece in pieces for one in piece.body}
    keep = [one for one in body if id(one) in wanted]
    if len(wanted) > len(keep):  # what was handed to a check stands nowhere as it is run
        ordered = sorted(wanted.values(), key=lambda one: (one.lineno, one.col_offset))
        return "\n".join(ast.unparse(one) for one in ordered)
    if len(keep) == len(body):
        return source
    lines = source.split("\n")
    gone = {line for one in body if id(one) not in wanted for line in _lines(one)}
    if any(line in gone for one in keep for line in _lines(one)):  # two statements on one line
        return "\n".join(ast.unparse(one) for one in keep)
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in gone).strip("\n")


def needed(code: OwnCode, answer: Piece, check: int, supplied: Collection[str], lesson: Collection[str]) -> list[Piece]:
    """The pieces that an answer needs, itself among them, in the order of the notebook.

    Args:
        check: the place of the check.
        supplied: the names that are there in any case: of the exercises before.
        lesson: the names that the lesson binds.
    """
    chosen = [
        answer,
        *(one for one in code.pieces if one.cell == answer.cell and not one.answers and one is not answer),
        *(one for one in code.pieces if one.cell < answer.cell and _is_of_the_future(one)),
    ]
    waiting, seen, taken = list(chosen), set(supplied), {(id(one), "") for one in chosen}
    while waiting:
        piece = waiting.pop()
        for name in piece.uses - seen:
            if name == answer.answers and piece is not answer:
                continue  # a helper that calls the answer means this one
            seen.add(name)
            for one in _binders(code, name, check, lesson):
                if name == answer.answers and one.cell >= answer.cell:
                    continue
                # What is not seen to reach it may do so all the same, and is run as a whole.
                key = id(one), name if name in one.reaches and name not in one.sets else ""
                if key in taken:
                    continue
                taken.add(key)
                if key[1]:
                    # A trial with `torch.manual_seed(0)` in it: that line may be needed, and not the hour that follows.
                    one = one.only(name)
                chosen.append(one)
                waiting.append(one)
    return _ordered(chosen)


def all_before(code: OwnCode, answer: Piece, check: int) -> list[Piece]:
    """An answer and everything of the learner's that stands before its check, but no other exercise's answer."""
    others = [one for one in code.pieces if not one.answers and (one.cell <= check or one.cell == answer.cell)]
    return _ordered([answer, *(one for one in others if one.body or one.cell == answer.cell)])


def _is_of_the_future(piece: Piece) -> bool:
    """``from __future__ import annotations`` is for all cells from then on, and binds no name that they read."""
    return any(isinstance(one, ast.ImportFrom) and one.module == "__future__" for one in piece.body)


def _ordered(chosen: Sequence[Piece]) -> list[Piece]:
    return sorted(chosen, key=lambda one: one.cell)


def _binders(code: OwnCode, name: str, check: int, lesson: Collection[str]) -> list[Piece]:
    """The pieces that make a name what it is at the check."""
    makers = [one for one in code.reaching.get(name, ()) if name not in lesson or name in one.changes]
    before = [one for one in makers if one.cell <= check]
    if name in lesson:
        # What the lesson binds after the learner is the lesson's again.
        last = max((place for place, names in code.given.items() if name in names and place <= check), default=-1)
        return [one for one in before if one.cell > last]
    if before or name in _BUILTIN:
        return before
    if makers:
        return makers
    # Nobody is seen to bind it: it may come from a star or from a text that is executed.
    return code.hiding


def names_of(statement: ast.stmt, names: Mapping[str, str]) -> list[str]:
    """The exercises' names that a statement binds: by a definition, a lambda, another function, in a branch."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Delete):  # the course's own function is no answer
        return []
    bound = names_set_by([statement])
    return [name for name in names.values() if name in bound]


def is_empty(source: str) -> bool:
    """Whether a cell has nothing but comments and lines for IPython, or is not in Python."""
    if binds_nothing(source):
        return True
    lines = (line.strip() for line in source.split("\n"))
    return all(not line or line.startswith(("#", "%", "!", "?")) for line in lines)


def _checked(statement: ast.stmt, names: Mapping[str, str]) -> ast.stmt | None:
    """None where a statement is no check. Else itself, or where something else is handed in than the exercise's name,
    the statement that gives it that name.
    """
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    call = statement.value
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    if called != "check" or not isinstance(first, ast.Constant) or first.value not in names:
        return None
    name = names[str(first.value)]
    answer = next((one.value for one in call.keywords if one.arg == "answer"), None)
    answer = call.args[1] if answer is None and len(call.args) > 1 else answer
    if answer is None or isinstance(answer, ast.Starred) or (isinstance(answer, ast.Name) and answer.id == name):
        return statement
    given = ast.Assign([ast.Name(name, ast.Store())], answer)
    return ast.fix_missing_locations(ast.copy_location(given, statement))


def _handed_over(statement: ast.stmt) -> set[str]:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return set()
    call = statement.value
    if isinstance(call.func, ast.Name) and call.func.id in _ONLY_SHOW:
        return set()
    return {one.id for one in call.args if isinstance(one, ast.Name)}


def _lines(statement: ast.stmt) -> range:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(one.lineno for one in decorators)])
    return range(first, (statement.end_lineno or first) + 1)


def defines(source: str, name: str) -> bool:
    """Whether a cell that Python refuses looks as if it should define a name."""
    defined = rf"^[^\S\n]*(?:def|class)[^\S\n]+{re.escape(name)}\b|^{re.escape(name)}\s*="
    return bool(re.search(defined, source, re.MULTILINE))
