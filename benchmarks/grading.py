"""How long a class takes to mark: `course grade` against plain nbval, one notebook after the other, in the same run.

    python -m benchmarks.grading --lesson 1 --count 100 --plain 5

Plain nbval runs every cell of each notebook in a kernel of its own, unprotected, and compares no output that is not
tagged (``--nbval-lax``): the least that it can do. Where ``--plain`` is less than the count, its time for all is that
of the sample, scaled up, and the line says so. Memory is the largest sum, over all processes of the run, of what each
has to itself and its share of the rest (PSS).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    chosen = parser.parse_args()
    lesson = load_lesson(chosen.lesson)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_class(lesson, Path(folder) / "in", chosen.count)
        with peak_memory() as plain_memory:
            plain = [plain_nbval(path) for path in paths[: chosen.plain]]
        with peak_memory() as memory:
            ours = course_grade(Path(folder), chosen.lesson, chosen.workers)
    plain_each = sum(plain) / len(plain)
    scaled = "" if len(plain) == chosen.count else f" (measured on {len(plain)}, scaled)"
    rows: list[dict[str, Any]] = [
        {
            "way": f"plain nbval, one after another{scaled}",
            "seconds": plain_each * chosen.count,
            "each": plain_each,
            "gb": plain_memory[0] / 1e9,
        },
        {
            "way": f"course grade, {chosen.workers} workers",
            "seconds": ours,
            "each": ours / chosen.count,
            "gb": memory[0] / 1e9,
        },
        {"times faster": plain_each * chosen.count / ours, "load": os.getloadavg()[0]},
    ]
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


def course_grade(folder: Path, lesson: str, workers: int) -> float:
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
    wrong = [one for one in json.loads(done.stdout) if one["status"] != "marked"]
    if wrong:
        raise RuntimeError(f"{len(wrong)} were not marked, the first: {wrong[0]}")
    return seconds


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The largest memory of this process's children, in the one entry of the list."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(2.0):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_full_info().pss
                except (psutil.Error, AttributeError):
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
