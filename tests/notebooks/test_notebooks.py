"""The committed lessons: in one form, really compared, and the same whether solved or not. Then the tools that say so.

What the lessons are held against: nbval, which executes them in a kernel of its own and compares each output with the
stored one; and nbclient, which executes the copy in which every stub is solved.
"""

from __future__ import annotations

import ast
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, Case, Exercise, exercises, register
from course_utils.notebooks import compare, execute, files, furnish, normalise, solve, text
from course_utils.pictures import VIEW_TYPE

ROOT = Path(__file__).parents[2]
COMMITTED = files.lessons(ROOT)
# Setup cells, stubs, definitions and pictures have no text to compare; more than half of the cells must have some.
MINIMUM_SHARE = 0.5

lesson = pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])


# The lessons


def test_every_lesson_has_its_notebook() -> None:
    assert [path.stem[:2] for path in COMMITTED] == [f"{int(number):02}" for number in LESSONS]
    assert all(name in path.stem for path, name in zip(COMMITTED, LESSONS.values(), strict=True))


@lesson
def test_lesson_is_in_order(path: Path) -> None:
    """Executed, without errors, warnings, widgets, paths of a machine, large pictures or metadata of its own."""
    notebook = files.read(path)
    assert list(map(str, normalise.problems(notebook))) == []
    furnished = furnish.furnish(notebook, path.stem, **files.project_settings(ROOT))
    assert normalise.normalise(furnished) == notebook, "run `course notebooks run`"
    assert notebook.metadata.kernelspec.name == "python3"
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.slow
@lesson
def test_lesson_is_really_compared(path: Path) -> None:
    notebook = files.read(path)
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    stubs = sum(role == "answer" for _, role in normalise.exercise_roles(notebook).values())
    assert len(compare.compared_cells(notebook)) >= MINIMUM_SHARE * (code - stubs)


@pytest.mark.slow
@lesson
def test_lesson_has_all_its_exercises_with_the_stubs_of_their_references(path: Path) -> None:
    notebook = files.read(path)
    found = [exercise for exercise, role in normalise.exercise_roles(notebook).values() if role == "check"]
    known = [exercise.id for exercise in exercises(int(path.stem[:2]))]
    assert sorted(found) == sorted(known)
    assert list(map(str, solve.stub_problems(notebook))) == []


