"""A learner's way, walked by a script: a fresh home, the lessons copied, a guess, two wrong tries, a hint, the right
answer, a restart, another day; at the end `course progress` tells exactly that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from course_utils.model.weights import cache_folder

STUB = "    raise NotImplementedError"
ALIGNED_TO_THE_START = "    return torch.ones(n_new, n_new + n_held).tril().bool()"
NO_MASK = "    return torch.ones(n_new, n_new + n_held).bool()"
RIGHT = """\
    if n_new < 1 or n_held < 0:
        raise ValueError("too few tokens")
    return torch.ones(n_new, n_new + n_held).tril(n_held).bool()"""


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """The environment of a learner whose home is new; only the model is there already."""
    here = {name: value for name, value in os.environ.items() if name not in ("COURSE_PROGRESS", "PYTEST_VERSION")}
    home = tmp_path / "home"
    home.mkdir()
    data = {"XDG_DATA_HOME": str(home / "data"), "APPDATA": str(home), "LOCALAPPDATA": str(home)}
    return here | data | {"HOME": str(home), "COURSE_CACHE": str(cache_folder())}


@pytest.fixture
def course(surroundings: dict[str, str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "course_utils.cli", *arguments]
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


class Kernel:
    """One sitting: a kernel in which cells are run, as any front end runs them."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.manager = KernelManager()
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, source: str) -> str:
        """What the cell prints. A cell that raises fails the test."""
        said: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])

        reply = self.client.execute_interactive(source, output_hook=listen, timeout=300)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_a_learner_walks_through_an_exercise_over_two_days(
    tmp_path: Path, surroundings: dict[str, str], course: Callable[..., str]
) -> None:
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

    first_day = Kernel(surroundings)
    try:
        first_day.run(imports)
        assert "no guess" in first_day.run(guess)
        assert "your guess is kept: 21 entries" in first_day.run(guess.replace("...", "21"))
        for wrong in (NO_MASK, ALIGNED_TO_THE_START):
            first_day.run(stub.replace(STUB, wrong))
            assert first_day.run(check).startswith("✗ 3.2")
        assert "Hint 1 of 2" in first_day.run('hint("3.2")')
        first_day.run(stub.replace(STUB, RIGHT))
        assert first_day.run(check).startswith("✓ 3.2 · 2 of 2 points")
        said = first_day.run(reveal)
        assert "The answer: 18 entries. You said 21 entries." in said and "three entries are False" in said
    finally:
        first_day.close()

    other_day = Kernel(surroundings)
    try:
        other_day.run(imports)
        assert "Welcome back: 1 of 8 exercises of lesson 3 are right" in other_day.run(guess.replace("...", "21"))
        other_day.run(stub)  # run again from the top, not solved in this copy
        assert "not tried yet" in other_day.run(check)
        assert "✓ a: right." in other_day.run(question.replace("...", '"a"'))
    finally:
        other_day.close()

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
