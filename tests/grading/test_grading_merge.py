"""What the learner's own notebook would define at the moment of its check is the answer, wherever it stands.

Each case is an honest edit of the solved lesson that, run plainly, prints a tick for every exercise. The exam that is
built from it is executed here without a kernel, and its answers are judged as in marking.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import jupytext
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_utils.exercises import judge
from course_utils.exercises.judging import attempt
from course_utils.grading import exam_notebook
from course_utils.grading.exam_notebook import ExamCell
from course_utils.grading.flags import Flag
from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.merge import Merged, _is_to_fill_in, merge
from course_utils.grading.names import names_bound, names_used
from course_utils.grading.read_notebook import parse
from course_utils.grading.results import CellKind
from tests.grading import cohort
from tests.grading.cohort import LESSON, RIGHT, Pupil, cell_of

Book = dict[str, Any]
CHECK = 'standardise = check("m.1", standardise)'
HELPED = "def standardise(values):\n    return centre(values) / centre(values).pow(2).mean().sqrt()"
HELPER = "def centre(v):\n    return v - v.mean()"
JUDGED = ("m.1", "m.3")
WRONG = "def standardise(values):\n    return values[1:]"


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return load_lesson(str(LESSON))


def solved() -> Book:
    book: Book = json.loads(cohort.notebook_of(Pupil("x", answers=RIGHT)))
    return book


def own(source: str, id: str = "own") -> Book:
    return {"cell_type": "code", "id": id, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def put(book: Book, source: str, *, after: Book, id: str = "own") -> None:
    book["cells"].insert(book["cells"].index(after) + 1, own(source, id))


def verdicts(lesson: Lesson, merged: Merged, *, whole: bool = False) -> dict[str, str]:
    """Run the exam's cells one after the other, as a kernel would, and judge what they define.

    Not the second exercise's: its trace needs IPython's cells.
    """
    space: dict[str, Any] = {}
    found: dict[str, str] = {}
    for cell in exam_notebook.build(lesson, merged, lesson.ids, 1, "n", 1.0, whole=whole).cells:
        exam = ExamCell.of(cell)
        id = exam.exercise
        if exam.kind is CellKind.SUPPLY:
            space[exam.name] = lesson.exercise(id).reference
        elif exam.kind is CellKind.PROBE and id in JUDGED:
            answer = space.pop(lesson.exercise(id).name, None)
            outcomes = attempt(lesson.exercise(id), answer, 1)
            found[id] = "missing" if answer is None else judge(lesson.exercise(id), outcomes, 1).status
        elif not exam.kind.asks:
            try:
                source = cell.source.replace('load_model("tiny-llama")', "None")  # no answer that is judged needs it
                exec(compile(source, "<cell>", "exec", dont_inherit=True), space)
            except Exception as error:
                space["trouble"] = error
    return found


def all_right(lesson: Lesson, book: Book) -> Merged:
    merged = merge(lesson, parse(json.dumps(book).encode()))
    assert verdicts(lesson, merged) == dict.fromkeys(JUDGED, "right")
    return merged


def in_the_check_cell(book: Book) -> None:
    answer, check = cell_of(book, "m.1"), cell_of(book, "m.1", "check")
    check["source"] = f"{answer['source']}\n\n{CHECK}"
    answer["source"] = stub(book)


def stub(book: Book) -> str:
    return str(next(cell for cell in json.loads(as_given())["cells"] if cell["id"] == "ex-m-1-answer")["source"])


def as_given() -> bytes:
    return cohort.notebook_of(Pupil("x"))


def merged_with_check(book: Book) -> None:
    in_the_check_cell(book)
    book["cells"].remove(cell_of(book, "m.1"))


def merged_into_answer(book: Book) -> None:
    cell_of(book, "m.1")["source"] += f"\n{CHECK}"
    book["cells"].remove(cell_of(book, "m.1", "check"))


def helper_before_check(book: Book) -> None:
    cell_of(book, "m.1")["source"] = HELPED
    put(book, HELPER, after=cell_of(book, "m.1"))


def helper_in_a_lessons_cell(book: Book) -> None:
    cell_of(book, "m.1")["source"] = HELPED
    book["cells"][3]["source"] += f"\n\n{HELPER}"


def helper_in_the_prediction(book: Book) -> None:
    cell_of(book, "m.1")["source"] = HELPED
    book["cells"][2]["source"] = f"prediction = 0.5\n{HELPER}"


def helper_of_a_helper_below(book: Book) -> None:
    cell_of(book, "m.1")["source"] = HELPED
    put(book, "def mean(v):\n    return v.mean()", after=book["cells"][-1], id="own-2")
    put(book, "def centre(v):\n    return v - mean(v)", after=book["cells"][-2])


def lambda_without_ids(book: Book) -> None:
    cell_of(book, "m.1")["source"] = "standardise = lambda v: (v - v.mean()) / v.std(correction=0)"
    for number, cell in enumerate(book["cells"]):
        cell["id"], cell["metadata"] = f"new-{number}", {}


def another_functions_name(book: Book) -> None:
    cell_of(book, "m.1")["source"] = (
        f"{HELPER}\ndef mine(v):\n    return centre(v) / v.std(correction=0)\nstandardise = mine"
    )


def split(book: Book) -> None:
    """JupyterLab's "split cell": both halves have the metadata, and it is the second that keeps the id."""
    answer = cell_of(book, "m.1")
    place = book["cells"].index(answer)
    first = {**copy.deepcopy(answer), "id": "half", "source": f"EPS = 0.0\n{HELPER}"}
    answer["source"] = HELPED.replace("return", "return EPS +")
    book["cells"].insert(place, first)