@pytest.mark.slow
@lesson
def test_lesson_prints_what_is_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that the one which stored it is not: without AVX, or AVX-512, PyTorch rounds otherwise.

    The first four lessons print the most numbers that hang on rounding. `make lessons` runs all seven as this machine
    is, and `make processors` in every way. Solved, they go on the same on a small model (`test_other_models`), and are
    marked on this one (`test_grading_lessons`).
    """
    knows_avx = platform.machine().lower() in ("x86_64", "amd64")  # elsewhere PyTorch would say that it does not
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2" if knows_avx and path not in COMMITTED[:4] else "default")
    result = compare.compare(path, files.read(path))
    assert result.crash == ""
    assert result.failures == {}
    assert result.passed


# Normalising


def small_lesson() -> NotebookNode:
    cells = [
        new_markdown_cell("# A lesson"),
        new_code_cell("def halve(x):\n    raise NotImplementedError"),
        new_code_cell("halve = check('9.1', halve)"),
        new_code_cell("print('end')"),
        new_code_cell("print('end')"),
        new_markdown_cell("<!-- answer 9.1q -->\n*Your words here.*"),
    ]
    return new_notebook(cells=cells)


def executed(notebook: NotebookNode) -> NotebookNode:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell["execution_count"] = number
    return notebook


def test_cells_are_named_for_what_they_are() -> None:
    cells = normalise.normalise(small_lesson()).cells
    assert [cell.id for cell in cells[1:3]] == ["ex-9-1-answer", "ex-9-1-check"]
    assert cells[5].id == "ex-9-1q-prose"
    assert cells[1].metadata == {"course": {"exercise": "9.1", "role": "answer"}}
    assert cells[4].id == f"{cells[3].id}-2"
    assert cells[0].metadata == {}


@pytest.mark.parametrize(
    "source",
    [
        "def f(",
        "def f(x, x):\n    return x",
        "nonlocal x",
        "x = 1" + " + 1" * 400,
        "x = " + "(" * 400 + ")" * 400,
        "\0",
    ],
)
def test_a_cell_that_python_refuses_or_that_is_too_deep_to_walk_has_no_statements(source: str) -> None:
    assert normalise.parse_cell(source) == []
    assert [type(node).__name__ for node in normalise.parse_cell("%time\nx = [[1 + 2] * 3]")] == ["Assign"]
    lines = "files = !ls\n%time y = f()\ntorch.nn?\nz = %pwd\n!ls\nw = 5 % 3 if a != b else '?'"
    assert [ast.unparse(node) for node in normalise.parse_cell(lines)] == [
        *("files = None", "y = f()", "z = None", "w = 5 % 3 if a != b else '?'")
    ]
    assert normalise.parse_cell("X = 0x" + "f" * 5000) == [], "Python reads it, and does not write it again"


def test_normalising_twice_changes_nothing_and_leaves_its_input_alone() -> None:
    original = small_lesson()
    before = nbformat.writes(original)
    once = normalise.normalise(original)
    assert nbformat.writes(original) == before
    assert normalise.normalise(once) == once
    nbformat.validate(once)


def test_a_cell_keeps_its_name_when_others_come_and_go() -> None:
    longer = small_lesson()
    longer.cells.insert(1, new_code_cell("import math"))
    before = {cell.source: cell.id for cell in normalise.normalise(small_lesson()).cells[:4]}
    after = {cell.source: cell.id for cell in normalise.normalise(longer).cells[:5]}
    assert before.items() <= after.items()


def test_what_belongs_to_a_machine_or_a_moment_is_dropped() -> None:
    cell = new_code_cell(
        "1", execution_count=1, metadata={"collapsed": True, "execution": {"a": "2026"}, "tags": ["t"]}
    )
    cell.outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stderr", text="Warning"),
        new_output("stream", name="stdout", text="b"),
        new_output("display_data", {normalise.WIDGET: {"model_id": "1"}, "text/plain": "bar"}),
        new_output("execute_result", {"text/plain": "1"}, execution_count=1, metadata={"isolated": True}),
    ]
    notebook = new_notebook(
        cells=[cell], metadata={"widgets": {}, "language_info": {"name": "python", "version": "3.11.7"}}
    )
    result = normalise.normalise(notebook)
    assert result.metadata == normalise.METADATA
    assert result.cells[0].metadata == {"tags": ["t"]}
    assert [output.output_type for output in result.cells[0].outputs] == ["stream", "execute_result"]
    assert result.cells[0].outputs[0].text == "ab"
    assert result.cells[0].outputs[1].metadata == {}
    assert result.cells[0].execution_count == 1


def test_of_a_view_the_widget_goes_and_the_rest_stays() -> None:
    """A page is made alive from the data, without a kernel."""
    kept = {"text/plain": "words", "image/png": "iVBORw0KGgo=", VIEW_TYPE: {"view": "lens", "data": {}}}
    shown = with_output(new_output("display_data", kept | {normalise.WIDGET: {}}))
    assert normalise.problems(shown) == []
    (cell,) = normalise.normalise(shown).cells
    assert cell.outputs[0].data == kept and normalise.problems(new_notebook(cells=[cell])) == []


def with_output(*outputs: NotebookNode, **metadata: Any) -> NotebookNode:
    return new_notebook(cells=[new_code_cell("f()", execution_count=1, outputs=list(outputs), metadata=metadata)])


@pytest.mark.parametrize(
    ("notebook", "told"),
    [
        (new_notebook(cells=[new_code_cell("1")]), "never executed"),
        (
            with_output(new_output("error", ename="KeyError", evalue="'x'", traceback=[])),
            "holds an error, KeyError: 'x'",
        ),
        (with_output(new_output("stream", name="stderr", text="UserWarning: old")), "wrote to stderr: 'UserWarning"),
        (with_output(new_output("display_data", {normalise.WIDGET: {}})), "shows a widget"),
        (with_output(new_output("display_data", {"image/png": "A" * 500_000})), "picture of 375,000 bytes"),
        (with_output(new_output("display_data", {"image/png": "AAAA"})), "picture that says nothing in words"),
        (
            with_output(new_output("display_data", {"image/png": "AAAA", "text/plain": "<Figure size 640x480>"})),
            "picture that says nothing in words",
        ),
        (with_output(new_output("display_data", {"image/svg+xml": "<svg/>"})), "picture that says nothing in words"),
        (with_output(new_output("stream", text=f"in {Path.home() / 'x'}")), "holds the home folder of this machine"),
        (with_output(new_output("stream", text="File /tmp/ipykernel_7/3.py")), "holds a path of this machine"),
        (
            with_output(new_output("execute_result", {"text/plain": "<f at 0x7f3a1b2c3d4e>"})),
            "address in memory, 0x7f3a",
        ),
        (executed(new_notebook(cells=[new_code_cell("a = check('9.1', a)")])), "no cell before it defines `a`"),
        (
            executed(new_notebook(cells=list(map(new_code_cell, ["def a(): 0", *["a = check('9.1', a)"] * 2])))),
            "exercise 9.1 has 2 check cells",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_an_author_must_change_is_named(notebook: NotebookNode, told: str) -> None:
    assert any(told in str(problem) for problem in normalise.problems(notebook)), normalise.problems(notebook)


def test_the_words_of_a_picture_are_its_alternative_text() -> None:
    picture = new_output("execute_result", {"image/png": "AAAA\n", "text/plain": "2 bars.\nParis 0.66."})
    (output,) = normalise.normalise(with_output(picture)).cells[0].outputs
    assert output.metadata == {"image/png": {"alt": "2 bars. Paris 0.66."}}
    assert normalise.problems(with_output(picture)) == []


def test_the_setup_cell_is_folded_and_no_other() -> None:
    cells = [new_code_cell("# @title Setup: x"), new_code_cell("1", metadata={"jupyter": {"source_hidden": True}})]
    setup, other = normalise.normalise(new_notebook(cells=cells)).cells
    assert setup.metadata == {"cellView": "form", "jupyter": {"source_hidden": True}}
    assert other.metadata == {}


def test_a_notebook_in_order_has_no_problems() -> None:
    assert normalise.problems(executed(small_lesson())) == []
    on_purpose = with_output(new_output("error", ename="E", evalue="", traceback=[]), tags=["raises-exception"])
    assert normalise.problems(on_purpose) == []


def test_a_large_notebook_is_refused() -> None:
    large = executed(new_notebook(cells=[new_code_cell("#" * 1000) for _ in range(2100)]))
    assert any("2,000,000" in str(problem) for problem in normalise.problems(large))


# Text


def test_text_and_back_changes_nothing() -> None:
    notebook = executed(small_lesson())
    notebook.cells.append(
        new_code_cell("%matplotlib inline\n\n# a comment\nx = 1", execution_count=5, metadata={"tags": ["nbval-skip"]})
    )
    notebook.cells[3].outputs = [new_output("stream", name="stdout", text="end\n")]
    notebook = normalise.normalise(notebook)
    assert text.from_text(text.to_text(notebook), notebook) == notebook


def test_a_cell_that_was_edited_as_text_loses_its_output_and_no_other_does() -> None:
    notebook = executed(small_lesson())
    notebook.cells[4].source = "print('very end')"
    for cell in notebook.cells[3:5]:
        cell.outputs = [new_output("stream", name="stdout", text="end\n")]
    edited = text.to_text(notebook).replace("print('end')", "print('END')", 1)
    result = text.from_text(edited, notebook)
    assert result.cells[3].source == "print('END')"
    assert result.cells[3].outputs == [] and result.cells[3].execution_count is None
    assert result.cells[4].outputs == notebook.cells[4].outputs and result.cells[4].execution_count == 4


@pytest.mark.slow
@lesson
def test_lesson_survives_the_round_trip_through_text(path: Path) -> None:
    notebook = files.read(path)
    assert text.from_text(text.to_text(notebook), notebook) == notebook


# Solving


def halve(values: list[float]) -> list[float]:
    """Half of each value."""
    return [_half(value) for value in values if isinstance(value, float | int) and re.match("", "")]


def _half(value: float) -> float:
    return value / 2


class Pair:
    """Two values."""

    def __init__(self, left: float, right: float = 1.0) -> None:
        self.left, self.right = left, right

    def sum(self) -> float:
        """Their sum."""
        return self.left + self.right


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exercises 99.1 and 99.2, whose references stand above."""
    from course_utils import exercises as protocol

    monkeypatch.setattr(protocol, "_registered", {})
    for number, reference in ((1, halve), (2, Pair)):
        draw: Callable[..., list[Case]] = lambda source: [Case("two", ([1.0, source.random()],))]  # noqa: E731
        exercise = Exercise(
            id=f"99.{number}",
            title="",
            minutes=1,
            points=1,
            difficulty=1,
            reference=reference,
            shows="",
            hints=(),
            draw=draw,
        )
        register(exercise)


