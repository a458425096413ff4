"""What a person sees while a model is prepared, and what is kept from them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


def say(text: str) -> None:
    """Print a line to stderr, so that a notebook's stored output and a program's output stay as they are."""
    print(text, file=sys.stderr, flush=True)


def megabytes(count: int) -> str:
    """A number of bytes for a person."""
    return f"{count / 1e6:,.0f} MB"


def did_you_mean(names: list[str]) -> str:
    """The names as a question with a space behind it, or nothing where there are none."""
    return f"Did you mean {' or '.join(dict.fromkeys(names))}? " if names else ""


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no advice inside; what was set before is set again afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
