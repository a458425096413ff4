"""The forms of a guess: a number on a scale, a choice, a token, a short list of these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from course_utils.exercises import messages
from course_utils.exercises.messages import say


class Unreadable(ValueError):
    """A guess is not of the form that is asked for: a sentence, with places left for the prediction and the guess."""

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template, values)
        self._template, self._values = template, values

    def told(self, prediction: str, guess: str) -> str:
        """The sentence about this guess, at the prediction with this id."""
        return say(self._template, prediction=prediction, guess=guess, **self._values)


class Kind(Protocol):
    """The form of a guess: how one is read, shown, and held against the truth."""

    @property
    def unreadable(self) -> Unreadable:
        """What is raised for a guess that is not of this form."""

    def read(self, guess: Any) -> Any:
        """The guess as this form has it, of numbers, texts and tuples. Raises Unreadable."""

    def settle(self, truth: Any) -> Any:
        """A truth that was read, without the digits that hang on the processor or that nobody could guess."""

    def show(self, value: Any) -> str:
        """A value that was read, as it is printed."""

    def distance(self, guess: Any, truth: Any) -> tuple[bool, str]:
        """Whether a guess is as good as right, and else how far off, as a sentence; both values were read."""

    def fits(self, wanted: Any, guess: Any) -> bool:
        """Whether a guess that was read is one of those that ``wanted`` describes."""


def read_guess(kind: Kind, guess: Any) -> Any:
    """``kind.read(guess)``, for guesses of any make: also those that fail when they are looked at.

    Raises:
        Unreadable: it is not of that form; nothing else.
    """
    try:
        return kind.read(guess)
    except Unreadable:
        raise
    except Exception:  # an array without a length, an object whose text or number is an error
        raise kind.unreadable from None


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``.

    Attributes:
        unit: stands behind the number, " tokens"; "%" where percent are asked for.
        near: how far off still counts as right; with ``factors``, how many times too small or too large.
        digits: behind the decimal point, in the truth.
        figures: instead, how many significant ones.
        factors: distances are told as "3 times too small", since the scale is one of sizes and not of steps.

    A guess that fits is described by the pair (least, most), both included.
    """

    low: float
    high: float
    near: float
    unit: str = ""
    digits: int = 0
    figures: int | None = None
    factors: bool = False

    @property
    def unreadable(self) -> Unreadable:
        return Unreadable(messages.NO_NUMBER_FROM, low=_plain(self.low), high=self.show(self.high))

    def read(self, guess: Any) -> float:
        value = _as_number(guess)
        if value is None or not self.low <= value <= self.high:
            raise self.unreadable
        return value

    def settle(self, truth: float) -> float:
        return round(truth, self.digits) if self.figures is None else float(f"{truth:.{self.figures}g}")

    def show(self, value: float) -> str:
        return self._counted(_plain(value))

    def _counted(self, number: str) -> str:
        """With the unit, of one as of one: " tokens", " entries" and the like."""
        unit = self.unit.replace("ies", "y").removesuffix("s") if number == "1" else self.unit
        return f"{number}{unit}"

    def distance(self, guess: float, truth: float) -> tuple[bool, str]:
        if not self.factors:
            off = abs(guess - truth)
            template = messages.TOO_LOW if guess < truth else messages.TOO_HIGH
            right, told = off <= self.near + 1e-9, say(template, off=self._counted(_plain(_short(off))))
        elif guess <= 0 or truth <= 0:
            right, told = guess == truth, messages.NOT_A_SIZE
        else:
            times = max(guess / truth, truth / guess)
            template = messages.TIMES_TOO_SMALL if guess < truth else messages.TIMES_TOO_LARGE
            right, told = times <= self.near + 1e-9, say(template, times=_plain(_short(times)))
        return right, "" if right else told

    def fits(self, wanted: tuple[float, float], guess: float) -> bool:
        return wanted[0] <= guess <= wanted[1]