def split_the_other_way(book: Book) -> None:
    split(book)
    halves = [cell for cell in book["cells"] if cell["metadata"].get("course") == {"exercise": "m.1", "role": "answer"}]
    halves[0]["id"], halves[1]["id"] = halves[1]["id"], "half"


def below_the_check(book: Book) -> None:
    answer, source = cell_of(book, "m.1"), cell_of(book, "m.1")["source"]
    answer["source"] = stub(book)
    put(book, source, after=cell_of(book, "m.1", "check"))


def checked_again_below(book: Book) -> None:
    """A wrong answer at first, the right one further down, with a check of its own."""
    source = cell_of(book, "m.1")["source"]
    cell_of(book, "m.1")["source"] = WRONG
    put(book, f"{source}\n{CHECK}", after=book["cells"][8])


def all_in_one_cell(book: Book) -> None:
    lines = ["# all of them", "EPS = 0.0"]
    for exercise in RIGHT:
        lines += [cell_of(book, exercise)["source"], cell_of(book, exercise, "check")["source"]]
        for role in ("answer", "check"):
            book["cells"].remove(cell_of(book, exercise, role))
    put(book, "\n\n".join(lines), after=book["cells"][3])


def wrapped(book: Book) -> None:
    put(book, "import functools\nstandardise = functools.wraps(standardise)(standardise)", after=cell_of(book, "m.1"))


def moved(book: Book) -> None:
    cells = book["cells"]
    for role in ("check", "answer"):
        cell = cell_of(book, "m.1", role)
        cells.remove(cell)
        cells.insert(2, cell)


def used_by_the_third(book: Book) -> None:
    """The third answer calls a helper that stands with the second, and a variable that is changed on the way."""
    cell_of(book, "m.2")["source"] += "\n\ndef both(a, b):\n    return standardise(a) * SIGN[0] * standardise(b)"
    put(book, "SIGN = []\nSIGN.append(1)", after=cell_of(book, "m.2", "check"))
    cell_of(book, "m.3")["source"] = "def correlation(a, b):\n    return both(a, b).mean().item()"


def with_trials_around(book: Book) -> None:
    """Cells that try things out, and that break: no answer needs them."""
    put(book, "values = undefined_thing", after=cell_of(book, "m.1"))
    put(book, "def broken(:\n    pass", after=cell_of(book, "m.1"), id="own-2")
    put(book, "%matplotlib inline\nnumbers = None", after=book["cells"][1], id="own-3")


def vs_code(book: Book) -> None:
    for number, cell in enumerate(book["cells"]):
        cell["id"], cell["metadata"] = f"{number:08x}", {"vscode": {"languageId": "python"}}


def colab(book: Book) -> None:
    cohort._colab(book)
    book["metadata"]["colab"] = {"provenance": []}
    for cell in book["cells"]:
        cell["metadata"] |= {"id": f"x{cell['metadata']['id'][::-1]}", "outputId": "o"}


def kaggle(book: Book) -> None:
    """nbformat 4.4, without ids."""
    cohort._stripped(book)
    for cell in book["cells"]:
        cell["metadata"] = {"_uuid": "u", "trusted": True, "execution": {"iopub.execute_input": "2026"}}


