"""A learner's way, walked by a script: a fresh home, the lessons copied, guesses, two wrong tries, a hint, the right
answer, a restart, another day; at the end `course progress` tells exactly that.

What it should tell is counted from the lessons' own text and from what the cells said, not from the record.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_utils.exercises import LESSONS, get_exercise, get_prediction, get_quiz
from course_utils.exercises.guess_kinds import Kind, Number, Several, Token
from course_utils.exercises.showing import pasteable
from course_utils.notebooks.normalise import exercise_roles
from course_utils.notebooks.solve import solve
from tests.learner.kernels import Kernel, surroundings
from tests.wrong_answers import Wrong

ROOT = Path(__file__).parents[2]
# To the end of one lesson only, since each check takes a second. Lesson 7 can be done on the lessons' own model alone.
HOW_FAR = {"1": 9}
MODELS: dict[str, dict[str, str]] = {"7": {}}
# Whose kernel was shut down overnight. The others' ran on: another start is most of what a day on a tiny model takes.
RESTARTED = {"1", "4"}
Course = Callable[..., str]
STUB = "    raise NotImplementedError"
ALIGNED_TO_THE_START = "    return torch.ones(n_new, n_new + n_held).tril().bool()"
NO_MASK = "    return torch.ones(n_new, n_new + n_held).bool()"
RIGHT = """\
    if n_new < 1 or n_held < 0:
        raise ValueError("too few tokens")
    return torch.ones(n_new, n_new + n_held).tril(n_held).bool()"""


@pytest.fixture
def learner(tmp_path: Path) -> dict[str, str]:
    # The wrong answers that are pasted into a lesson import what stands around them.
    return surroundings(tmp_path / "home", PYTHONPATH=str(ROOT))


@pytest.fixture
def course(learner: dict[str, str]) -> Course:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "course_utils.cli", *arguments]
        done = subprocess.run(command, env=learner, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_a_learner_walks_through_an_exercise_over_two_days(
    tmp_path: Path, learner: dict[str, str], course: Course
) -> None:
    """On the lessons' own model, with each sentence that a learner reads."""
    mine = tmp_path / "mine"
    assert "03_kv_cache.ipynb: copied" in course("start", str(mine))
    assert json.loads(course("progress", "--json"))["next"] == "1.1"

    cells = nbformat.read(mine / "03_kv_cache.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]

    def the_cell(beginning: str) -> str:
        (found,) = (source for source in code if f"\n{beginning}" in f"\n{source}")
        return found

    imports = the_cell("from course_utils.learner import")
    guess, stub, check = (the_cell(text) for text in ('predict("3.2"', "def causal_mask(", "causal_mask = check("))
    reveal = "mask = causal_mask(3, 4)\n" + the_cell('reveal("3.2"')
    question = the_cell('quiz("3.c"')

    with Kernel(learner) as kernel:
        kernel.run(imports)
        assert "no guess" in kernel.run(guess)
        assert "your guess is kept: 21 entries" in kernel.run(guess.replace("...", "21"))
        for wrong in (NO_MASK, ALIGNED_TO_THE_START):
            kernel.run(stub.replace(STUB, wrong))
            assert kernel.run(check).startswith("✗ 3.2")
        assert "Hint 1 of 2" in kernel.run('hint("3.2")')
        kernel.run(stub.replace(STUB, RIGHT))
        assert kernel.run(check).startswith("✓ 3.2 · 2 of 2 points")
        said = kernel.run(reveal)
        assert "The answer: 18 entries. You said 21 entries." in said and "three entries are False" in said

        kernel.restart()
        kernel.run(imports)
        assert "Welcome back: 1 of 8 exercises of lesson 3 are right" in kernel.run(guess.replace("...", "21"))
        kernel.run(stub)  # run again from the top, not solved in this copy
        assert "not tried yet" in kernel.run(check)
        assert "✓ a: right." in kernel.run(question.replace("...", '"a"'))

    found = json.loads(course("progress", "--json"))
    assert Path(found["file"]).is_relative_to(tmp_path / "home")
    lesson = next(lesson for lesson in found["lessons"] if lesson["number"] == "3")
    told = {name: lesson[name] for name in ("right", "points", "guesses", "guessed_right", "questions_right", "next")}
    assert told == {"right": 1, "points": 2, "guesses": 1, "guessed_right": 0, "questions_right": 1, "next": "3.1"}
    assert not any(lesson["last"] for lesson in found["lessons"] if lesson["number"] != "3")
    entry = json.loads(Path(found["file"]).read_text(encoding="utf-8"))["exercises"]["3.2"]
    assert (entry["tries"], entry["hints"], entry["status"]) == (3, 1, "right")
    assert "Next: 3.1" in course("progress")

    course("progress", "--erase")
    assert json.loads(course("progress", "--json"))["next"] == "1.1"


class Lesson:
    """One lesson in the learner's folder, what the learner puts into its cells, and all that the cells have said."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, str(int(path.name[:2]))
        self.notebook = nbformat.read(path, as_version=4)
        solved = solve(self.notebook)
        self.solutions: dict[str, str] = {}
        self.at: dict[tuple[str, str], int] = {}
        """Where the cells are: ("answer", "1.1"), ("check", "1.1"), ("predict", "1.1"), ("quiz", "1.a")."""
        for index, (id, role) in exercise_roles(self.notebook).items():
            self.at[role, id] = index
            if role == "answer":
                self.solutions[id] = solved.cells[index].source
        for index, cell in enumerate(self.notebook.cells):
            for role, id in re.findall(r'^(predict|quiz)\("([\w.]+)", \.\.\.\)', cell.source, re.MULTILINE):
                self.at[role, id] = index
        self.said = ""

    def ids(self, role: str) -> list[str]:
        """In the order of the lesson."""
        return [id for (kind, id), _ in sorted(self.at.items(), key=lambda item: item[1]) if kind == role]

    def write(self, role: str, id: str, value: str) -> None:
        """Put something into a cell: a source for an answer, a guess or a letter for the dots."""
        cell = self.notebook.cells[self.at[role, id]]
        cell.source = value if role == "answer" else re.sub(r'(", ).*?\)(  #|$)', rf"\g<1>{value})\2", cell.source)

    def run(self, kernel: Kernel, source: str) -> str:
        said = kernel.run(source)
        self.said += said
        return said

    def run_cell(self, kernel: Kernel, role: str, id: str) -> str:
        return self.run(kernel, self.notebook.cells[self.at[role, id]].source)

    def run_from(self, kernel: Kernel, begin: int, end: int) -> None:
        """Run the code cells of that slice of the notebook."""
        for cell in self.notebook.cells[begin:end]:
            if cell.cell_type == "code":
                self.run(kernel, cell.source)

    def save(self) -> None:
        nbformat.write(self.notebook, self.path)


def a_guess(kind: Kind, fits: Any) -> Any:
    """A guess of those that ``fits`` describes."""
    if isinstance(kind, Several):
        return tuple(map(a_guess, kind.parts, fits))
    if isinstance(kind, Number):
        return kind.low if fits is None else fits[0]
    if fits is None:
        return "the" if isinstance(kind, Token) else kind.options[0]  # type: ignore[attr-defined]
    return fits if isinstance(fits, str) else fits[0]


def guess_at(id: str) -> str:
    """The right guess where there is one that people make, else the first."""
    prediction = get_prediction(id)
    meant = next((guess for guess in prediction.guesses if guess.right), prediction.guesses[0])
    return repr(a_guess(prediction.kind, meant.fits))


def letter(id: str, right: bool) -> str:
    return repr(next(letter for letter, option in get_quiz(id).lettered.items() if option.right is right))


def two_wrong_answers(id: str) -> list[str]:
    """As a learner would have them in the answer cell."""
    known: list[Wrong] = importlib.import_module(f"tests.wrong_answers.{LESSONS[id.split('.')[0]]}").WRONG
    own = [wrong.answer for wrong in known if wrong.exercise == id]
    named = [answer for answer in own if getattr(answer, "__name__", "<lambda>") != "<lambda>"]
    return [f"{pasteable(answer)}\n\n\n{get_exercise(id).name} = {answer.__name__}" for answer in named[:2]]


def walk(lesson: Lesson, kernel: Kernel, days: tuple[str, str], how_far: int) -> None:
    """Two days with a lesson, up to and with so many of its exercises.

    The last guess on that way comes when its answer was shown, and the last question is answered wrong.
    """
    exercises = lesson.ids("check")[:how_far]
    first, last = exercises[0], exercises[-1]
    cells = [cell.source for cell in lesson.notebook.cells]
    shown = next(index for index in range(lesson.at["check", last], len(cells)) if "reveal(" in cells[index])
    end = shown + 1 if exercises != lesson.ids("check") else len(cells)
    *guesses, late = (id for id in lesson.ids("predict") if lesson.at["predict", id] < end)
    *questions, hard_one = (id for id in lesson.ids("quiz") if lesson.at["quiz", id] < end)

    kernel.set_clock(f"{days[0]}T20:00:00+00:00")
    early = [id for id in guesses if lesson.at["predict", id] < lesson.at["answer", first]]
    begun = lesson.at["predict", early[0]]
    lesson.run_from(kernel, 0, begun)
    for id in early:
        assert "no guess" in lesson.run_cell(kernel, "predict", id)
        lesson.write("predict", id, guess_at(id))
    lesson.run_from(kernel, begun, lesson.at["answer", first])
    for wrong in two_wrong_answers(first):
        lesson.run(kernel, wrong)
        assert lesson.run_cell(kernel, "check", first).startswith(f"✗ {first}")
    assert "Hint 1 of" in lesson.run(kernel, f'hint("{first}")')
    lesson.write("answer", first, lesson.solutions[first])
    lesson.run_cell(kernel, "answer", first)
    assert lesson.run_cell(kernel, "check", first).startswith(f"✓ {first}")
    lesson.save()

    if lesson.number in RESTARTED:
        kernel.restart()
    kernel.set_clock(f"{days[1]}T07:30:00+00:00")
    for id in guesses:
        lesson.write("predict", id, guess_at(id))
    for id in exercises:
        lesson.write("answer", id, lesson.solutions[id])
    for id in questions:
        lesson.write("quiz", id, letter(id, right=True))
    lesson.write("quiz", hard_one, letter(hard_one, right=False))
    lesson.run_from(kernel, 0, end)
    welcome = f"Welcome back: 1 of {len(lesson.ids('check'))} exercises of lesson {lesson.number} are right"
    assert (welcome in lesson.said) is (lesson.number in RESTARTED)
    lesson.write("predict", late, guess_at(late))
    assert "(The answer was shown before it.)" in lesson.run_cell(kernel, "predict", late)
    lesson.save()


def told(lesson: Lesson, last: str) -> dict[str, Any]:
    """The lesson's row of `course progress --json`, from its text and from what its cells said."""
    text = "\n".join(cell.source for cell in lesson.notebook.cells if cell.cell_type == "markdown")
    right = dict(re.findall(r"^✓ ([\d.]+) · (\d+) of", lesson.said, re.MULTILINE))
    guesses = set(re.findall(r"^◇ (\S+) your guess is kept: .*(?<!before it\.\))$", lesson.said, re.MULTILINE))
    guessed_right = set(re.findall(r"^◆ (\S+) The answer", lesson.said, re.MULTILINE))
    open_ones = [id for id in lesson.ids("check") if id not in right]
    return {
        "number": lesson.number,
        "name": LESSONS[lesson.number].replace("_", " "),
        "right": len(right),
        "exercises": len(lesson.ids("check")),
        "points": sum(map(int, right.values())),
        "out_of": sum(map(int, re.findall(r"· `(\d+) points?` ·", text))),
        "guesses": len(guesses),
        "guessed_right": len(guessed_right),
        "predictions": len(lesson.ids("predict")),
        "questions_right": len(re.findall(r"^ *✓ [a-d]: right", lesson.said, re.MULTILINE)),
        "questions": len(lesson.ids("quiz")),
        "last": last,
        "next": open_ones[0] if open_ones else "",
    }


@pytest.mark.slow
def test_a_learner_walks_through_the_whole_course(tmp_path: Path, learner: dict[str, str], course: Course) -> None:
    """Every lesson, each in a kernel of its own over two days. On a tiny model, since nothing here hangs on which."""
    mine = tmp_path / "mine"
    course("start", str(mine))
    lessons = [Lesson(path) for path in sorted(mine.glob("*.ipynb"))]
    assert [lesson.number for lesson in lessons] == list(LESSONS)
    expected = []
    for number, lesson in enumerate(lessons):
        days = f"2026-03-{2 * number + 1:02}", f"2026-03-{2 * number + 2:02}"
        # Pictures are made and not drawn, which is two fifths of the work on a tiny model: nothing here looks at one.
        surrounded = learner | {"MPLBACKEND": "agg"} | MODELS.get(lesson.number, {"COURSE_MODEL": "tiny-gpt2"})
        with Kernel(surrounded, mine) as kernel:
            walk(lesson, kernel, days, HOW_FAR.get(lesson.number, 2))
        expected.append(told(lesson, days[1]))

    found = json.loads(course("progress", "--json"))
    assert found["lessons"] == expected
    assert [row["right"] for row in expected] == [8, 2, 2, 2, 2, 2, 2] and sum(row["guessed_right"] for row in expected)
    assert found["next"] == expected[-1]["next"] == "7.3" and not found["done"]
    printed = course("progress")
    assert "1 tokens             ✓   8 of 8" in printed and "Next: 7.3" in printed
    entries = json.loads(Path(found["file"]).read_text(encoding="utf-8"))["exercises"]
    for lesson in lessons:
        for id in lesson.ids("check"):
            tries = len(re.findall(rf"^[✓✗] {re.escape(id)} ·", lesson.said, re.MULTILINE))
            hints = len(re.findall(r"^Hint 1 of", lesson.said, re.MULTILINE)) if id == lesson.ids("check")[0] else 0
            entry = entries.get(id, {})
            assert (entry.get("tries", 0), entry.get("hints", 0)) == (tries, hints), id
        assert entries[lesson.ids("check")[0]]["tries"] == 4  # two wrong, two right: the second on the other day
    assert set(re.findall(r"ipynb: (.*)", course("start", str(mine)))) == {"up to date"}
    for lesson in lessons:
        assert nbformat.read(lesson.path, as_version=4).cells == lesson.notebook.cells
