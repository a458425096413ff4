"""The key/value cache: prefill and decode step by step, what is computed, what is read, and its size (lesson 3)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from course_utils.pictures.plots import Picture, lines
from course_utils.pictures.views.view import View

LENGTHS = (16, 128, 1024, 8192, 32_000, 65_536)  # tokens whose cache the view compares; lesson 3 asks about 32,000


def cache(
    tokens: Sequence[str],
    prompt_length: int,
    windows: Sequence[int | None],
    heads: int,
    key_value_heads: int,
    head_width: int,
    bytes_per_number: int = 4,
) -> View:
    """A text as a model with a cache writes it: the prompt in one step, then one token a step.

    Args:
        tokens: of the prompt and of what was written after it.
        prompt_length: how many of them are the prompt's.
        windows: for each layer the width of its sliding window in tokens, or None where it sees everything.
        heads, key_value_heads: of a layer; so many heads read, so many keys and values are kept.
        head_width: numbers in one head's key.

    Raises:
        ValueError: the prompt is empty or longer than the text, there is no layer, the heads do not divide into the
            keys and values, or a size is less than 1.
    """
    if not 1 <= prompt_length <= len(tokens):
        raise ValueError(f"prompt_length is {prompt_length}; expected 1 to {len(tokens)}, the number of tokens.")
    if not windows or any(window is not None and window < 1 for window in windows):
        raise ValueError(f"windows is {list(windows)}; expected for each layer None, or a width of at least 1.")
    if min(key_value_heads, head_width, bytes_per_number) < 1 or heads < 1 or heads % key_value_heads:
        raise ValueError(
            f"{heads} heads with {key_value_heads} keys and values, {head_width} wide, {bytes_per_number} bytes a "
            "number: sizes are 1 or more, and the heads divide evenly."
        )
    data: dict[str, Any] = {
        "title": "Key/value cache",
        "tokens": list(tokens),
        "prompt_length": prompt_length,
        "windows": list(windows),
        "heads": heads,
        "key_value_heads": key_value_heads,
        "head_width": head_width,
        "bytes_per_number": bytes_per_number,
        "lengths": list(LENGTHS),
    }
    return View("cache", data, _words(data), functools.partial(_still, data))


def _size(data: dict[str, Any], count: int, every_head: bool = False) -> int:
    """The bytes of the cache of so many tokens; a window's own next token is in it, so it keeps one less."""
    kept = sum(count if window is None else min(count, window - 1) for window in data["windows"])
    heads = data["heads"] if every_head else data["key_value_heads"]
    return 2 * kept * heads * data["head_width"] * data["bytes_per_number"]


def _words(data: dict[str, Any]) -> str:
    count, prompt = len(data["tokens"]), data["prompt_length"]
    steps = count - prompt
    without = sum(range(prompt + 1, count + 1))  # each step the whole text so far
    said = (
        f"{data['title']}. The prompt's {prompt} tokens are computed in one step, then {steps} steps compute one token "
        f"each; without a cache those steps would compute {without}. The cache of {count} tokens holds "
        f"{_size(data, count):,} bytes"
    )
    if data["heads"] > data["key_value_heads"]:
        said += f", with keys and values for every head it would be {_size(data, count, True):,}"
    windowed = [window for window in data["windows"] if window is not None]
    if windowed:
        said += f"; {len(windowed)} of {len(data['windows'])} layers forget what is {min(windowed)} tokens back"
    return said + "."


def _still(data: dict[str, Any]) -> Picture:
    megabytes = {"as it is": [_size(data, count) / 1e6 for count in data["lengths"]]}
    if data["heads"] > data["key_value_heads"]:
        megabytes["with keys and values for every head"] = [_size(data, n, True) / 1e6 for n in data["lengths"]]
    return lines(megabytes, f"{data['title']}: size", "tokens", "MB", x=data["lengths"], log_x=True, log_y=True)
