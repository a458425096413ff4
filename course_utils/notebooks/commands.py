"""`course notebooks ...`: what is typed, and what is said in return."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:  # nbformat and its kin come in only when a notebook is read
    from nbformat import NotebookNode

    from course_utils.notebooks.compare import Comparison
    from course_utils.notebooks.normalise import Problem


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands of `course notebooks`."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    names = argparse.ArgumentParser(add_help=False)
    names.add_argument("names", nargs="*", metavar="NAME", help="a lesson's number, name or path; none: all")

    run = commands.add_parser("run", parents=[names], help="execute in place and normalise")
    run.add_argument("--solved", action="store_true", help="execute with each stub solved, compare, write nothing")
    run.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="limit for each cell")
    run.set_defaults(run=_run)

    check = commands.add_parser("check", parents=[names], help="say what an author must still change")
    check.set_defaults(run=_check)

    compare = commands.add_parser(
        "compare", parents=[names], help="execute with nbval, compare with what is stored, write nothing"
    )
    compare.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="limit for each cell")
    compare.add_argument(
        "--workers", type=int, choices=range(1, 17), default=1, metavar="N", help="lessons at a time, 2 GB each (1)"
    )
    compare.set_defaults(run=_compare)

    pages = commands.add_parser("html", parents=[names], help="write each notebook as a page to read")
    pages.add_argument("-o", "--output", type=Path, default=Path("html"), metavar="FOLDER")
    pages.set_defaults(run=_html)

    site = commands.add_parser("site", help="build the whole site: lessons, reference, glossary, for teachers")
    site.add_argument("-o", "--output", type=Path, default=Path("site"), metavar="FOLDER")
    site.set_defaults(run=_site)

    furnish = commands.add_parser(
        "furnish",
        parents=[names],
        aliases=["badges"],
        help="write setup cell, badge, the exercises' titles and hints, what is to be predicted; execute nothing",
    )
    furnish.set_defaults(run=_furnish)

    text = commands.add_parser("text", help="print a notebook as a Python file (jupytext's percent format)")
    text.add_argument("name", metavar="NAME")
    text.set_defaults(run=_text)

    back = commands.add_parser("from-text", help="make or update a notebook from such a Python file")
    back.add_argument("file", type=Path, metavar="FILE.py")
    back.add_argument("notebook", metavar="NOTEBOOK", help="a path, new or not, or the name of a lesson")
    back.set_defaults(run=_from_text)


def _run(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import execute, files, normalise

    if arguments.solved:
        return _run_solved(arguments)
    status = 0
    for path in files.find(arguments.names):
        started = time.perf_counter()
        notebook = _furnished(files.read(path), path)
        try:
            executed = execute.execute(notebook, path.parent, timeout=arguments.timeout)
        except CourseError as error:
            print(f"{path.name}: not written. {error}", file=sys.stderr)
            status = 1
            continue
        # Before normalising too: it drops what was written to stderr, and the author should hear of that.
        found = list(dict.fromkeys(normalise.problems(executed)))
        changed = files.write(normalise.normalise(executed), path)
        taken = time.perf_counter() - started
        print(f"{path.name}: executed in {taken:.0f} s, {'written' if changed else 'unchanged'}")
        status = _report(path, found) or status
    return status


def _check(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import exercise_text, files, normalise, prediction_text

    status = 0
    for path in files.find(arguments.names):
        notebook = files.read(path)
        found = normalise.problems(notebook)
        drifted = [*exercise_text.problems(notebook), *prediction_text.problems(notebook)]
        if files.root_of_lesson(path) and drifted:
            found += drifted
        elif normalise.normalise(_furnished(notebook, path)) != notebook:
            found.append(normalise.Problem(-1, "is not normalised; run `course notebooks run`"))
        if not found:
            print(f"{path.name}: in order")
        status = _report(path, found) or status
    return status


def _run_solved(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import execute, files, solve

    status = 0
    for path in files.find(arguments.names):
        committed = files.read(path)
        started = time.perf_counter()
        try:
            found = solve.stub_problems(committed)
            solved = execute.execute(solve.solve(committed), path.parent, timeout=arguments.timeout)
            found += solve.parted(committed, solved) + solve.unsolved(solved)
        except CourseError as error:
            print(f"{path.name}: solved, {error}", file=sys.stderr)
            status = 1
            continue
        taken = time.perf_counter() - started
        told = "goes on as the committed one does" if not found else "goes on otherwise than the committed one"
        print(f"{path.name}: solved, executed in {taken:.0f} s, {told}")
        status = _report(path, found) or status
    return status


def _compare(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import compare, files

    paths = files.find(arguments.names)
    # Lessons side by side that ask for all cores each wait for one another.
    threads = max(1, (os.cpu_count() or 1) // arguments.workers) if arguments.workers > 1 else None

    def run(path: Path) -> tuple[Comparison, float]:
        print(f"{path.name}: executing and comparing ...", flush=True)
        started = time.perf_counter()
        found = compare.compare(path, files.read(path), timeout=arguments.timeout, threads=threads)
        return found, time.perf_counter() - started

    failed = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        for path, (found, taken) in zip(paths, pool.map(run, paths), strict=True):
            if not _told(path, found, taken):
                failed.append(path.name)
    if failed:
        told = f"{len(failed)} of {len(paths)} lessons did not print what is stored"
        print(f"{told}: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _told(path: Path, found: Comparison, taken: float) -> bool:
    """Print what came of a comparison; whether the lesson printed what is stored."""
    if found.passed:
        print(
            f"{path.name}: all {found.expected} code cells ran in {taken:.0f} s; "
            f"the text of {found.compared} was compared with the stored text, and is the same",
            flush=True,
        )
        return True
    told = f"{len(found.failures)} of {found.expected} code cells differ or failed"
    print(f"{path.name}: {told} ({found.executed} ran)", file=sys.stderr)
    for cell, seen in sorted(found.failures.items()):
        shown = "\n".join(f"    {line}" for line in seen.splitlines()[:25])
        print(f"  code cell {cell}:\n{shown}", file=sys.stderr)
    if found.crash:
        print(f"  the run itself broke off:\n{found.crash}", file=sys.stderr)
    return False


def _html(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, pages

    for path in files.find(arguments.names):
        print(pages.write_page(files.read(path), path.stem, arguments.output))
    return 0


def _site(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files
    from course_utils.notebooks.site.build import build

    root = files.project_root()
    print(build(root, arguments.output, root / "build" / "site"))
    return 0


def _furnish(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, furnish, normalise

    for path in files.find(arguments.names):
        notebook = normalise.normalise(_furnished(files.read(path), path))
        print(f"{path.name}: {'written' if files.write(notebook, path) else 'unchanged'}")
    if arguments.names:
        return 0
    root = files.project_root()
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    renewed = furnish.renew_addresses(text, **files.project_settings(root))
    if renewed != text:
        readme.write_text(renewed, encoding="utf-8", newline="\n")
    print(f"{readme.name}: {'written' if renewed != text else 'unchanged'}")
    return 0


def _text(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, text

    (path,) = files.find([arguments.name])
    if isinstance(sys.stdout, io.TextIOWrapper):  # sent to a file, it is UTF-8 on Windows too, and comes back so
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text.to_text(files.read(path)))
    return 0


def _from_text(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, normalise, text

    path = Path(arguments.notebook)
    if path.suffix != ".ipynb":
        (path,) = files.find([arguments.notebook])
    source = text.read_text(arguments.file)
    previous = files.read(path) if path.is_file() else None
    notebook = normalise.normalise(_furnished(text.from_text(source, previous), path))
    changed = files.write(notebook, path)
    stale = sum(cell.cell_type == "code" and cell.execution_count is None for cell in notebook.cells)
    print(
        f"{path.name}: {'written' if changed else 'unchanged'}, {len(notebook.cells)} cells"
        + (f", {stale} to be executed: course notebooks run {path}" if stale else "")
    )
    return 0


def _furnished(notebook: NotebookNode, path: Path) -> NotebookNode:
    """The notebook with what the tool writes into every lesson of the course; other notebooks stay as they are."""
    from course_utils.notebooks import files, furnish

    root = files.root_of_lesson(path)
    return furnish.furnish(notebook, path.stem, **files.project_settings(root)) if root else notebook


def _report(path: Path, found: Iterable[Problem]) -> int:
    found = list(found)
    for problem in found:
        print(f"{path.name}: {problem}", file=sys.stderr)
    return 1 if found else 0
