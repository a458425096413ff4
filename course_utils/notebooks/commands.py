"""`course notebooks ...`: what is typed, and what is said in return."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from course_utils.errors import CourseError


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

    text = commands.add_parser("text", help="print a notebook as a Python file (jupytext's percent format)")
    text.add_argument("name", metavar="NAME")
    text.set_defaults(run=_text)

    back = commands.add_parser("from-text", help="make or update a notebook from such a Python file")
    back.add_argument("file", type=Path, metavar="FILE.py")
    back.add_argument("notebook", metavar="NOTEBOOK", help="a path, new or not, or the name of a lesson")
    back.set_defaults(run=_from_text)


def _run(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import execute, files, normalise

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
    from course_utils.notebooks import files, normalise

    status = 0
    for path in files.find(arguments.names):
        notebook = files.read(path)
        found = normalise.problems(notebook)
        if normalise.normalise(_furnished(notebook, path)) != notebook:
            found.append(normalise.Problem(-1, "is not normalised; run `course notebooks run`"))
        if not found:
            print(f"{path.name}: in order")
        status = _report(path, found) or status
    return status


def _text(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, text

    (path,) = files.find([arguments.name])
    sys.stdout.write(text.to_text(files.read(path)))
    return 0


def _from_text(arguments: argparse.Namespace) -> int:
    from course_utils.notebooks import files, normalise, text

    path = Path(arguments.notebook)
    if path.suffix != ".ipynb":
        (path,) = files.find([arguments.notebook])
    try:
        source = arguments.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{arguments.file}: cannot be read ({error})") from None
    previous = files.read(path) if path.is_file() else None
    notebook = normalise.normalise(_furnished(text.from_text(source, previous), path))
    changed = files.write(notebook, path)
    stale = sum(cell.cell_type == "code" and cell.execution_count is None for cell in notebook.cells)
    print(f"{path.name}: {'written' if changed else 'unchanged'}, {len(notebook.cells)} cells"
          + (f", {stale} to be executed: course notebooks run {path}" if stale else ""))
    return 0


def _furnished(notebook, path):
    return notebook


def _report(path: Path, found: list) -> int:
    for problem in found:
        print(f"{path.name}: {problem}", file=sys.stderr)
    return 1 if found else 0
