"""The reference notebook with a learner's answers in it, and what was found on the way.

The lesson's cells are recognised by their ids, else by the exercise in their metadata, else by their text, and are the
reference's own when it is marked. All else is the learner's, wherever it stands; what of it an answer needs is found by
name (see :mod:`course_utils.grading.own_code`). What was changed is flagged, and costs nothing by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nbformat import NotebookNode

from course_utils.exercises import Exercise
from course_utils.grading import own_code
from course_utils.grading.flags import Flag, Raised, cells
from course_utils.grading.lesson import Lesson
from course_utils.grading.names import names_bound
from course_utils.grading.own_code import OwnCode, Piece
from course_utils.grading.results import CellKind
from course_utils.notebooks.normalise import PROSE_MARK, checks_in, exercise_roles, parse_cell


@dataclass(frozen=True)
class Merged:
    """What a submission has of the lesson.

    Attributes:
        answers: by exercise, the source of the cell that defines the answer; None where there is none.
        untouched: the exercises whose answer is the stub.
        cells: by exercise, what of the learner's is run for it, in order: EXTRA or ANSWER, and the source.
        everything: the same with all that stands before the check, for an answer that needs what cannot be seen.
        own_names: the names that any of the learner's own code binds, or whose values it may change.
        doubtful: the exercises of which the notebook has several answers.
        prose: by question, the learner's words ("" if untouched).
        flags: what a person may want to look at, each with the exercise that it concerns, or "".
    """

    answers: dict[str, str | None]
    untouched: frozenset[str]
    cells: dict[str, list[tuple[CellKind, str]]] = field(default_factory=dict)
    everything: dict[str, list[tuple[CellKind, str]]] = field(default_factory=dict)
    own_names: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    prose: dict[str, str] = field(default_factory=dict)
    flags: tuple[tuple[str, Raised], ...] = ()

    def extras(self, exercise: str) -> list[str]:
        """The learner's own cells that are run for an exercise besides its answer."""
        return [source for kind, source in self.cells.get(exercise, []) if kind is CellKind.EXTRA]

    def with_everything(self, exercises: Iterable[str]) -> Merged:
        """The same where all that stands before their checks is run for these exercises."""
        return replace(self, cells={**self.cells, **{id: self.everything[id] for id in exercises}})


def merge(lesson: Lesson, notebook: NotebookNode) -> Merged:
    """Find the learner's answers in ``notebook``."""
    return _Merger(lesson, notebook).result()