STUB = '''def halve(values):
    """Half of each value."""
    raise NotImplementedError'''
PAIR = '''class Pair:
    """Two values."""

    def __init__(self, left, right=1.0):
        raise NotImplementedError

    def sum(self) -> float:
        """Their sum."""
        raise NotImplementedError'''


def exercise_lesson(stub: str, number: int = 1, name: str = "halve") -> NotebookNode:
    return new_notebook(cells=[new_code_cell(stub), new_code_cell(f'{name} = check("99.{number}", {name})')])


@pytest.mark.usefixtures("made_up")
class TestSolve:
    def test_a_solved_stub_runs_by_itself(self) -> None:
        solved = solve.solve(exercise_lesson("a = 3\n\n\n" + STUB + "\n\n\nb = 4"))
        namespace: dict[str, Any] = {}
        exec(solved.cells[0].source, namespace)
        assert namespace["halve"]([2.0, 3.0]) == [1.0, 1.5]
        assert (namespace["a"], namespace["b"]) == (3, 4)
        assert "_half" in namespace and "nbformat" not in namespace

    def test_a_class_too(self) -> None:
        namespace: dict[str, Any] = {}
        exec(solve.solve(exercise_lesson(PAIR, 2, "Pair")).cells[0].source, namespace)
        assert namespace["Pair"](1.0).sum() == 2.0

    @pytest.mark.parametrize(
        ("stub", "told"),
        [
            (STUB, None),
            (STUB.replace("values)", "values: list[float]) -> list[float]"), None),
            (STUB.replace("values)", "numbers)"), "`halve(numbers)`, the reference has `halve(values)`"),
            (STUB.replace("values)", "values=())"), "`halve(values=())`"),
            (STUB.replace("values)", "values: list)"), "the type hint of `values` is `list`"),
            (STUB.replace("Half", "A third"), "docstring of `halve`"),
            (STUB.replace("raise NotImplementedError", "return values"), "does not raise NotImplementedError"),
            ("class halve:\n    'x'\n    NotImplementedError", "is a class, the reference is a function"),
        ],
    )
    def test_a_stub_that_drifts_from_its_reference_is_named(self, stub: str, told: str | None) -> None:
        found = list(map(str, solve.stub_problems(exercise_lesson(stub))))
        assert (found == []) if told is None else any(told in one for one in found), found

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("", "", None),
            ("right=1.0", "right=2.0", "`__init__(self, left, right=2.0)`"),
            ("Their sum", "The sum", "docstring of `sum`"),
            ("def sum", "def total", "`sum` is missing"),
        ],
    )
    def test_and_so_is_a_class(self, old: str, new: str, told: str | None) -> None:
        found = list(map(str, solve.stub_problems(exercise_lesson(PAIR.replace(old, new), 2, "Pair"))))
        assert (found == []) if told is None else any(told in one for one in found), found

    def test_an_exercise_that_is_not_there_is_named(self) -> None:
        with pytest.raises(CourseError, match=r"99\.3"):
            solve.solve(exercise_lesson(STUB, 3))


