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


LOGITS = 3 * draw(2_000, seed=4)


def next_token() -> View:
    best = LOGITS.topk(50).indices.tolist()
    return views.next_token("The old man", LOGITS, [f" word{id}" for id in best])


TEXT = "A café, or 12 €?"


def by_characters(text: str) -> list[tuple[int, bytes]]:
    return [(ord(character), character.encode()) for character in text]


def by_words(text: str) -> list[tuple[int, bytes]]:
    """Words with their space in front; numbered by their length, and one character parted into its bytes."""
    found: list[tuple[int, bytes]] = []
    for word in text.replace(" ", "\0 ").split("\0"):
        whole = word.encode()
        found += [(1_000 + byte, bytes([byte])) for byte in whole] if "€" in word else [(len(word), whole)] * bool(word)
    return found


def tokens() -> View:
    beginnings = [TEXT[:length] for length in range(1, len(TEXT) + 1)]
    cuts = {"words": list(map(by_words, beginnings)), "characters": list(map(by_characters, beginnings))}
    return views.tokens(TEXT, cuts, {"words": torch.arange(len(cuts["words"][-1]) - 1) + 0.25})


LAYERS, STRENGTHS = [2, 5, 11], [-1.0, -0.5, 0.0, 0.5, 1.0]
ODDS, DAMAGE = draw(3, 5, seed=8), draw(3, 5, seed=9).exp()
BAND = torch.stack([-draw(3, 5, seed=10).abs(), draw(3, 5, seed=11).abs()])


def steering() -> View:
    texts = [[f" text at layer {layer}, {strength:+}" for strength in STRENGTHS] for layer in LAYERS]
    measures = {"log-odds": ODDS, "perplexity": DAMAGE}
    return views.steering(LAYERS, STRENGTHS, texts, measures, {"log-odds": BAND}, "The film is")


def cache() -> View:
    return views.cache(TOKENS, 3, [None, 3, 3], heads=4, key_value_heads=2, head_width=8)


def by_hand() -> View:
    steps = [
        views.Step("comes in", "x", draw(16), "The token's vector."),
        views.Step("queries", "x @ q.T", 30 * draw(4, 8, seed=1)),
        views.Step("one number", "x.norm()", torch.tensor(0.12345)),
    ]
    return views.by_hand(steps)


PARTS = [
    views.CircuitPart("17.4", 17, "Finds the second name."),
    views.CircuitPart("19.2", 19),
    views.CircuitPart("20.0", 20),
    views.CircuitPart("23.0", 23),
    views.CircuitPart("23.3", 23, "Lowers what it reads."),
    views.CircuitPart("logits", 30),
]
PATHS = [
    views.CircuitPath("17.4", "19.2", 0.62, (0.4, 0.84), 0.05),
    views.CircuitPath("17.4", "20.0", 1.01, (0.8, 1.22), 0.0, "Through the value."),
    views.CircuitPath("19.2", "23.0", 0.3, (-0.1, 0.7), 0.3),
    views.CircuitPath("20.0", "23.0", 1.06, (0.9, 1.22)),
    views.CircuitPath("20.0", "23.3", -0.04, None, 0.06),
    views.CircuitPath("23.0", "logits", 1.4),
    views.CircuitPath("23.3", "logits", -1.4),
]


def circuit() -> View:
    return views.circuit(PARTS, PATHS, "Who speaks to whom", "logits", "two standard errors", "best of eight others")


EXAMPLES: dict[str, Callable[[], View]] = {
    "attention": attention,
    "by_hand": by_hand,
    "cache": cache,
    "circuit": circuit,
    "lens": lens,
    "next_token": next_token,
    "patching_map": patching_map,
    "steering": steering,
    "tokens": tokens,
}
