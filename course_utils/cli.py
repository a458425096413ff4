"""The `course` command: one door to everything that is typed rather than clicked.

Each group of subcommands lives in the module that does the work, which has a function `configure(parser)`.
Modules are imported only when their group is asked for, so that `course version` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_utils.errors import CourseError


@dataclass(frozen=True)
class Group:
    """One first-level subcommand, and where its own arguments are declared."""

    name: str
    module: str  # has `configure(parser)`: declares arguments, sets `run=` to a function of the namespace
    summary: str


# To add a group: write `configure(parser: argparse.ArgumentParser) -> None` in your module and name it here.
GROUPS = (
    Group("notebooks", "course_utils.notebooks", "execute, check, edit and publish the lessons' notebooks"),
    Group("exercises", "course_utils.exercises.mutation_table", "for authors: what an exercise's check lets through"),
    Group("grade", "course_utils.grading", "mark a folder of submitted notebooks"),
)


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The argument parser; only the group called `chosen` is imported and complete."""
    parser = argparse.ArgumentParser(prog="course", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    version = commands.add_parser("version", help="say which version is installed, and of what it stands on")
    version.set_defaults(run=_version)
    fetch = commands.add_parser("fetch", help="download the model of the lessons, once; then no network is needed")
    fetch.set_defaults(run=_fetch)
    for group in GROUPS:
        child = commands.add_parser(group.name, help=group.summary, description=group.summary)
        if group.name == chosen:
            module = importlib.import_module(group.module)
            configure: Callable[[argparse.ArgumentParser], None] = module.configure
            configure(child)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `course ARGUMENTS`; return the exit code: 0 done, 1 refused with a reason, 2 not understood."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = build_parser(chosen)
    namespace = parser.parse_args(arguments)
    try:
        return int(namespace.run(namespace) or 0)
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `course ... | head`
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("course: stopped", file=sys.stderr)
        return 130


def _version(_: argparse.Namespace) -> int:
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    print(f"course-utils {installed('course-utils')}")
    print(f"Python {'.'.join(map(str, sys.version_info[:3]))}")
    for package in ("torch", "transformers", "nnsight"):
        print(f"{package} {installed(package)}")
    return 0


def _fetch(_: argparse.Namespace) -> int:
    from course_utils.model.errors import ModelError
    from course_utils.model.loading import load_model

    try:
        model = load_model()
    except ModelError as error:
        raise CourseError(str(error)) from None
    count = sum(parameter.numel() for parameter in model._module.parameters())
    print(f"The model is here: {count / 1e6:.0f} million parameters, {model.config.num_hidden_layers} layers.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
