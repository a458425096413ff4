"""How long a class takes to mark: `course grade` against plain nbval, one notebook after the other, in the same run.

    python -m benchmarks.grading --lesson 1 --count 100 --plain 5
    python -m benchmarks.grading --lesson 1 --count 30 --plain 0 --trouble

Plain nbval runs every cell of each notebook in a kernel of its own, unprotected, and compares no output that is not
tagged (``--nbval-lax``): the least that it can do. Where ``--plain`` is less than the count, its time for all is that
of the sample, scaled up, and the line says so. Memory is the largest sum, over all processes of the run, of what each
has to itself and its share of the rest (PSS).

With ``--trouble`` five files that nobody can read are handed in too, and five answers that never end, hoard, flood,
multiply or end their process. Processor seconds are the sum over all processes that were seen, twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.notebooks.files import write
from course_utils.notebooks.solve import solve


def main() -> None:
    """Make a class, mark it both ways, print one JSON line for each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grading", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--lesson", default="1")
    parser.add_argument("--count", type=int, default=100, help="submissions")
    parser.add_argument("--plain", type=int, default=5, help="of these, marked by plain nbval too")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--trouble", action="store_true", help="five broken and five hostile ones besides")
    chosen = parser.parse_args()
    lesson = load_lesson(chosen.lesson)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_class(lesson, Path(folder) / "in", chosen.count)
        trouble = make_trouble(lesson, Path(folder) / "in") if chosen.trouble else 0
        with watched() as plain_used:
            plain = [plain_nbval(path) for path in paths[: chosen.plain]]
        with watched() as used:
            ours = course_grade(Path(folder), chosen.lesson, chosen.workers, chosen.count)
    count = chosen.count + trouble
    rows: list[dict[str, Any]] = [
        {
            "way": f"course grade, {chosen.workers} workers",
            "submissions": count,
            "seconds": ours,
            "each": ours / count,
            "processor seconds": used.processor,
            "gb": used.memory / 1e9,
        },
        {"load": os.getloadavg()[0]},
    ]
    if plain:
        each = sum(plain) / len(plain)
        scaled = "" if len(plain) == chosen.count else f" (measured on {len(plain)}, scaled)"
        way = f"plain nbval, one after another{scaled}"
        seconds = each * chosen.count
        rows.insert(0, {"way": way, "seconds": seconds, "each": each, "gb": plain_used.memory / 1e9})
        rows[-1]["times faster"] = seconds / ours
    for row in rows:
        print(json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}))


def make_class(lesson: Lesson, folder: Path, count: int) -> list[Path]:
    """Students who solved some exercises and left the others, each a choice of their own; always the same class."""
    folder.mkdir(parents=True)
    rng, solved, paths = random.Random(0), solve(lesson.notebook), []
    answers = [
        index
        for index, cell in enumerate(lesson.notebook.cells)
        if cell.metadata.get("course", {}).get("role") == "answer"
    ]
    for number in range(count):
        notebook = json.loads(json.dumps(lesson.notebook))
        for index in rng.sample(answers, rng.randint(len(answers) // 2, len(answers))):
            notebook["cells"][index]["source"] = solved.cells[index].source
        import nbformat

        path = folder / f"student{number:03d}.ipynb"
        write(nbformat.from_dict(notebook), path)
        paths.append(path)
    return paths


BROKEN = (b"", b"<!DOCTYPE html>", b'{"nbformat": 4, "cells": [{"cell_type"', b'{"nbformat": 3}', "é".encode("latin-1"))
HOSTILE = (
    "while True: pass",
    "hoard = [b'x' * (1 << 20)]\nwhile True: hoard.append(hoard[-1] + b'x')",
    "while True: print('x' * 100_000)",
    "import os\nwhile True: os.fork()",
    "import os\nos._exit(0)",
)


def make_trouble(lesson: Lesson, folder: Path) -> int:
    """Files that are no notebooks, and notebooks whose first answer does harm; how many."""
    for number, raw in enumerate(BROKEN):
        (folder / f"broken{number}.ipynb").write_bytes(raw)
    name = lesson.exercises[0].name
    for number, body in enumerate(HOSTILE):
        notebook = json.loads(json.dumps(solve(lesson.notebook)))
        for cell in notebook["cells"]:
            if cell["metadata"].get("course") == {"exercise": lesson.ids[0], "role": "answer"}:
                cell["source"] = f"def {name}(*inputs):\n" + textwrap.indent(body, "    ")
        (folder / f"hostile{number}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return len(BROKEN) + len(HOSTILE)


def plain_nbval(path: Path) -> float:
    """Seconds of one pytest with nbval on one notebook, as a teacher would start it."""
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
    ]
    command += ["-c", os.devnull, f"--rootdir={path.parent}", str(path)]
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def course_grade(folder: Path, lesson: str, workers: int, students: int) -> float:
    """Seconds of the whole command: start, self-test, marking, report."""
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "course_utils.cli",
        "grade",
        str(folder / "in"),
        "--lesson",
        lesson,
        "-o",
        str(folder / "out"),
        "--json",
    ]
    done = subprocess.run([*command, "--workers", str(workers)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds = time.perf_counter() - start
    found = [one for one in json.loads(done.stdout) if one["student"]["name"].startswith("student")]
    wrong = [one for one in found if one["status"] != "marked"]
    if wrong or len(found) != students:
        raise RuntimeError(f"{len(wrong)} were not marked, the first: {wrong[0]}")
    return seconds


@dataclass
class Used:
    """Of this process's children, all together: the most memory at one time in bytes, and processor seconds."""

    memory: int = 0
    processor: float = 0.0


@contextmanager
def watched() -> Iterator[Used]:
    """What the children take meanwhile."""
    used, over = Used(), threading.Event()
    seconds: dict[tuple[int, float], float] = {}

    def look(memory: bool) -> None:
        total = 0
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
                seconds[child.pid, child.create_time()] = times.user + times.system
                total += child.memory_full_info().pss if memory else 0
            except (psutil.Error, AttributeError):
                continue
        used.memory = max(used.memory, total)
        used.processor = sum(seconds.values())

    def watch() -> None:
        looks = 0
        while not over.wait(0.5):
            looks += 1
            look(memory=looks % 4 == 0)  # adding up shares of memory takes a while

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
