"""What a prediction is: what is asked, in which form a guess comes, and what people guess who have thought about it.

In a lesson a guess stands in one cell and its answer in a later one::

    predict("1.1", 7)
    ...
    reveal("1.1", len(pieces))

The answer is always computed by the lesson on the running model; nothing here stores it. A :class:`Guess` says of a
wrong guess why it is plausible and what it overlooks. What it says of the model is held by ``tests/claims``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from course_utils.exercises.guess_kinds import Kind, Several


@dataclass(frozen=True)
class Guess:
    """A guess that people make.

    Attributes:
        name: of the idea behind it; a test of this name holds what ``says`` claims.
        fits: which guesses it is about, as the prediction's kind describes them.
        says: of a wrong one, why it is plausible and what it overlooks; of the right one, what is worth knowing.
            ``{guess}`` and ``{truth}`` are filled in, and ``{logistic}``, the probability that a guessed number is
            as a difference of logits.
        right: whether it is the right guess on the lesson's model; then it is said where it is right, and only there.
    """

    name: str
    fits: Any
    says: str
    right: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a lesson asks before it shows.

    Attributes:
        id: that of the exercise it belongs to, "1.1"; with a letter where there are several.
        asks: the question in Markdown, as it goes on in the lesson after "Predict first:". It stands alone on a slide,
            and asks for exactly what a guess is.
        kind: the form of a guess.
        guesses: the plausible ones, the most specific first.
    """

    id: str
    asks: str
    kind: Kind
    guesses: tuple[Guess, ...]

    def remark(self, guess: Any, truth: Any, right: bool) -> str:
        """What is said of a guess; "" if nobody thought of it. In a list, each wrong value may have its remark.

        A remark on wrong guesses is not made where it would fit the truth as well: on another model than the lesson's,
        another guess is right.
        """
        fitting = [
            each.says.format(guess=self.kind.show(guess), truth=self.kind.show(truth), **_computed(guess))
            for each in self.guesses
            if each.right == right and self.kind.fits(each.fits, guess)
            if right or not self.kind.fits(each.fits, truth)
        ]
        return " ".join(fitting if isinstance(self.kind, Several) else fitting[:1])


def _computed(guess: Any) -> dict[str, float]:
    return {"logistic": 1 / (1 + math.exp(-max(-700.0, min(700.0, guess))))} if isinstance(guess, float) else {}
