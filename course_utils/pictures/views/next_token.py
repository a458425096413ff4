"""The next token: the distribution, what temperature, top-k and top-p make of it, and a die to throw (lesson 1)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values, bars
from course_utils.pictures.views.packing import checked, readable, rounded
from course_utils.pictures.views.view import View

SHOWN = 12  # rows of the list
STEP = 0.05  # width in logits of the bins into which the tokens without a name fall


def next_token(prompt: str, logits: Values, words: Sequence[str]) -> View:
    """What comes next, under sliders: temperature first, then top-k, then top-p, as transformers has them.

    Args:
        logits: of the whole vocabulary, (vocabulary,), in any order.
        words: the texts of the tokens with the greatest logits, best first; at least twelve of them, or all there are.
            Only those have a name in the view, all count.

    Raises:
        ValueError: there are fewer words than are shown or more than tokens, or a logit is not finite.
    """
    ordered = -np.sort(-checked(logits, "logits", ("vocabulary",)))
    ordered -= ordered[0]
    if not min(SHOWN, len(ordered)) <= len(words) <= len(ordered):
        raise ValueError(
            f"There are {len(words)} words for {len(ordered)} logits; expected {min(SHOWN, len(ordered))} or more, "
            "those of the greatest logits."
        )
    rest = ordered[len(words) :]
    bins = np.round((rest[0] - rest) / STEP).astype(int) if len(rest) else np.zeros(0, dtype=int)
    data: dict[str, Any] = {
        "title": "Next token",
        "prompt": prompt,
        "words": list(words),
        "logits": rounded(ordered[: len(words)], 3),  # below the greatest
        "rest": {"start": float(np.round(rest[0], 3)) if len(rest) else 0.0, "step": STEP,
                 "counts": np.bincount(bins).tolist() if len(rest) else []},
    }  # fmt: skip
    return View("next_token", data, _words(data), functools.partial(_still, data))


def _probabilities(data: dict[str, Any]) -> np.ndarray:
    """Those of the named tokens at temperature 1, (word,)."""
    rest = data["rest"]
    below = rest["start"] - rest["step"] * np.arange(len(rest["counts"]))
    named = np.exp(np.array(data["logits"]))
    return named / (named.sum() + float(np.dot(rest["counts"], np.exp(below))))


def _words(data: dict[str, Any]) -> str:
    shares = _probabilities(data)
    named = ", ".join(f"{readable(w)} {100 * p:z.0f} %" for w, p in zip(data["words"][:3], shares[:3], strict=True))
    count = len(data["words"]) + sum(data["rest"]["counts"])
    half = int((np.cumsum(shares) < 0.5).sum()) + 1
    enough = "the first alone has" if half == 1 else f"it takes {half} to have" if half < len(shares) else "many share"
    return (
        f"{data['title']} after “{readable(data['prompt'])}”: {named}. "
        f"Of {count:,} tokens {enough} half of the probability."
    )


def _still(data: dict[str, Any]) -> Picture:
    shares = _probabilities(data)[:SHOWN]
    return bars(data["words"][:SHOWN], shares, f"{data['title']} after “{data['prompt']}”", "probability")
