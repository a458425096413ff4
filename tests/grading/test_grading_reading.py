"""What a learner's source may cost before anything of it runs: twice the source, about twice the work; and what takes
more is left to a person.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from course_utils.grading import exam_notebook, intake, mark_notebook, reading_limit, sandbox
from course_utils.grading.flags import Flag
from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.merge import merge
from course_utils.grading.read_notebook import parse
from course_utils.grading.reading_limit import CODE_LIMIT, ReadingLimit, TookTooLong, code_in
from course_utils.grading.results import Ruling
from course_utils.grading.unshown_functions import unshown_functions
from tests.grading import cohort
from tests.grading.cohort import LESSON, RIGHT, Pupil
from tests.grading.test_grading_merge import own, solved

posix = pytest.mark.skipif(sys.platform == "win32", reason="no timer signal")


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return load_lesson(str(LESSON))


def hand_in(cells: list[str], answer: str = RIGHT["m.1"]) -> Any:
    """A solved notebook with these cells before the first answer."""
    book = solved()
    place = next(index for index, cell in enumerate(book["cells"]) if cell["source"] == RIGHT["m.1"])
    book["cells"][place]["source"] = answer
    book["cells"][place:place] = [own(source, f"own-{number}") for number, source in enumerate(cells)]
    return parse(cohort.json.dumps(book).encode())


def read(lesson: Lesson, notebook: Any) -> None:
    """All that is read of a notebook before and after it is run."""
    assert intake.is_of(lesson, notebook)
    merged = merge(lesson, notebook)
    for whole in (False, True):
        exam_notebook.build(lesson, merged, lesson.ids, 1, "n", 1.0, whole=whole)
    others = [source for parts in merged.everything.values() for _, source in parts]
    for id in lesson.ids:
        unshown_functions(lesson, id, [*merged.extras(id), merged.answers[id] or ""], others)


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """The calls of functions, Python's and others, so far: the same on each machine."""
    calls = [0]

    def count(frame: FrameType, event: str, argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def work(lesson: Lesson, notebook: Any) -> int:
    with counted() as calls:
        read(lesson, notebook)
    return calls[0]


SHAPES: dict[str, Callable[[int], list[str]]] = {
    "one cell, one line again and again": lambda n: ["x = 1\n" * n],
    "one cell, each line needs the one before": lambda n: ["\n".join(f"x{i + 1} = x{i}" for i in range(n))],
    "each cell needs the one before": lambda n: [f"x{i + 1} = x{i}" for i in range(n)],
    "each cell changes what all read": lambda n: [f"x.append(x{i})" for i in range(n)],
    "one cell changes what all read": lambda n: ["\n".join(f"x{i}.append({i})" for i in range(n))],
    "each cell defines the answer": lambda n: [f"def standardise(v):\n    return v + {i}" for i in range(n)],
    "each line is a check": lambda n: ["\n".join(f'check("m.1", lambda v: v + {i})' for i in range(n))],
    "each cell may bind anything": lambda n: [f"exec('a{i} = 1')" for i in range(n)],
    "each line is an import": lambda n: ["\n".join(f"import a{i}" for i in range(n))],
    "a list of numbers": lambda n: [f"numbers = [{'1, ' * n}]"],
    "each cell is refused": lambda n: [f"def standardise(v{i}" for i in range(n)],
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_twice_the_source_takes_twice_the_work(lesson: Lesson, shape: Callable[[int], list[str]]) -> None:
    """The answer reads every name, so that all of it is needed."""
    size = 100
    reads = "; ".join(["x", *(f"x{i}" for i in range(2 * size))])
    answer = f"def standardise(values):\n    {reads}\n    return values"
    read(lesson, hand_in(shape(1), answer))  # what is kept of the lesson from then on is not counted
    few, many = (work(lesson, hand_in(shape(number), answer)) for number in (size, 2 * size))
    assert few < many < 2.5 * few


def test_how_much_code_a_notebook_has(lesson: Lesson) -> None:
    given = code_in(lesson.notebook)
    assert given == sum(len(cell.source) for cell in lesson.notebook.cells if cell.cell_type == "code") < CODE_LIMIT / 5
    notebook = hand_in(["#" * CODE_LIMIT])
    marked = mark_notebook.mark_notebook(lesson, notebook, sandbox.Sandbox(lesson, "rlimits"))  # it is not even opened
    assert {one.verdict for one in marked.marks.values()} == {Ruling.NOT_REACHED} and not marked.runs
    assert all(one.verdict.open and "characters" in one.message for one in marked.marks.values())


def endless(*_: object, **__: object) -> None:
    while True:
        pass


def nothing_is_armed() -> bool:
    return signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0) and signal.getsignal(signal.SIGPROF) == signal.SIG_DFL


@posix
def test_what_takes_too_long_to_read_is_open_and_not_run(monkeypatch: pytest.MonkeyPatch, lesson: Lesson) -> None:
    monkeypatch.setattr(mark_notebook, "SECONDS", 0.05)
    monkeypatch.setattr(mark_notebook, "merge", endless)
    place = sandbox.Sandbox(lesson, "rlimits")
    marked = mark_notebook.mark_notebook(lesson, hand_in([]), place)
    assert {one.verdict for one in marked.marks.values()} == {Ruling.NOT_REACHED} and not marked.runs
    assert nothing_is_armed()


@posix
def test_an_exam_that_takes_too_long_to_write_is_open(monkeypatch: pytest.MonkeyPatch, lesson: Lesson) -> None:
    monkeypatch.setattr(mark_notebook, "SECONDS", 2.0)
    monkeypatch.setattr(exam_notebook, "build", endless)
    marked = mark_notebook.mark_notebook(lesson, hand_in([]), sandbox.Sandbox(lesson, "rlimits"))
    assert {one.verdict for one in marked.marks.values()} == {Ruling.NOT_REACHED} and not marked.runs
    assert all("to read them" in one.message for one in marked.marks.values())
    # Nor can anyone hide what he uses behind it.
    assert all(Flag.NOT_ALL_READ in {flag.flag for flag in one.flags} for one in marked.marks.values())


@posix
def test_the_limit_holds_for_all_parts_together() -> None:
    limit = ReadingLimit(0.3)
    assert limit.read(lambda one, *, other: one + other, 1, other=2) == 3 and 0.2 < limit.seconds <= 0.3
    with pytest.raises(TookTooLong):
        limit.read(endless)
    assert nothing_is_armed()
    with pytest.raises(TookTooLong):
        limit.read(lambda: None)
    with pytest.raises(ValueError, match="own"):
        ReadingLimit(5).read(int, "own")
    assert nothing_is_armed()


@posix
def test_an_exception_that_is_lost_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a destructor or a weak reference's callback, as symtable has them, Python drops it."""
    monkeypatch.setattr(reading_limit, "_AGAIN", 0.05)
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)

    def lose_the_first() -> None:
        thing = type("Thing", (), {})()
        kept = weakref.ref(thing, lambda _: endless())
        del thing
        assert kept() is None and len(dropped) == 1
        endless()

    with pytest.raises(TookTooLong):
        ReadingLimit(0.05).read(lose_the_first)
    assert nothing_is_armed()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f = check("4.1", f)', {"4.1"}),
        ("f=check('4.1',\n  f)\n\ng = check( \"4.2\", g)", {"4.1", "4.2"}),
        ('f = check("4.1", f\ndef g(:', {"4.1"}),
        ('# f = check("4.1", f)', set()),
        ('f = recheck("4.1", f)', set()),
        ("a" * 100_000 + " = " * 100_000, set()),
    ],
)
def test_the_exercises_that_a_cell_seems_to_check(source: str, found: set[str]) -> None:
    assert intake.checked_in(source) == found


def test_a_pupil_of_another_lesson_is_not_of_this(lesson: Lesson) -> None:
    assert not intake.is_of(lesson, parse(cohort.notebook_of(Pupil("x", raw=cohort._OTHER_LESSON))))