def deepnote(book: Book) -> None:
    for number, cell in enumerate(book["cells"]):
        cell["metadata"] = {"cell_id": f"{number}a", "deepnote_cell_type": cell["cell_type"]}
        cell["id"] = f"{number}a"
        cell["source"] = cell["source"].splitlines(keepends=True)


def through_jupytext(book: Book) -> None:
    text = jupytext.writes(nbformat.from_dict(book), fmt="py:percent")
    back = json.loads(nbformat.writes(jupytext.reads(text, fmt="py:percent")))
    book.clear()
    book.update(back)


def handed_to_the_check(book: Book) -> None:
    """Under a name of the learner's own, or under none; the stub is left."""
    cell_of(book, "m.1")["source"] = stub(book)
    put(book, RIGHT["m.1"].replace("standardise", "mine"), after=cell_of(book, "m.1"))
    cell_of(book, "m.1", "check")["source"] = 'standardise = check("m.1", mine)'
    body = RIGHT["m.3"].replace("def correlation(a", "def of_two(self, a").replace("\n", "\n    ")
    cell_of(book, "m.3")["source"] = f"class Mine:\n    {body}"
    cell_of(book, "m.3", "check")["source"] = 'check("m.3", answer=Mine().of_two)'


def in_branches(book: Book) -> None:
    answer = RIGHT["m.1"].replace("\n", "\n    ")
    cell_of(book, "m.1")["source"] = stub(book)
    put(book, f"if torch.cuda.is_available():\n    {answer}\nelse:\n    {answer}", after=cell_of(book, "m.1"))
    put(book, "correlation = mine = lambda a, b: torch.corrcoef(torch.stack([a, b]))[0, 1].item()",
        after=cell_of(book, "m.3"), id="own-2")  # fmt: skip
    cell_of(book, "m.3")["source"] = "# in the cell below"


def star_in_a_lessons_cell(book: Book) -> None:
    book["cells"][1]["source"] += "\nfrom typing import *"
    cell_of(book, "m.1")["source"] = RIGHT["m.1"].replace("values: torch.Tensor", "values: Any")


def imports_that_are_not_here(book: Book) -> None:
    """One fails, and an answer needs the other."""
    book["cells"][1]["source"] += "\nimport no_such_package\nimport math"
    cell_of(book, "m.1")["source"] = RIGHT["m.1"].replace("return", "math.pi\n    return")


def filled_by_a_call(book: Book) -> None:
    put(book, "SIGN = []\n\ndef fill(into):\n    into.append(1)", after=book["cells"][2])
    put(book, "fill(SIGN)", after=book["cells"][3], id="own-2")
    cell_of(book, "m.1")["source"] = RIGHT["m.1"].replace("return", "return SIGN[0] *")


def in_other_languages(book: Book) -> None:
    for number, cell in enumerate(("%%bash\nstandardise=1", "\n%%timeit -n 1\nstandardise = None", "%%html\n<b>x</b>")):
        put(book, cell, after=cell_of(book, "m.1"), id=f"own-{number}")


def bound_within_a_call(book: Book) -> None:
    cell_of(book, "m.1")["source"] = RIGHT["m.1"].replace("return", "return (lambda: SCALE)() *")
    put(book, "print((SCALE := 1.0))", after=book["cells"][1])


def written_on_windows(book: Book) -> None:
    for cell in book["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")


EDITS = [
    *(in_the_check_cell, merged_with_check, merged_into_answer, helper_before_check, helper_in_a_lessons_cell),
    *(helper_in_the_prediction, helper_of_a_helper_below, lambda_without_ids, another_functions_name, split),
    *(split_the_other_way, below_the_check, checked_again_below, all_in_one_cell, wrapped, moved, used_by_the_third),
    *(handed_to_the_check, in_branches, star_in_a_lessons_cell, imports_that_are_not_here, filled_by_a_call),
    *(in_other_languages, bound_within_a_call),
    *(written_on_windows, with_trials_around, vs_code, colab, kaggle, deepnote, through_jupytext),
]


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: str(edit.__name__))
def test_no_honest_edit_costs_a_point(lesson: Lesson, edit: Callable[[Book], None]) -> None:
    book = solved()
    edit(book)
    merged = all_right(lesson, book)
    flags = {flag.flag for _, flag in merged.flags}
    assert (edit is below_the_check) == (Flag.BELOW_ITS_CHECK in flags)
    assert (edit is checked_again_below) == (Flag.SEVERAL_DEFINITIONS in flags)


def test_what_windows_writes_is_not_edited(lesson: Lesson) -> None:
    book = solved()
    written_on_windows(book)
    assert merge(lesson, parse(json.dumps(book).encode())).flags == ()


