"""Exercise 3.9: break the claim that a layer is right because it decodes like the whole text."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils.exercises.kv_cache.attention_in_steps import CachedAttentionInSteps, Held
from course_utils.exercises.kv_cache.known_layer import known_layer, random_inputs, random_sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import breaking_pieces

N = 9
"""Positions of the text that is cut into pieces."""

# The layers. Each is right for a prompt and then one token at a time, or nearly; one is right always.


class _FromTheStart(CachedAttentionInSteps):
    """Aligns the triangle to the first key where there are several new positions, and needs none for one."""

    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        allowed = torch.ones(n_new, n_keys, dtype=torch.bool)
        return allowed.tril() if n_new > 1 else allowed


class _NoneBehindACache(CachedAttentionInSteps):
    """Masks the prompt alone: behind a cache new positions see those after them."""

    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        return super().causal(n_new, n_keys) if n_keys == n_new else torch.ones(n_new, n_keys, dtype=torch.bool)


class _PromptForgotten(CachedAttentionInSteps):
    """Keeps one position too few when several come behind what is held."""

    def kept(self, new: Held, whole: Held) -> Held:
        n_new, n_keys = new[0].shape[-2], whole[0].shape[-2]
        return tuple(tensor[..., 1:, :] for tensor in whole) if 1 < n_new < n_keys else whole


LAYERS = {
    "a layer whose triangle starts at the first key": _FromTheStart,
    "a layer that masks the prompt alone": _NoneBehindACache,
    "a layer that loses a position": _PromptForgotten,
    "a layer that is right": CachedAttentionInSteps,
}


def _layers(rng: random.Random) -> list[Case]:
    return [Case(name, (name, *random_sizes(rng))) for name in LAYERS]


def _measured(answer: Any, name: str, d_model: int, n_heads: int, seed: int) -> dict[str, bool]:
    """What came back for this layer, for each property whether it holds."""
    layer, x = known_layer(LAYERS[name], d_model, n_heads, seed), random_inputs(seed, 1, N, d_model)
    with torch.no_grad():
        pieces = answer(layer, x)
        whole, _ = layer(x, is_causal=True)
        given = pieces is not None
        lengths = (
            isinstance(pieces, list | tuple) and all(type(n) is int and n > 0 for n in pieces) and sum(pieces) == N
        )
        parted = False
        if lengths:
            layer.clear_cache()
            outputs = [layer(piece, is_causal=True, use_cache=True)[0] for piece in x.split(list(pieces), dim=1)]
            parted = not torch.allclose(torch.cat(outputs, dim=1), whole, atol=1e-3)
    return {"pieces were found": given, "they sum to the text": lengths, "the layer breaks on them": parted}


# What learners do instead.


def _one_at_a_time(layer: Any, x: torch.Tensor) -> list[int] | None:
    return [1] * x.shape[1]


def _prompt_then_one_at_a_time(layer: Any, x: torch.Tensor) -> list[int] | None:
    return None


def _not_the_whole_text(layer: Any, x: torch.Tensor) -> list[int] | None:
    return [2, 3]


EXERCISE = Exercise(
    id="3.9",
    title="Break our claim",
    minutes=20,
    points=4,
    difficulty=2,
    reference=breaking_pieces,
    drive=_measured,
    draw=_layers,
    shows="Four layers pass the same test and three are wrong: a test proves nothing about inputs that it does not have.",
    hints=(
        Hint(
            "what the test has not",
            "It never feeds several positions to a cache that is not empty. And what comes after such a chunk?",
        ),
        Hint(
            "one trial",
            "`layer.clear_cache()`, then `layer(piece, is_causal=True, use_cache=True)[0]` for each piece of "
            "`x.split(pieces, dim=1)`; put the outputs together and hold them against `layer(x, is_causal=True)[0]`.",
        ),
        Hint(
            "which cuts",
            "A chunk right behind a prompt; a chunk and then single positions. If none of a handful of cuts breaks the "
            "layer, return None.",
        ),
    ),
    mistakes=(
        Mistake(
            "always the same pieces",
            _one_at_a_time,
            "Single positions do not break this layer, and one of the four is right: run it before you say so.",
        ),
        Mistake(
            "nothing found",
            _prompt_then_one_at_a_time,
            "You found nothing, and there is something to find: feed several positions to a cache that is not empty.",
        ),
        Mistake(
            "not the whole text",
            _not_the_whole_text,
            "The pieces must be lengths above 0 that sum to the number of positions.",
        ),
    ),
)