def test_lessons_that_part_are_told_where() -> None:
    one, other = (executed(small_lesson()) for _ in range(2))
    for notebook, words in ((one, "end\n"), (other, "END\n")):
        notebook.cells[2].outputs = [new_output("stream", name="stdout", text=words)]  # a check cell may differ
        notebook.cells[3].outputs = [new_output("stream", name="stdout", text=words)]
    assert [problem.cell for problem in solve.parted(one, other)] == [3]
    for notebook in (one, other):
        notebook.cells[3].source = 'hint("9.1")'
    assert solve.parted(one, other) == []


# Executing and comparing


def written(folder: Path, *cells: NotebookNode) -> Path:
    path = folder / "lesson.ipynb"
    files.write(normalise.normalise(new_notebook(cells=list(cells))), path)
    return path


def said(source: str, *lines: str, **more: Any) -> NotebookNode:
    outputs = [new_output("stream", name="stdout", text="".join(f"{line}\n" for line in lines))] if lines else []
    return new_code_cell(source, execution_count=1, outputs=outputs, **more)


def compared(path: Path, timeout: float = 60) -> compare.Comparison:
    return compare.compare(path, files.read(path), timeout=timeout)


def test_executing_fills_in_what_cells_print_and_leaves_the_original(tmp_path: Path) -> None:
    original = new_notebook(cells=[new_code_cell("import os; print(os.getcwd() == " + repr(str(tmp_path)) + ")")])
    result = execute.execute(original, tmp_path)
    assert result.cells[0].outputs[0].text == "True\n"
    assert original.cells[0].outputs == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "told"),
    [("1 / 0", "cell 1 failed"), ("import os; os._exit(1)", "kernel died"), ("while True: pass", "longer than 3 s")],
)
def test_a_lesson_that_cannot_be_executed_says_where(source: str, told: str, tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("1"), new_code_cell(source)])
    with pytest.raises(CourseError, match=told):
        execute.execute(notebook, tmp_path, timeout=3)


