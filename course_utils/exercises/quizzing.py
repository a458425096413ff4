"""A question with a few answers to choose from; each wrong one is a known misunderstanding, and is told so.

Where it can be done, a wrong answer is refuted by an experiment on the running model, and not by our word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Experiment = Callable[[Any], tuple[bool, str]]
"""Takes a model; whether it came out as the explanation says, and in a line what came out."""


@dataclass(frozen=True)
class Option:
    """One answer.

    Attributes:
        text: the answer.
        says: of a wrong one, what is misunderstood; of the right one, why it is right.
        right: whether it is.
        tries: an experiment that shows what ``says`` says.
    """

    text: str
    says: str
    right: bool = False
    tries: Experiment | None = None


@dataclass(frozen=True)
class Quiz:
    """A question and its answers, which are lettered in order: a, b, c, ...

    Raises:
        ValueError: not exactly one of three or four answers is right.
    """

    id: str
    asks: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not 3 <= len(self.options) <= 4 or sum(option.right for option in self.options) != 1:
            raise ValueError(f"Question {self.id}: three or four answers, and one of them right, were expected.")

    @property
    def lettered(self) -> dict[str, Option]:
        """The answers by their letters."""
        return dict(zip("abcd", self.options, strict=False))
