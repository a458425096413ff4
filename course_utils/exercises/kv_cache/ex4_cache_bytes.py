"""Exercise 3.4: what a cache weighs."""

from __future__ import annotations

import random
from typing import Any

from course_utils.exercises.drawing import tiny_pair, told
from course_utils.exercises.forms import INTEGER
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.kv_cache import CacheShape, cache_bytes
from course_utils.model.anatomy import anatomy


def _cases(rng: random.Random) -> list[Case]:
    window = rng.randint(5, 20)
    kv_heads = rng.randint(2, 5)
    windowed = {
        # One of them is wider than the text.
        "windows": [*rng.choices((None, window), k=rng.randint(3, 8)), window, None, rng.randint(200, 900)],
        "n_heads": kv_heads * rng.randint(2, 4),
        "n_kv_heads": kv_heads,
        "head_width": 8 * rng.randint(1, 8),
    }
    named: list[tuple[str, Any]] = [
        *((told(model), model) for model in (*tiny_pair(rng, "tiny-llama", "tiny-gemma3"), Model())),
        ("a shape with windows", windowed),
    ]
    cases = [Case(label, (shape, rng.randint(30, 90), rng.randint(2, 5), rng.choice((2, 3)))) for label, shape in named]
    wrong = {
        "one token less than none": (-1, 1, 4),
        "a negative number of tokens": (-rng.randint(2, 9), 1, 4),
        "no text": (5, 0, 4),
        "a negative number of texts": (5, -rng.randint(1, 3), 4),
        "numbers of no bytes": (5, 1, 0),
        "a negative number of texts, and of bytes": (5, -1, -rng.randint(1, 4)),
    }
    return [
        *cases,
        Case("a shape with windows, batch and bytes left out", (windowed, rng.randint(30, 90))),
        Case("no token yet, one text, numbers of one byte", (windowed, 0, 1, 1)),
        Case("one token, one text, numbers of one byte", (windowed, 1, 1, 1)),
        *(Case(label, (windowed, *sizes), raises=True) for label, sizes in wrong.items()),
    ]


def _use(answer: Any, model: Any, *sizes: Any) -> Any:
    """``model``: a model, or the numbers of a shape by name."""
    if isinstance(model, dict):
        return answer(CacheShape(**{**model, "windows": tuple(model["windows"])}), *sizes)
    return answer(anatomy(model), *sizes)


# What learners do instead.


def _one_layer(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return 2 * batch * n_tokens * shape.n_kv_heads * shape.head_width * bytes_per_number


def _no_windows(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return len(shape.windows) * _one_layer(shape, n_tokens, batch, bytes_per_number)


def _whole_window(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    kept = (n_tokens if window is None else min(n_tokens, window) for window in shape.windows)
    return sum(_one_layer(shape, n, batch, bytes_per_number) for n in kept)


def _keys_only(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return cache_bytes(shape, n_tokens, batch, bytes_per_number) // 2


def _query_heads(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return cache_bytes(shape, n_tokens, batch, bytes_per_number) // shape.n_kv_heads * shape.n_heads


def _numbers(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return cache_bytes(shape, n_tokens, batch, 1)


def _one_text(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return cache_bytes(shape, n_tokens, 1, bytes_per_number)


def _two_bytes(shape: CacheShape, n_tokens: int, batch: int = 1, bytes_per_number: int = 2) -> int:
    return cache_bytes(shape, n_tokens, batch, bytes_per_number)


def _two_texts(shape: CacheShape, n_tokens: int, batch: int = 2, bytes_per_number: int = 4) -> int:
    return cache_bytes(shape, n_tokens, batch, bytes_per_number)


EXERCISE = Exercise(
    id="3.4",
    title="What a cache weighs",
    minutes=10,
    points=3,
    difficulty=1,
    reference=cache_bytes,
    drive=_use,
    returns=INTEGER,
    draw=_cases,
    shows="Layers, key/value heads, head width, positions, two tensors, bytes for each number: that is all of it.",
    hints=(
        Hint(
            "one layer, one token",
            "One key and one value, each of `n_kv_heads * head_width` numbers.",
        ),
        Hint(
            "layers",
            "`len(shape.windows)` is their number. Where the window is None a layer holds `n_tokens` positions, "
            "elsewhere `min(n_tokens, window - 1)`.",
        ),
    ),
    mistakes=(
        Mistake(
            "another number of bytes by itself",
            _two_bytes,
            "A number has 4 bytes where nothing else is said: leave the default of the stub.",
        ),
        Mistake(
            "another batch by itself", _two_texts, "There is one text where nothing else is said: leave the default."
        ),
        Mistake(
            "values forgotten",
            _keys_only,
            "This is half of it: there is a value for each key.",
        ),
        Mistake(
            "query heads counted",
            _query_heads,
            "You counted the query heads. Several query heads share a key/value head: use n_kv_heads.",
        ),
        Mistake(
            "windows ignored",
            _no_windows,
            "A layer with a sliding window does not keep what it can no longer see.",
        ),
        Mistake(
            "whole window kept",
            _whole_window,
            "One position too many in each windowed layer: the next token is itself in its window, so window - 1 old "
            "ones are enough.",
        ),
        Mistake(
            "numbers, not bytes",
            _numbers,
            "These are numbers, not bytes: multiply by bytes_per_number.",
        ),
        Mistake(
            "batch forgotten",
            _one_text,
            "This is one text: each text of the batch has keys and values of its own.",
        ),
        Mistake(
            "one layer",
            _one_layer,
            "This is one layer without a window: every layer has a cache.",
        ),
    ),
)
