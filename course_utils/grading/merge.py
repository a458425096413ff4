"""The reference notebook with a learner's answers in it, and what was found on the way.

An answer is recognised by its cell's id, else by the exercise in its cell's metadata, else by the name that it defines
(Colab and old notebooks lose ids). Everything else that is marked is the reference's own. A learner's extra cells go
where they stood, before the answer that they precede. What else was changed is flagged, and costs nothing by itself.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from nbformat import NotebookNode

from course_utils.grading.flags import Flag, Raised, cells
from course_utils.grading.lesson import Lesson
from course_utils.notebooks.normalise import PROSE_MARK, checks_in, exercise_roles, names_defined_in, parse_cell


@dataclass(frozen=True)
class Merged:
    """What a submission has of the lesson.

    Attributes:
        answers: by exercise, the source of the answer cell; None where there is none.
        untouched: the exercises whose answer is the stub, letter by letter.
        extras: by exercise, the learner's own code cells that stand before its answer.
        prose: by question, the learner's words ("" if untouched).
        flags: what a person may want to look at, each with the exercise that it concerns, or "".
    """

    answers: dict[str, str | None]
    untouched: frozenset[str]
    extras: dict[str, list[str]] = field(default_factory=dict)
    prose: dict[str, str] = field(default_factory=dict)
    flags: tuple[tuple[str, Raised], ...] = ()


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
        answers, untouched, places = self._answers()
        carried = self._flag_changes()
        return Merged(answers, frozenset(untouched), self._extras(places, carried), self._prose(), tuple(self.flags))

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

    def _answers(self) -> tuple[dict[str, str | None], set[str], dict[str, int]]:
        by_role = {role: id for id, role in self.roles.items()}
        places = {id: index for index, id in self.known.items()}
        answers: dict[str, str | None] = {}
        untouched: set[str] = set()
        where: dict[str, int] = {}
        for exercise in self.lesson.exercises:
            cell_id = by_role[(exercise.id, "answer")]
            stub = self.reference[cell_id][1].source.strip()
            check = places.get(by_role[(exercise.id, "check")], len(self.cells))
            marked = places.get(cell_id)
            rivals = [
                index
                for index, cell in enumerate(self.cells)
                if cell.cell_type == "code"
                and index not in (marked, check)
                and index not in self.known
                and exercise.name in names_defined_in(cell.source)
                and cell.source.strip() != stub
            ]
            before = [index for index in rivals if index < check]
            if marked is None or (before and self.cells[marked].source.strip() == stub):
                chosen = before[-1] if before else (rivals[-1] if rivals and marked is None else marked)
                if chosen is not None and chosen != marked:
                    self._flag(exercise.id, Flag.FOUND_BY_NAME, name=exercise.name)
            else:
                after = [index for index in before if index > marked]
                chosen = after[-1] if after else marked  # what the learner's own check saw
                if rivals:
                    self._flag(exercise.id, Flag.SEVERAL_DEFINITIONS, count=len(rivals) + 1, name=exercise.name)
            if chosen is None:
                answers[exercise.id] = None
                self._flag(exercise.id, Flag.ANSWER_GONE)
                continue
            where[exercise.id] = chosen
            if self.cells[chosen].cell_type != "code":
                answers[exercise.id] = None
                self._flag(exercise.id, Flag.ANSWER_IS_NO_CODE)
                continue
            source = self.cells[chosen].source
            answers[exercise.id] = source
            if source.strip() == stub:
                untouched.add(exercise.id)
        return answers, untouched, where

    def _flag_changes(self) -> dict[int, str]:
        """Flag what is not as it was given. Returns imports that were added to the lesson's own cells, by index."""
        carried: dict[int, str] = {}
        edited = []
        for index, id in sorted(self.known.items()):
            given, cell = self.reference[id][1], self.cells[index]
            if self.roles.get(id, ("", ""))[1] in ("answer", "prose") or cell.cell_type != "code":
                continue
            if given.source.strip() == cell.source.strip() or _is_to_fill_in(given.source):
                continue
            edited.append(index)
            added = _added_imports(given.source, cell.source)
            if added:
                carried[index] = added
        if edited:
            self._flag("", Flag.LESSON_EDITED, cells=cells(len(edited)))
        if carried:
            self._flag("", Flag.IMPORTS_KEPT)
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
        return carried

    def _extras(self, answers: dict[str, int], carried: dict[int, str]) -> dict[str, list[str]]:
        """The learner's own code cells by the answer that they precede, in the order in which they stand."""
        extras: dict[str, list[str]] = {}
        exercise_at = {index: id for id, index in answers.items()}
        pending: list[str] = []
        own = 0
        for index, cell in enumerate(self.cells):
            if index in exercise_at:
                extras.setdefault(exercise_at[index], []).extend(pending)
                pending = []
            elif index in carried:
                pending.append(carried[index])
            elif cell.cell_type == "code" and index not in self.known and cell.source.strip():
                own += 1
                pending.append(cell.source)
        if own:
            self._flag("", Flag.OWN_CELLS, cells=cells(own))
        return {id: own_cells for id, own_cells in extras.items() if own_cells}

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
    """A cell like ``prediction = ...``: made to be edited."""
    body = parse_cell(source)
    return bool(body) and any(
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is Ellipsis
        for node in body
    )


def _added_imports(given: str, edited: str) -> str:
    before = {ast.dump(node) for node in parse_cell(given)}
    added = [
        node
        for node in parse_cell(edited)
        if isinstance(node, ast.Import | ast.ImportFrom) and ast.dump(node) not in before
    ]
    return "\n".join(ast.unparse(node) for node in added)


def _own_words(given: str, found: str) -> str:
    """What the learner wrote, without the lines of the question."""
    question = set(given.splitlines())
    return "\n".join(line for line in found.splitlines() if line not in question).strip()
