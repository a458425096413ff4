"""What a learner types: `course start`, `check`, `progress` and `doctor`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from course_utils.learner.try_notebook import State

_JSON = "print it for a program to read"
_MARKS = {"right": "✓", "wrong": "✗", "not tried": "○", "not reached": "!"}


def configure_start(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course start`."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path("my-course"), metavar="FOLDER",
                        help="where your copies go; made if it is not there (default: my-course)")  # fmt: skip
    parser.set_defaults(run=_start)


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course check`."""
    parser.add_argument("file", type=Path, metavar="FILE.ipynb", help="your notebook")
    parser.add_argument("--watch", action="store_true", help="again each time that the file is saved; Ctrl-C ends it")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="limit for each cell")
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.set_defaults(run=_check)


def configure_progress(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course progress`."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help=_JSON)
    # Not `save`: nnsight, once imported, gives each object a method of that name, and argparse no default.
    what.add_argument("--save", type=Path, metavar="FILE", dest="save_to", help="copy the record to a file")
    what.add_argument("--restore", type=Path, metavar="FILE", help="bring a saved record back")
    what.add_argument("--erase", action="store_true", help="forget everything")
    what.add_argument("--certificate", type=Path, metavar="FILE.html", help="write a page, once all is done")
    parser.add_argument("--name", default="", help="your name, for the page")
    parser.set_defaults(run=_progress)


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course doctor`."""
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.set_defaults(run=_doctor)


def _start(arguments: argparse.Namespace) -> int:
    from course_utils.learner.start import start

    for name, done in start(arguments.folder).items():
        print(f"{name}: {done}")
    print(f"Next: jupyter lab {arguments.folder}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from course_utils.learner.try_notebook import changes, states

    if not arguments.watch:
        return _print_states(states(arguments.file, arguments.timeout), arguments.json)
    for _ in changes(arguments.file):
        try:
            _print_states(states(arguments.file, arguments.timeout), arguments.json)
        except CourseError as error:  # saved half-way: the next saving may be right
            print(f"course: {error}", file=sys.stderr)
        sys.stdout.flush()
    return 0


def _print_states(found: Iterable[State], as_json: bool) -> int:
    found = list(found)
    if as_json:
        print(json.dumps([asdict(state) for state in found], ensure_ascii=False))
    else:
        for state in found:
            said = state.message if state.status in ("wrong", "not reached") else ""
            print(f"{_MARKS.get(state.status, ' ')} {state.exercise:5} {state.status:12} {said}".rstrip())
        right = sum(state.status == "right" for state in found)
        print(f"{right} of {len(found)} right")
    return 0 if all(state.status == "right" for state in found) else 1


def _progress(arguments: argparse.Namespace) -> int:
    from course_utils.learner.own_progress import kept, progress, read, told
    from course_utils.learner.standing import standing

    if arguments.save_to:
        print(f"Saved to {progress.save(arguments.save_to)}.")
    elif arguments.restore:
        progress.restore(arguments.restore)
        print(f"Restored from {arguments.restore}.")
    elif arguments.erase:
        progress.erase()
        print("Everything is forgotten.")
    elif arguments.certificate:
        print(f"Written to {progress.certificate(arguments.name, arguments.certificate)}.")
    else:
        path = kept(must_exist=False)
        found = standing(read(path))
        if arguments.json:
            print(json.dumps({"file": str(path), **found.as_json()}, ensure_ascii=False))
        else:
            print(told(found))
            print(f"Kept in {path}, and sent nowhere.")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from course_utils.learner.set_up import examine, report

    if not arguments.json:
        return 1 if report() else 0
    found: list[dict[str, Any]] = [asdict(finding) for finding in examine()]
    print(json.dumps(found, ensure_ascii=False))
    return 1 if any(finding["state"] == "fault" for finding in found) else 0
