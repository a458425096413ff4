"""Exercise 3.9: break the claim that a layer is right because it decodes what the whole text gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils.exercises.forms import INTEGERS
from course_utils.exercises.kv_cache.four_layers import FOUR_LAYERS
from course_utils.exercises.kv_cache.known_layer import known_layer, random_inputs, random_sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import breaking_pieces

N = 9
"""Positions of the text that is cut into pieces."""


def _layers(rng: random.Random) -> list[Case]:
    return [Case(f"layer {name}", (name, *random_sizes(rng))) for name in FOUR_LAYERS]


def _measured(answer: Any, name: str, d_model: int, n_heads: int, seed: int) -> dict[str, bool]:
    """What came back for this layer, for each property whether it holds."""
    layer, x = known_layer(FOUR_LAYERS[name], d_model, n_heads, seed), random_inputs(seed, 1, N, d_model)
    with torch.no_grad():
        pieces = answer(layer, x)
        cut = isinstance(pieces, list) and all(isinstance(n, int) and n > 0 for n in pieces)
        cut = cut and sum(pieces) == N
        return {
            "pieces were found": pieces is not None,
            "they are a cut of the text": cut,
            "the layer breaks on them": cut and _parts(layer, x, pieces),
        }


def _parts(layer: Any, x: torch.Tensor, pieces: Sequence[int]) -> bool:
    """Whether a layer's output on these pieces is another than on the whole."""
    layer.clear_cache()
    whole, _ = layer(x, is_causal=True)
    outputs = [layer(piece, is_causal=True, use_cache=True)[0] for piece in x.split(list(pieces), dim=1)]
    return not torch.allclose(torch.cat(outputs, dim=1), whole, atol=1e-3)


# What learners do instead.


def _always_single_tokens(layer: Any, x: torch.Tensor) -> list[int] | None:
    return [1] * x.shape[1]


def _ends_with_the_chunk(layer: Any, x: torch.Tensor) -> list[int] | None:
    n = x.shape[1]
    return next((cut for cut in ([n // 2, n - n // 2], [1, n - 1], [n - 2, 2]) if _parts(layer, x, cut)), None)


def _finds_nothing(layer: Any, x: torch.Tensor) -> list[int] | None:
    return None


def _part_of_the_text(layer: Any, x: torch.Tensor) -> list[int] | None:
    return [2, 3] if breaking_pieces(layer, x) else None


def _part_for_every_layer(layer: Any, x: torch.Tensor) -> list[int] | None:
    return [2, 3]


NO_CUT = "The pieces must be lengths above 0 which together are all positions of x: not places, and not a part of it."

EXERCISE = Exercise(
    id="3.9",
    title="Break our claim",
    minutes=20,
    points=4,
    difficulty=2,
    reference=breaking_pieces,
    drive=_measured,
    returns=INTEGERS,
    draw=_layers,
    shows="Four layers pass the same test, and three are wrong: no test speaks of inputs that it does not have.",
    hints=(
        Hint(
            "what the test has not",
            "It never gives several positions to a cache that is not empty. And who looks at the cache after that?",
        ),
        Hint(
            "one trial",
            "`layer.clear_cache()`, then `layer(piece, is_causal=True, use_cache=True)[0]` for each piece of "
            "`x.split(pieces, dim=1)`; put the outputs together and hold them against `layer(x, is_causal=True)[0]` "
            "with `torch.allclose(..., atol=1e-3)`.",
        ),
        Hint(
            "which cuts",
            "A prompt and a chunk; a prompt, a chunk and one more token. Try a handful, return the first that breaks "
            "the layer, and None if none does.",
        ),
    ),
    mistakes=(
        Mistake(
            "pieces that do not break it",
            _always_single_tokens,
            "This layer is right on these pieces. Run each trial, with an empty cache at its start, before you say "
            "that it fails; one of the four layers never does.",
        ),
        Mistake(
            "ends with the chunk",
            _ends_with_the_chunk,
            "A chunk at the end of the text shows what the chunk sees, not what it leaves behind in the cache: let "
            "something come after it.",
        ),
        Mistake(
            "nothing found",
            _finds_nothing,
            "There is a cut that breaks it: give several positions to a cache that is not empty.",
        ),
        Mistake("not the whole text", _part_of_the_text, NO_CUT),
        Mistake("not the whole text, for every layer", _part_for_every_layer, NO_CUT),
    ),
)
