"""Tokens: a text, cut as one types, by one tokenizer or by several side by side (lesson 1)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values, new_picture, show_token
from course_utils.pictures.views.packing import checked, readable, rounded
from course_utils.pictures.views.view import View

Piece = tuple[int, bytes]
"""A token: its id, and the bytes of the text that it stands for."""


def tokens(
    text: str,
    cuts: Mapping[str, Sequence[Sequence[Piece]]],
    surprisal: Mapping[str, Values] | None = None,
) -> View:
    """A text and its tokens: their ids and bytes under the pointer, and the cut of every beginning of the text.

    Args:
        cuts: for each tokenizer by name the tokens of text[:1], text[:2], ..., and of the whole text.
        surprisal: for a tokenizer in ``cuts`` the surprisal in bits of each token of the whole text but the first.

    Raises:
        ValueError: the text is empty, there is no tokenizer, there is not one cut for each beginning, the tokens' bytes
            are not the text's, or the surprisals are not one for each token but the first.
    """
    if not text or not cuts:
        raise ValueError("The token view got nothing to show; give a text and what at least one tokenizer makes of it.")
    data: dict[str, Any] = {
        "title": "Tokens",
        "text": text,
        "tokenizers": [_cut_data(text, name, rows, (surprisal or {}).get(name)) for name, rows in cuts.items()],
    }
    return View("tokens", data, _words(data), functools.partial(_still, data))


def _cut_data(text: str, name: str, rows: Sequence[Sequence[Piece]], surprisal: Values | None) -> dict[str, Any]:
    if len(rows) != len(text):
        raise ValueError(f"{name!r} has {len(rows)} cuts; expected {len(text)}, one for each beginning of the text.")
    index: dict[Piece, int] = {}
    for length, row in enumerate(rows, start=1):
        if b"".join(piece for _, piece in row) != text[:length].encode():
            raise ValueError(f"The tokens of {name!r} do not join to {text[:length]!r}: one changes or adds something.")
    cuts = [[index.setdefault(piece, len(index)) for piece in row] for row in rows]
    bits = None
    if surprisal is not None:
        bits = [None, *rounded(checked(surprisal, f"The surprisal of {name!r}", (len(rows[-1]) - 1,)), 1)]
    pieces = [{"id": id, "bytes": piece.hex(" "), "text": _as_text(piece)} for id, piece in index]
    return {"name": name, "pieces": pieces, "cuts": cuts, "surprisal": bits}


def _as_text(piece: bytes) -> str:
    """A token's text, or its bytes where it is only a part of a character."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02x}>" for byte in piece)


def _whole(tokenizer: dict[str, Any]) -> list[str]:
    return [tokenizer["pieces"][place]["text"] for place in tokenizer["cuts"][-1]]


def _words(data: dict[str, Any]) -> str:
    said = f"{data['title']} of “{readable(data['text'])}”, {len(data['text'])} characters."
    for one in data["tokenizers"]:
        pieces = _whole(one)
        shown = " | ".join(map(readable, pieces[:12])) + (" | …" if len(pieces) > 12 else "")
        said += f" {one['name']}: {len(pieces)} tokens, {shown}."
    return said


def _still(data: dict[str, Any]) -> Picture:
    figure, axes = new_picture(9.0, 0.6 + 0.9 * len(data["tokenizers"]), len(data["tokenizers"]))
    for one, place in zip(data["tokenizers"], np.atleast_1d(axes), strict=True):
        left = 0.0
        for number, piece in enumerate(map(show_token, _whole(one))):
            place.text(
                left, 0.5, piece, family="monospace", fontsize=9, va="center",
                bbox={"facecolor": ("#DCE8F4", "#F7E3D4")[number % 2], "edgecolor": "#666666", "pad": 2},
            )  # fmt: skip
            left += len(piece) + 0.9
        place.set(xlim=(0, max(left, 60)), ylim=(0, 1))
        place.set_title(f"{one['name']}: {len(one['cuts'][-1])} tokens", fontsize=10, loc="left")
        place.axis("off")
    return figure