class _Merger:
    def __init__(self, lesson: Lesson, notebook: NotebookNode) -> None:
        self.lesson = lesson
        self.cells = list(notebook.cells)
        self.flags: list[tuple[str, Raised]] = []
        self.reference = {cell.id: (index, cell) for index, cell in enumerate(lesson.notebook.cells)}
        self.roles = {lesson.notebook.cells[index].id: role for index, role in exercise_roles(lesson.notebook).items()}
        self.known = self._recognise()

    def result(self) -> Merged:
        self.code = self._own_code()
        lesson = {name for _, cell in self.reference.values() for name in names_bound(cell.source)}
        self.names_of_the_lesson = lesson - {exercise.name for exercise in self.lesson.exercises}
        answers: dict[str, str | None] = {}
        untouched, doubtful = set(), set()
        narrow: dict[str, list[tuple[CellKind, str]]] = {}
        wide: dict[str, list[tuple[CellKind, str]]] = {}
        for number, exercise in enumerate(self.lesson.exercises):
            answer, rivals = self._answer(exercise)
            answers[exercise.id] = None
            if answer is None:
                continue
            check = self.code.checks.get(exercise.id, len(self.cells))
            earlier = {one.name for one in self.lesson.exercises[:number]}
            chosen = own_code.needed(self.code, answer, check, earlier, self.names_of_the_lesson)
            narrow[exercise.id] = self._sources(chosen, answer)
            wide[exercise.id] = self._sources(own_code.all_before(self.code, answer, check), answer)
            answers[exercise.id] = next((one for kind, one in narrow[exercise.id] if kind is CellKind.ANSWER), "")
            if self._is_stub(answer, exercise):
                untouched.add(exercise.id)
            elif differing := _differing(rivals, answer, chosen):
                doubtful.add(exercise.id)
                self._flag(exercise.id, Flag.SEVERAL_DEFINITIONS, count=len(differing) + 1, name=exercise.name)
        self._flag_changes()
        own_names = frozenset(name for piece in self.code.pieces for name in piece.changes)
        prose = self._prose()
        return Merged(
            answers,
            frozenset(untouched),
            cells=narrow,
            everything=wide,
            own_names=own_names,
            doubtful=frozenset(doubtful),
            prose=prose,
            flags=tuple(self.flags),
        )

    def _flag(self, exercise: str, flag: Flag, **details: str | int) -> None:
        self.flags.append((exercise, flag.raised(**details)))

    def _recognise(self) -> dict[int, str]:
        """Which cell of the submission (by index) is which of the reference's (by id)."""
        known: dict[int, str] = {}
        taken: set[str] = set()

        def take(index: int, id: str) -> None:
            known[index] = id
            taken.add(id)

        for index, cell in enumerate(self.cells):
            id = cell.get("id") or cell.metadata.get("id")
            if (
                isinstance(id, str)
                and id in self.reference
                and id not in taken
                and cell.cell_type == self.reference[id][1].cell_type
            ):
                take(index, id)
        by_role = {role: id for id, role in self.roles.items()}
        for index, cell in enumerate(self.cells):
            course = cell.metadata.get("course")
            if index not in known and isinstance(course, dict) and isinstance(course.get("exercise"), str):
                id = by_role.get((course["exercise"], str(course.get("role"))), "")
                if id and id not in taken:
                    take(index, id)
        by_source: dict[tuple[str, str], list[str]] = {}
        for id, (_, cell) in self.reference.items():
            by_source.setdefault((cell.cell_type, cell.source.strip()), []).append(id)
        for index, cell in enumerate(self.cells):
            if index not in known:
                id = next(
                    (id for id in by_source.get((cell.cell_type, cell.source.strip()), []) if id not in taken), ""
                )
                if id:
                    take(index, id)
        for index, cell in enumerate(self.cells):  # a check or a prose mark says by itself what it is
            if index in known:
                continue
            if cell.cell_type == "code":
                found = [by_role.get((one.exercise, "check"), "") for one in checks_in(cell.source)]
            else:
                mark = PROSE_MARK.search(cell.source.split("\n", 1)[0])
                found = [by_role.get((mark.group(1), "prose"), "")] if mark else []
            if found and found[0] and found[0] not in taken:
                take(index, found[0])
        return known

    def _own_code(self) -> OwnCode:
        """What in the notebook is the learner's: whole cells, and what was written into the lesson's."""
        names = {exercise.id: exercise.name for exercise in self.lesson.exercises}
        sources: dict[int, str] = {}
        bodies: dict[int, list[ast.stmt]] = {}
        pieces: list[Piece] = []
        checks: dict[str, int] = {}
        given: dict[int, frozenset[str]] = {}
        for place, cell in enumerate(self.cells):
            if cell.cell_type != "code":
                continue
            for found in checks_in(cell.source):
                if found.exercise in names:
                    checks[found.exercise] = place  # the last one is what the learner saw last
            known = self.known.get(place, "")
            exercise, role = self.roles.get(known, ("", ""))
            theirs = parse_cell(self.reference[known][1].source) if known and role != "answer" else []
            lessons = bool(known) and role not in ("answer", "check")
            if role == "check":
                checks.setdefault(exercise, place)
            if lessons:
                given[place] = frozenset(names_bound(cell.source) & names_bound(self.reference[known][1].source))
            sources[place], bodies[place] = cell.source, parse_cell(cell.source)
            whole = Piece(place, tuple(bodies[place]), source=cell.source)
            for piece in own_code.cut(whole, names, theirs, lessons=lessons):
                if piece.body:
                    pieces.append(piece)
                    continue
                # Python refuses it: it counts for each answer that it looks like.
                meant = [one.name for one in self.lesson.exercises if (one.id, role) == (exercise, "answer")]
                meant += [name for name in names.values() if own_code.defines(cell.source, name) and name not in meant]
                pieces += [Piece(place, (), name, cell.source) for name in meant or [""]]
        return OwnCode(sources, bodies, tuple(pieces), checks, given)

    def _answer(self, exercise: Exercise) -> tuple[Piece | None, list[Piece]]:
        """The piece that defines an answer at the moment of its check, and the other ones that would."""
        check = self.code.checks.get(exercise.id, len(self.cells))
        all_ = [one for one in self.code.pieces if one.answers == exercise.name]
        tried = [one for one in all_ if not self._is_stub(one, exercise)]
        before = [one for one in tried if one.cell < check or (one.cell == check and one.before_check)]
        runs = [one for one in before if one.body] or before or [one for one in tried if one.body] or tried
        place = next((place for place, id in self.known.items() if self.roles.get(id) == (exercise.id, "answer")), None)
        if not runs:
            stubs = [one for one in all_ if one.cell == place] or all_
            if stubs:
                return stubs[-1], []
            if place is None:
                self._flag(exercise.id, Flag.ANSWER_GONE)
                return None, []
            if self.cells[place].cell_type != "code":
                self._flag(exercise.id, Flag.ANSWER_IS_NO_CODE)
                return None, []
            own = [one for one in self.code.pieces if one.cell == place and not one.answers]
            return (own[0] if own else Piece(place, ())), []
        answer = runs[-1]
        if answer.cell != place:
            self._flag(exercise.id, Flag.FOUND_BY_NAME, name=exercise.name)
        if answer not in before:
            self._flag(exercise.id, Flag.BELOW_ITS_CHECK, name=exercise.name)
        return answer, [one for one in tried if one is not answer]

    def _is_stub(self, piece: Piece, exercise: Exercise) -> bool:
        id = next(id for id, role in self.roles.items() if role == (exercise.id, "answer"))
        given = {ast.dump(one) for one in parse_cell(self.reference[id][1].source)}
        return bool(piece.body) and given.issuperset(piece.dumped)

    def _sources(self, pieces: list[Piece], answer: Piece) -> list[tuple[CellKind, str]]:
        """What is run of these pieces, cell by cell."""
        by_cell: dict[int, list[Piece]] = {answer.cell: []}
        for piece in pieces:
            by_cell.setdefault(piece.cell, []).append(piece)
        found = []
        for place, own in sorted(by_cell.items()):
            source = own_code.source_of(self.code, own) if own else self.cells[place].source
            found.append((CellKind.ANSWER if place == answer.cell else CellKind.EXTRA, source))
        return found

    def _flag_changes(self) -> None:
        """Flag what is not as it was given."""
        edited = 0
        for index, id in self.known.items():
            given, cell = self.reference[id][1], self.cells[index]
            if self.roles.get(id, ("", ""))[1] in ("answer", "prose") or cell.cell_type != "code":
                continue
            edited += given.source.strip() != cell.source.strip() and not _is_to_fill_in(given.source)
        if edited:
            self._flag("", Flag.LESSON_EDITED, cells=cells(edited))
        own = {place for place in self.code.sources if place not in self.known and self.cells[place].source.strip()}
        if any(piece.cell in self.known and not self._is_answer(piece.cell) for piece in self.code.pieces):
            self._flag("", Flag.ADDITIONS_KEPT)
        if own:
            self._flag("", Flag.OWN_CELLS, cells=cells(len(own)))
        gone = [
            id
            for id, (_, cell) in self.reference.items()
            if cell.cell_type == "code"
            and id not in self.known.values()
            and self.roles.get(id, ("", ""))[1] != "answer"
        ]
        if gone:
            self._flag("", Flag.LESSON_DELETED, cells=cells(len(gone)))
        order = [self.reference[id][0] for _, id in sorted(self.known.items())]
        if order != sorted(order):
            self._flag("", Flag.LESSON_REORDERED)

    def _is_answer(self, place: int) -> bool:
        return self.roles.get(self.known.get(place, ""), ("", ""))[1] == "answer"

    def _prose(self) -> dict[str, str]:
        words: dict[str, str] = {}
        for id, (exercise, role) in self.roles.items():
            if role != "prose":
                continue
            given = self.reference[id][1].source.strip()
            found = next((self.cells[index].source.strip() for index, known in self.known.items() if known == id), None)
            if found is None:
                self._flag(exercise, Flag.WORDS_GONE)
            words[exercise] = "" if found in (None, given) else _own_words(given, str(found))
        return words


def _is_to_fill_in(source: str) -> bool:
    """A cell like ``predict("4.1", ...)`` or ``prediction = ...``: made to be edited."""
    return any(
        isinstance(node, ast.Assign | ast.Expr) and any(map(_is_ellipsis, _values(node.value)))
        for node in parse_cell(source)
    )


def _values(node: ast.expr) -> list[ast.expr]:
    return node.args if isinstance(node, ast.Call) else [node]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _differing(rivals: list[Piece], answer: Piece, chosen: list[Piece]) -> list[Piece]:
    """Those that are not run and would do something else than the answer."""
    run = {id(one) for one in chosen}
    return [one for one in rivals if id(one) not in run and (not one.body or one.dumped != answer.dumped)]


def _own_words(given: str, found: str) -> str:
    """What the learner wrote, without the lines of the question."""
    question = set(given.splitlines())
    return "\n".join(line for line in found.splitlines() if line not in question).strip()
