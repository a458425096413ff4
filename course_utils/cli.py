"""The `course` command: one door to everything that is typed rather than clicked.

Each group of subcommands lives in the module that does the work, which has a function `configure(parser)`.
Modules are imported only when their group is asked for, so that `course version` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError


@dataclass(frozen=True)
class Group:
    """One first-level subcommand, for whom it is, and where its own arguments are declared."""

    name: str
    module: str  # has the function `configure`: declares arguments, sets `run=` to a function of the namespace
    summary: str
    who: str
    configure: str = "configure"


LEARNERS, TEACHERS, AUTHORS = "If you learn", "If you teach", "If you change a lesson"
# To add a group: write `configure(parser: argparse.ArgumentParser) -> None` in your module and name it here.
GROUPS = (
    Group("start", "course_utils.learner.commands", "copy the lessons to a folder of yours, or update your copies",
          LEARNERS, "configure_start"),
    Group("check", "course_utils.learner.commands", "run your notebook and say how each exercise stands",
          LEARNERS, "configure_check"),
    Group("progress", "course_utils.learner.commands", "say what is done and what comes next", LEARNERS,
          "configure_progress"),
    Group("doctor", "course_utils.learner.commands", "say what is wrong with this set-up, and what mends it", LEARNERS,
          "configure_doctor"),
    Group("grade", "course_utils.grading", "mark a folder of submitted notebooks", TEACHERS),
    Group("notebooks", "course_utils.notebooks", "execute, check, edit and publish the lessons' notebooks", AUTHORS),
    Group("exercises", "course_utils.exercises.mutation_table", "say what an exercise's check lets through", AUTHORS),
)  # fmt: skip
SINGLE = {
    "fetch": ("download the model of the lessons, once; then no network is needed", LEARNERS),
    "completion": ("print what lets your shell complete these words with the tab key", LEARNERS),
    "version": ("say which version is installed, and of what it stands on", AUTHORS),
}
SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
EXAMPLES = """\
examples:
  course doctor                          is everything here that the lessons need?
  course start my-course                 your own copies of the lessons
  course check my-course/01_tokens_and_logits.ipynb --watch
  course progress
  source <(course completion bash)       for this shell; or into ~/.bashrc
  course grade submissions               mark a class
  course COMMAND --help                  what else a command can do
"""


def build_parser(chosen: Collection[str] = ()) -> argparse.ArgumentParser:
    """The argument parser; only the groups called `chosen` are imported and complete."""
    parser = argparse.ArgumentParser(
        prog="course",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=_listed_by_who() + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, help="one of those below")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        # Without `help`, argparse does not list it: the epilog does, by who uses it. A completion goes by the list.
        if name in chosen:
            return commands.add_parser(name, description=summary, help=summary)
        return commands.add_parser(name, description=summary)

    for name, run in (("version", _version), ("fetch", _fetch), ("completion", _completion)):
        single = add(name, SINGLE[name][0])
        single.set_defaults(run=run)
        if name == "completion":
            single.add_argument("shell", choices=SHELLS, help="as: source <(course completion bash)")
    for group in GROUPS:
        child = add(group.name, group.summary)
        if group.name in chosen:
            configure: Callable[[argparse.ArgumentParser], None]
            configure = getattr(importlib.import_module(group.module), group.configure)
            configure(child)
    return parser


def _listed_by_who() -> str:
    rows = [(group.who, group.name, group.summary) for group in GROUPS]
    rows += [(who, name, summary) for name, (summary, who) in SINGLE.items()]
    lines: list[str] = []
    for who in (LEARNERS, TEACHERS, AUTHORS):
        lines += [f"{who}:", *(f"  {name:10} {summary}" for whose, name, summary in rows if whose == who), ""]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `course ARGUMENTS`; return the exit code: 0 done, 1 refused with a reason, 2 not understood."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of Windows may not have "✓": no reason to stop
            stream.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    try:
        parser = build_parser([chosen] if chosen else [])
        namespace = parser.parse_args(arguments)
        return int(namespace.run(namespace) or 0)
    except ImportError as error:
        if str(error.name).startswith("course_utils"):
            raise  # a mistake of ours, whose traceback should be seen
        mend = "`course doctor` says what is missing here, and the command that mends it."
        if chosen == "grade":  # what no lesson needs is no fault to the doctor
            mend = 'If all else works, what marking needs besides is: pip install "course-utils[grade]".'
        print(
            f"course: this Python ({sys.executable}) cannot load {error.name or 'a package'} ({error}). {mend}",
            file=sys.stderr,
        )
        return 1
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


def _completion(arguments: argparse.Namespace) -> int:
    import shtab

    parser = build_parser([*SINGLE, *(group.name for group in GROUPS)])
    for action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)


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