@dataclass(frozen=True)
class Choice:
    """One of ``options``. A guess that fits is described by the option, or by a tuple of them."""

    options: tuple[str, ...]

    @property
    def unreadable(self) -> Unreadable:
        return Unreadable(messages.NONE_OF, options=_listed(self.options))

    def read(self, guess: Any) -> str:
        if isinstance(guess, bool):
            guess = "yes" if guess else "no"
        said = " ".join(str(guess).casefold().split())
        same = [option for option in self.options if option.casefold() == said]
        # "coffee" for "the coffee": part of an option, if it is part of no other.
        meant = same or [option for option in self.options if said and said in option.casefold().split()]
        if len(meant) != 1:
            raise self.unreadable
        return meant[0]

    def settle(self, truth: str) -> str:
        return truth

    def show(self, value: str) -> str:
        return value

    def distance(self, guess: str, truth: str) -> tuple[bool, str]:
        return guess == truth, ""

    def fits(self, wanted: str | tuple[str, ...], guess: str) -> bool:
        return guess in ((wanted,) if isinstance(wanted, str) else wanted)


@dataclass(frozen=True)
class Token:
    """A token of a text. Spaces around it do not count. A guess that fits is described by a text or several."""

    @property
    def unreadable(self) -> Unreadable:
        return Unreadable(messages.NO_TOKEN_AS_TEXT)

    def read(self, guess: Any) -> str:
        if not isinstance(guess, str) or not guess.strip() or len(guess) > 40:
            raise self.unreadable
        guess.encode()  # half of a surrogate pair is no text: a UnicodeEncodeError here, and not where it is kept
        return guess.strip()

    def settle(self, truth: str) -> str:
        return truth

    def show(self, value: str) -> str:
        return repr(value)

    def distance(self, guess: str, truth: str) -> tuple[bool, str]:
        return guess.casefold() == truth.casefold(), ""

    def fits(self, wanted: str | tuple[str, ...], guess: str) -> bool:
        return guess.casefold() in {one.casefold() for one in ((wanted,) if isinstance(wanted, str) else wanted)}


@dataclass(frozen=True)
class Several:
    """A short list: one value for each of ``parts``. A guess that fits is described by a tuple, None for anything."""

    parts: tuple[Kind, ...]

    @property
    def unreadable(self) -> Unreadable:
        return Unreadable(messages.NOT_SO_MANY, count=len(self.parts))

    def read(self, guess: Any) -> tuple[Any, ...]:
        # A set or a dictionary has no first value, so it is a guess at nothing in particular.
        no_list = isinstance(guess, str | bytes | set | frozenset | dict) or not hasattr(guess, "__len__")
        if no_list or len(guess) != len(self.parts):
            raise self.unreadable
        return tuple(part.read(one) for part, one in zip(self.parts, guess, strict=True))

    def settle(self, truth: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(part.settle(one) for part, one in zip(self.parts, truth, strict=True))

    def show(self, value: tuple[Any, ...]) -> str:
        return ", ".join(part.show(one) for part, one in zip(self.parts, value, strict=True))

    def distance(self, guess: tuple[Any, ...], truth: tuple[Any, ...]) -> tuple[bool, str]:
        found = [part.distance(*pair) for part, *pair in zip(self.parts, guess, truth, strict=True)]
        if all(right for right, _ in found):
            return True, ""
        told = []
        for place, (right, off) in enumerate(found, 1):
            told += [say(messages.PART_RIGHT if right else messages.PART_WRONG, place=place), off]
        return False, " ".join(filter(None, told))

    def fits(self, wanted: tuple[Any, ...], guess: tuple[Any, ...]) -> bool:
        return all(
            each is None or part.fits(each, one) for part, each, one in zip(self.parts, wanted, guess, strict=True)
        )


def _as_number(guess: Any) -> float | None:
    """A number, or a text or tensor that is one; None for all else, and for NaN and the infinities."""
    if isinstance(guess, bool):
        return None
    try:
        if hasattr(guess, "item"):  # an array or a tensor of one number
            guess = guess.item()
        if isinstance(guess, str):
            guess = guess.strip().rstrip("%").replace(",", "").replace("_", "")
        value = float(guess)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _listed(options: tuple[str, ...]) -> str:
    """All of a few options; of many the first two and the last, which show how they go on."""
    shown = [repr(option) for option in options]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:2], "...", shown[-1]])


def _plain(value: float) -> str:
    """A number as people write it: whole where it is, and without digits that say nothing."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.6f}".rstrip("0")


def _short(value: float) -> float:
    """To two significant digits: how far off is no exact matter."""
    return float(f"{value:.2g}")