@pytest.mark.slow
def test_a_lesson_that_prints_what_is_stored_passes(tmp_path: Path) -> None:
    path = written(tmp_path, said("print('a')", "a"), said("x = 1"), said("print(x)", "1"))
    before = path.read_bytes()
    result = compared(path)
    assert result.passed and (result.executed, result.expected, result.compared) == (3, 3, 2)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def view(number: int) -> dict[str, Any]:
    """A view's outputs: its data may differ, its words may not."""
    return {"image/png": "iVBORw0KGgo=", "text/plain": "words", VIEW_TYPE: {"data": number}}


@pytest.mark.slow
def test_every_cell_that_counts_as_compared_turns_nbval_red_when_its_stored_text_is_changed(tmp_path: Path) -> None:
    """So `compared_cells` does not count more than nbval compares: figures, tagged cells and silent cells do not
    count.
    """
    picture = new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})
    data = "{'image/png': 'iVBORw0KGgo=', 'text/plain': '<Figure>'}"
    shows = f"from IPython.display import display\ndisplay({data}, raw=True)"
    cells = [
        said("print('a')", "a"),
        said("x = 1"),
        new_code_cell(
            "x", execution_count=1, outputs=[new_output("execute_result", {"text/plain": "1"}, execution_count=1)]
        ),
        new_code_cell(shows, execution_count=1, outputs=[picture]),
        said("print('b')", "b", metadata={"tags": ["nbval-ignore-output"]}),
        said("print('c')", "c"),
        new_code_cell(
            f"display({view(2)}, raw=True)", execution_count=1, outputs=[new_output("display_data", view(1))]
        ),
    ]
    path = written(tmp_path, *cells)
    honest = compared(path)
    assert honest.passed and compare.compared_cells(files.read(path)) == [0, 2, 5, 6]

    changed = files.read(path)
    for cell in changed.cells:
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = "something else\n"
            elif "image/png" in output.data and VIEW_TYPE not in output.data:
                output.data["image/png"] = "AAAA"
            else:
                output.data["text/plain"] = "something else"
    files.write(changed, path)
    assert sorted(compared(path).failures) == [0, 2, 5, 6]


@pytest.mark.parametrize(
    "cells",
    [
        [said("print('b')", "a")],
        [said("print('b')")],
        [said("x = 1", "a")],
        [said("print('a')", "a"), said("1 / 0")],
        [said("print('a')", "a"), said("import os; os._exit(0)")],
        [said("print('a')", "a"), said("import sys; print('w', file=sys.stderr)")],
        [said("x = 1")],
        [said("print('a')", "a", metadata={"tags": ["nbval-ignore-output"]})],
        [said("print('a')", "a"), said("while True: pass")],
    ],
    ids=["other", "more", "less", "error", "dead kernel", "stderr", "nothing compared", "all ignored", "endless"],
)
@pytest.mark.slow
def test_a_lesson_that_does_not_is_refused(cells: list[NotebookNode], tmp_path: Path) -> None:
    assert not compared(written(tmp_path, *cells), timeout=5).passed


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lesson.ipynb"
    path.write_text("{")
    with pytest.raises(CourseError, match=re.escape(str(path))):
        files.read(path)


# What every lesson has


SETTINGS = {"version": "1.2.3", "repository": "https://github.com/somebody/course"}


def test_a_lesson_gets_its_badge_and_its_setup_cell_once() -> None:
    once = furnish.furnish(small_lesson(), "09_small", **SETTINGS)
    assert furnish.furnish(once, "09_small", **SETTINGS) == once
    address = "https://colab.research.google.com/github/somebody/course/blob/v1.2.3/notebooks/09_small.ipynb"
    assert once.cells[0].source.split("\n")[0] == "# A lesson" and address in once.cells[0].source
    assert once.cells[1].source.startswith("# @title Setup:")
    assert "git+https://github.com/somebody/course@v1.2.3" in once.cells[1].source
    assert once.cells[1].metadata.tags == ["nbval-ignore-output"]


def test_a_new_address_replaces_the_old_one_everywhere() -> None:
    once = furnish.furnish(small_lesson(), "09_small", **SETTINGS)
    moved = {"version": "2.0.0", "repository": "https://github.com/other/place"}
    again = furnish.furnish(once, "09_small", **moved)
    assert len(again.cells) == len(once.cells)
    assert "somebody" not in nbformat.writes(again)
    row = f"| {furnish.badge('09_small', **SETTINGS)} |"
    assert furnish.renew_addresses(row, **moved) == f"| {furnish.badge('09_small', **moved)} |"
