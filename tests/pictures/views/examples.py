"""One example of every view, of random numbers: small, with all that the view can show."""

from __future__ import annotations

from collections.abc import Callable

import torch

from course_utils.pictures import views
from course_utils.pictures.views import View

TOKENS = ["The", " old", " man", "\n", " sang", " a$b"]
OTHER = ["The", " young", " man", "\n", " sang", " a$b"]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def causal_patterns(layers: int, heads: int, count: int, seed: int = 0) -> torch.Tensor:
    """Attention weights (layer, head, query, key), none of them ahead."""
    scores = 2 * draw(layers, heads, count, count, seed=seed)
    ahead = torch.ones(count, count).triu(1).bool()
    return scores.masked_fill(ahead, -torch.inf).softmax(-1)


def pair(seed: int = 0, label: str = "first pair") -> views.PatchedPair:
    layers, heads = 5, 4
    alone, direct = 2 * draw(layers, heads, seed=seed), 2 * draw(layers, heads, seed=seed + 1)
    patterns = causal_patterns(layers, heads, len(TOKENS), seed)
    return views.PatchedPair(
        label,
        11.43,
        {"patched alone": alone, "direct": direct, "through others": alone - direct},
        {"clean": TOKENS, "corrupted": OTHER},
        {"clean": patterns[:, :, -1], "corrupted": patterns.flip(1)[:, :, -1]},
        draw(layers, heads, len(TOKENS), seed=seed + 2),
    )


def patching_map() -> View:
    return views.patching_map([pair(), pair(7, "second pair")], copy=3 * draw(5, 4, seed=3))


def lens_table(seed: int) -> views.LensTable:
    depths, count, best = 6, len(TOKENS), 3
    top = [
        [[f" word{(depth + position + place) % 7}" for place in range(best)] for position in range(count)]
        for depth in range(depths)
    ]
    shares = draw(depths, count, 10, seed=seed).softmax(-1).sort(-1, descending=True).values[..., :best]
    ranks = (draw(depths, count, seed=seed + 1).abs() * 20_000).long() + 1
    return views.LensTable(top, shares, {" word1": ranks, " word2": ranks.flip(0)})


def lens() -> View:
    return views.lens(TOKENS, {"logit lens": lens_table(0), "fitted lens": lens_table(5)}, 100_000)


def attention() -> View:
    return views.attention(causal_patterns(3, 4, len(TOKENS)), TOKENS, key_value_heads=2, start=(1, 2))


EXAMPLES: dict[str, Callable[[], View]] = {"patching_map": patching_map, "lens": lens, "attention": attention}
