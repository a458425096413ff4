"""Marking: a folder of submitted notebooks in, marks and feedback out. `course grade --help` is the door.

    intake -> merge -> run in a sandbox -> judge outside -> store -> report

Each word is a module here. What is in a submission is data until it is inside the sandbox, and what comes out of the
sandbox is data again: values, compared here with the reference's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `course grade`."""
    from course_utils.grading.commands import declare

    declare(parser)