def test_the_future_is_for_all_cells_from_then_on(lesson: Lesson) -> None:
    book = solved()
    book["cells"][1]["source"] = "from __future__ import annotations\n" + book["cells"][1]["source"]
    put(book, "from __future__ import division", after=cell_of(book, "m.2"))
    merged = all_right(lesson, book)
    assert merged.extras("m.1") == ["from __future__ import annotations"]
    assert len(merged.extras("m.3")) == 2


def test_of_a_trial_only_the_line_is_run_that_changes_what_is_needed(lesson: Lesson) -> None:
    book = solved()
    put(book, "torch.manual_seed(0)\nfor _ in range(10**9):\n    print(torch.rand(2))", after=book["cells"][3])
    assert all_right(lesson, book).extras("m.1") == ["torch.manual_seed(0)"]


def test_an_import_or_a_deletion_is_no_answer(lesson: Lesson) -> None:
    """Else who imports the course's own function at the top, and solves nothing, would be told that he calls it."""
    book: Book = json.loads(as_given())
    book["cells"][1]["source"] += "\nfrom similarity_exercises import standardise, correlation"
    put(book, "del correlation", after=book["cells"][3])
    assert merge(lesson, parse(json.dumps(book).encode())).untouched == set(lesson.ids)


def test_names_beside_lines_for_ipython_are_seen(lesson: Lesson) -> None:
    book = solved()
    helper = f"files = !ls\ntorch.nn?\n%time HALF = 0.5\n{HELPER}"
    put(book, helper, after=book["cells"][3])
    cell_of(book, "m.1")["source"] = HELPED.replace("return", "return 2 * HALF *")
    assert merge(lesson, parse(json.dumps(book).encode())).extras("m.1") == [helper]
    for line in ("!pip install -q einops", "  %pip install pandas", "! python -m pip install x", "!apt-get install y"):
        assert exam_notebook._tame(f"{line}\nx = 1").split() == ["pass", "x", "=", "1"], line
    assert exam_notebook._tame("!pipe\nx = '!pip'") == "!pipe\nx = '!pip'"


def test_what_is_run_is_what_is_needed(lesson: Lesson) -> None:
    book = solved()
    with_trials_around(book)
    helper_before_check(book)
    merged = merge(lesson, parse(json.dumps(book).encode()))
    assert merged.extras("m.1") == [HELPER] and merged.extras("m.3") == []
    assert len(merged.everything["m.1"]) == 4, "what Python refuses, and what stands below the check, is no help either"
    assert "undefined_thing" not in str(exam_notebook.build(lesson, merged, lesson.ids, 1, "n", 1.0))


def test_an_answer_that_hides_what_it_needs_gets_all_the_rest(lesson: Lesson) -> None:
    book = solved()
    cell_of(book, "m.1")["source"] = "import builtins\n" + HELPED.replace(
        "centre(values) /", "builtins.eval('c')(values) /"
    )
    put(book, HELPER, after=book["cells"][1])
    put(book, "c = centre", after=book["cells"][2], id="own-2")
    merged = merge(lesson, parse(json.dumps(book).encode()))
    assert verdicts(lesson, merged)["m.1"] == "wrong" and "c" in merged.own_names
    assert verdicts(lesson, merged, whole=True)["m.1"] == "right"


def test_a_lessons_cell_is_restored_and_a_draft_is_not_the_answer(lesson: Lesson) -> None:
    book = solved()
    book["cells"][3]["source"] = 'model = load_model("tiny-llama")\nnumbers = None\nHELP = 2'
    cell_of(book, "m.1")["source"] = RIGHT["m.1"].replace("return", "numbers.mean(), HELP\n    return")
    put(book, WRONG, after=book["cells"][3])
    merged = all_right(lesson, book)
    assert any(str(flag).startswith("2 cells define standardise") for _, flag in merged.flags)
    assert merged.doubtful == {"m.1"}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda book: None, "stub"),
        (lambda book: cell_of(book, "m.1").update(source="# later\n" + stub(book)), "stub"),
        (lambda book: book["cells"].remove(cell_of(book, "m.1")), None),
        (lambda book: cell_of(book, "m.1").update(cell_type="markdown"), None),
        (lambda book: cell_of(book, "m.1").update(source=""), ""),
    ],
)
def test_what_was_not_done(lesson: Lesson, change: Callable[[Book], Any], answer: str | None) -> None:
    book: Book = json.loads(as_given())
    change(book)
    merged = merge(lesson, parse(json.dumps(book).encode()))
    assert ("m.1" in merged.untouched) == (answer == "stub")
    assert merged.answers["m.1"] == answer if answer != "stub" else merged.answers["m.1"] is not None


