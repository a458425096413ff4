"""The lens: what would be predicted at each depth and position, and the rank of a token on the way up (lesson 4)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values, heatmap
from course_utils.pictures.views.packing import checked, readable, rounded
from course_utils.pictures.views.view import View


@dataclass(frozen=True)
class LensTable:
    """What one lens reads.

    Attributes:
        top: the most probable next tokens, best first: [depth][position][place] as texts.
        probability: theirs, (depth, position, place).
        ranks: of each followed token its rank, 1 for the best, (depth, position).
    """

    top: Sequence[Sequence[Sequence[str]]]
    probability: Values
    ranks: Mapping[str, Values] = field(default_factory=dict)


def lens(tokens: Sequence[str], lenses: Mapping[str, LensTable], vocabulary: int) -> View:
    """Depth by position to point at: the best tokens there, with their probabilities, and the ranks of chosen ones.

    Args:
        tokens: of the prompt, (position,).
        lenses: by name, to switch between; all of the same depths and with the same followed tokens.
        vocabulary: how many tokens the model knows.

    Raises:
        ValueError: there is no token or no lens, shapes or followed tokens do not fit together, or a number is not
            finite.
    """
    if not tokens or not lenses:
        raise ValueError("The lens view got nothing to show; give the prompt's tokens and at least one lens.")
    first = next(iter(lenses.values()))
    follow = list(first.ranks)
    index: dict[str, int] = {}
    read = []
    for name, table in lenses.items():
        if list(table.ranks) != follow:
            raise ValueError(f"The lens {name!r} follows {list(table.ranks)}; expected {follow}, as the first does.")
        depths, places = len(first.top), len(first.top[0][0])
        probability = checked(table.probability, f"The probability of {name!r}", (depths, len(tokens), places))
        if [tuple(map(len, row)) for row in table.top] != [(places,) * len(tokens)] * depths:
            raise ValueError(f"The lens {name!r} has tokens of another shape than {probability.shape}.")
        read.append(
            {
                "name": name,
                "top": [[[index.setdefault(word, len(index)) for word in best] for best in row] for row in table.top],
                "probability": rounded(1000 * probability, 0),
                "ranks": [
                    rounded(checked(ranks, f"The ranks of {token!r}", (depths, len(tokens))), 0)
                    for token, ranks in table.ranks.items()
                ],
            }
        )
    data: dict[str, Any] = {
        "title": "Logit lens",
        "tokens": list(tokens),
        "vocabulary": list(index),
        "size": int(vocabulary),
        "follow": follow,
        "lenses": read,
    }
    return View("lens", data, _words(data), functools.partial(_still, data))


def _words(data: dict[str, Any]) -> str:
    """What the first lens reads after the last token: the answer, and from which depth on it leads."""
    first = data["lenses"][0]
    best = [row[-1][0] for row in first["top"]]
    leads = len(best) - 1
    while leads and best[leads - 1] == best[-1]:
        leads -= 1
    share = first["probability"][-1][-1][0] / 10
    said = (
        f"{data['title']}, {len(best)} depths by {len(data['tokens'])} tokens, {first['name']}. After the last token "
        f"the model says {readable(data['vocabulary'][best[-1]])} ({share:z.0f} %); that leads from depth {leads} on."
    )
    for token, ranks in zip(data["follow"], first["ranks"], strict=True):
        first_best = next((depth for depth, row in enumerate(ranks) if row[-1] == 1), None)
        if first_best is None:
            said += f" {readable(token)} is never first."
        else:
            said += f" {readable(token)} is first at depth {first_best}."
    return said


def _still(data: dict[str, Any]) -> Picture:
    first = data["lenses"][0]
    words = [[readable(data["vocabulary"][best[0]])[:9] for best in row] for row in first["top"]]
    share = np.array(first["probability"], dtype=float)[:, :, 0] / 1000
    return heatmap(
        share, f"{data['title']}: the most probable next token", "token", "depth",
        x_labels=data["tokens"], annotate=words, limit=1.0, bottom_up=True, colour_label="probability",
    )  # fmt: skip
