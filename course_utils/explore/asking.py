"""What the views that are asked of a model have in common: the fields in which one asks again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from course_utils.pictures.views import View


def asking(view: View, ask: Callable[..., View], asks: Mapping[str, str] | None = None) -> View:
    """The view with fields that ask the model the same of another prompt; with one empty field, unless told."""
    return dataclasses.replace(view, ask=ask, asks={"A prompt of your own": ""} if asks is None else asks)


def of_kind(first: View, name: str) -> View:
    """Raises ValueError where a view that is to stand there at first is not of the kind that the fields ask for."""
    if not isinstance(first, View) or first.name != name:
        found = f"a view of views.{first.name}" if isinstance(first, View) else repr(first)
        raise ValueError(f"first is {found}; expected a view of views.{name}.")
    return first


def check_different(clean: str, corrupted: str, answers: tuple[str, str]) -> None:
    """Raises ValueError where the two prompts, or the two answers, are the same."""
    for what, (one, other) in {"prompts": (clean, corrupted), "answers": answers}.items():
        if one == other:
            raise ValueError(f"The two {what} are the same, {one!r}, so nothing could move; give two different ones.")


def pair_fields(clean: str, corrupted: str, answers: tuple[str, str]) -> dict[str, str]:
    return {
        "Clean prompt": clean,
        "Corrupted prompt, as many tokens": corrupted,
        "The answer after clean, with its space": answers[0],
        "The answer after corrupted": answers[1],
    }