def test_names() -> None:
    assert names_used("def f(x):\n    y = x + z\n    return g(y)\nf(w)") == {"z", "g", "w"}
    assert names_used("%time run(a)\nb = c") == {"time", "run", "a", "c"}
    assert names_used("def f(x)\n    return y") >= {"x", "y"}, "a cell that Python refuses needs its own words only"
    assert names_bound("def f():\n    inner = 1\nfor i in range(3):\n    d[i] = 1\nrows.append(2)\nimport a.b") == {
        *("f", "i", "d", "rows", "a")
    }


# --- any of these edits, one after the other


def _split_anywhere(book: Book, at: int) -> None:
    """Cut a cell of the learner's between two statements."""
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    cell = cells[at % len(cells)]
    body = ast.parse(cell["source"]).body
    if len(body) > 1:
        lines = cell["source"].split("\n")
        line = body[1 + at % (len(body) - 1)].lineno - 1
        put(book, "\n".join(lines[line:]), after=cell, id=f"half-{len(book['cells'])}")
        cell["source"] = "\n".join(lines[:line])


def _merge_below(book: Book, at: int) -> None:
    cells = book["cells"]
    place = at % (len(cells) - 1)
    one, other = cells[place], cells[place + 1]
    if one["cell_type"] == other["cell_type"] == "code":
        one["source"] += "\n" + other["source"]
        cells.remove(other)


def _copy(book: Book, at: int) -> None:
    cells = book["cells"]
    cell = cells[at % len(cells)]
    cells.insert(at % len(cells) + 1, {**copy.deepcopy(cell), "id": f"copy-{len(cells)}"})


def _rename_ids(book: Book, at: int) -> None:
    for number, cell in enumerate(book["cells"]):
        cell["id"], cell["metadata"] = f"new-{at}-{number}", {}


def _helper(book: Book, at: int) -> None:
    """Take a part of an answer out, into a function in a cell anywhere."""
    for cell in book["cells"]:
        if cell["cell_type"] == "code" and "values.mean()" in cell["source"]:
            name = f"middle_{len(book['cells'])}"
            cell["source"] = cell["source"].replace("values.mean()", f"{name}(values)")
            put(book, f"def {name}(v):\n    return v.mean()", after=book["cells"][at % len(book["cells"])], id=name)
            return


def _trial(book: Book, at: int) -> None:
    source = ("print(1)", "undefined_thing", "a = [1]\na.append(2)", "%matplotlib inline", "import math")[at % 5]
    put(book, source, after=book["cells"][at % len(book["cells"])], id=f"trial-{len(book['cells'])}")


def _move_a_trial_up(book: Book, at: int) -> None:
    trials = [cell for cell in book["cells"] if str(cell["id"]).startswith(("trial", "middle"))]
    if trials:
        cell = trials[at % len(trials)]
        book["cells"].remove(cell)
        book["cells"].insert(at % len(book["cells"]), cell)


STEPS = [_split_anywhere, _merge_below, _copy, _rename_ids, _helper, _trial, _move_a_trial_up]


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10_000)), min_size=1, max_size=6))
def test_honest_edits_never_cost_a_point_without_a_flag(
    lesson: Lesson, steps: list[tuple[Callable[[Book, int], None], int]]
) -> None:
    """Only where the notebook has several answers may one be wrong, and then the mark is open."""
    book = solved()
    for step, at in steps:
        with contextlib.suppress(SyntaxError):  # a cell with a magic is not cut
            step(book, at)
    merged = merge(lesson, parse(json.dumps(book).encode()))
    told = verdicts(lesson, merged)
    assert all(verdict == "right" or id in merged.doubtful for id, verdict in told.items()), told


@pytest.mark.parametrize(
    ("source", "made_to_be_edited"),
    [
        ('predict("4.1", ...)  # a depth', True),
        ('quiz("4.a", ...)', True),
        ("prediction = ...  # a number", True),
        ('predict("4.1", 7)', False),
        ("x[...]", False),
        ("def stub():\n    ...", False),
        ("...", True),
        ("", False),
    ],
)
def test_a_cell_with_dots_to_fill_in_is_made_to_be_edited(source: str, made_to_be_edited: bool) -> None:
    assert _is_to_fill_in(source) is made_to_be_edited
