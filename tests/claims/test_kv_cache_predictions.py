"""What is said of guesses in lesson 3, and the answers that it reveals."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch

from course_utils.exercises.kv_cache.four_layers import FOUR_LAYERS
from course_utils.kv_cache import (
    ScaledDotProductAttentionWithCache,
    breaking_pieces,
    cache_bytes,
    causal_mask,
    encode,
    filled_cache,
    new_cache,
    score_endings,
)
from course_utils.model.anatomy import anatomy
from tests.claims.predicted import Claims, Truths, three_tests_of

EIFFEL = "The Eiffel Tower is in the city of"
LONGER = EIFFEL + " Paris, and the Colosseum is in"
FRANCE, ITALY, BANANAS = " Paris, the capital of France", " Rome, the capital of Italy", " Paris. I like bananas"


@cache
def moved_layers(model: Any, longer: str) -> list[int]:
    """The layers in which a key of the first tokens moves when the text goes on, or begins otherwise."""
    before, after = filled_cache(model, EIFFEL), filled_cache(model, longer)
    n = before.get_seq_length()
    pairs = zip(before.layers, after.layers, strict=True)
    return [i for i, (old, new) in enumerate(pairs) if (old.keys - new.keys[:, :, :n]).abs().max() > 1e-3]


def largest_weight(divisor: float, width: int = 64) -> float:
    generator = torch.Generator().manual_seed(1)
    queries, keys = (torch.randn(n, width, generator=generator) for n in (500, 20))
    return float((queries @ keys.T / divisor).softmax(dim=-1).max(dim=-1).values.mean())


def spread(width: int) -> float:
    generator = torch.Generator().manual_seed(2)
    one, other = (torch.randn(20_000, width, generator=generator) for _ in range(2))
    return float((one * other).sum(dim=-1).std())


def parameters(model: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model._module.parameters())


def numbers_a_token(model: Any) -> int:
    """From the cache itself: what one token leaves behind."""
    held = filled_cache(model, EIFFEL)
    return sum(x.numel() for layer in held.layers for x in (layer.keys, layer.values)) // held.get_seq_length()


@cache
def read_twice(model: Any) -> list[int]:
    held, sizes, text = new_cache(model), [], encode(model, EIFFEL)
    for _ in range(3):
        with torch.no_grad():
            logits = model._module(text, past_key_values=held, use_cache=True).logits
        sizes.append(held.get_seq_length())
        text = torch.cat([text, logits[:, -1:].argmax(dim=-1)], dim=1)
    return sizes


@cache
def second_score(model: Any, first: str) -> float:
    """The second ending's log-probability behind the prompt and a first ending, by one plain run."""
    front, ending = encode(model, EIFFEL + first), encode(model, ITALY, beginning=False)
    ids = torch.cat([front, ending], dim=1)
    with torch.no_grad():
        logs = model._module(ids).logits.log_softmax(dim=-1)[0]
    # Read with one cache, the first token of the ending is still predicted from the prompt alone.
    with torch.no_grad():
        at_prompt = model._module(encode(model, EIFFEL)).logits.log_softmax(dim=-1)[0, -1]
    n = front.shape[1]
    rest = logs[n : n + ending.shape[1] - 1].gather(1, ending[0, 1:, None]).sum()
    return float(at_prompt[ending[0, 0]] + rest)


def clean_score(model: Any) -> float:
    return score_endings(model, EIFFEL, [FRANCE, ITALY])[1]


@cache
def unbroken(_: Any) -> list[str]:
    torch.manual_seed(0)
    x = torch.randn(1, 12, 32)
    with torch.no_grad():
        return [
            name
            for name, kind in FOUR_LAYERS.items()
            if breaking_pieces(cast(Any, kind(d_model=32, n_heads=4).eval()), x) is None
        ]


def counted_keys(pieces: list[int]) -> int:
    """How many keys a layer with a cache computes for a text that is cut into these pieces."""
    layer = ScaledDotProductAttentionWithCache(d_model=32, n_heads=4).eval()
    counts: list[int] = []
    handle = layer.W_k.register_forward_hook(lambda module, inputs, output: counts.append(output.shape[1]))
    with torch.no_grad():
        for n in pieces:
            layer(torch.randn(1, n, 32), is_causal=True, use_cache=True)
    handle.remove()
    return sum(counts)


TRUTHS: Truths = {
    "3.0": lambda m: len(moved_layers(m, LONGER)),
    "3.1": lambda m: "more peaked" if largest_weight(1) > largest_weight(8) else "more even",
    "3.2": lambda m: sum(j <= 4 + i for i in range(3) for j in range(7)),
    "3.3": lambda m: counted_keys([4, 3, 1]),
    "3.4": lambda m: "the cache" if 4 * 32_000 * numbers_a_token(m) > parameters(m) else "the parameters",
    "3.5": lambda m: read_twice(m)[-1],
    "3.6": lambda m: "it gets better" if second_score(m, FRANCE) > clean_score(m) else "it gets worse",
    "3.9": lambda m: len(unbroken(m)),
}

CLAIMS: Claims = {
    "3.0": {
        "all": lambda m: not moved_layers(m, LONGER) and bool(moved_layers(m, LONGER.replace("Tower", "Bridge"))),
        "all but the first": lambda m: 29 not in moved_layers(m, LONGER),
        "the upper ones": lambda m: not set(range(15, 30)) & set(moved_layers(m, LONGER)),
    },
    "3.1": {
        "smaller numbers": lambda m: largest_weight(100) < largest_weight(8) < largest_weight(1),
        "softmax normalises": lambda m: torch.allclose(
            (torch.tensor([8.0, 0.0]).softmax(0)).log().diff(), 8 * torch.tensor([1.0, 0.0]).softmax(0).log().diff()
        ),
        "variance": lambda m: 7.5 < spread(64) < 8.5 and 3.7 < spread(16) < 4.3,
    },
    "3.2": {
        "all": lambda m: bool(causal_mask(1, 4).all()) and int((~causal_mask(3, 4)).sum()) == 3,
        "aligned to the start": lambda m: int(torch.ones(3, 7).tril().sum()) == 6,
        "the held ones": lambda m: (
            int(causal_mask(3, 4)[:, :4].sum()) == 12
            and int(causal_mask(3, 4)[:, 4:].sum()) == 6
        ),
        "not itself": lambda m: bool(causal_mask(3, 4)[:, 4:].diagonal().all()),
    },
    "3.3": {
        "as without a cache": lambda m: 4 + 7 + 8 == 19 > counted_keys([4, 3, 1]),
        "the last step": lambda m: counted_keys([4, 3, 1]) - counted_keys([4, 3]) == 1,
        "pairs": lambda m: 8 * 9 // 2 == 36 and 8 * 8 == 64,
        "without the prompt": lambda m: counted_keys([4]) == 4,
    },
    "3.4": {
        "135 million": lambda m: 11_000 < numbers_a_token(m) < 12_000 and 32_000 * numbers_a_token(m) > 300e6,
        "one vector a token": lambda m: cache_bytes(anatomy(m), 32_000) > 2 * parameters(m),
        "counted": lambda m: 10_500 < parameters(m) / (4 * numbers_a_token(m)) < 12_000,
    },
    "3.5": {
        "as it should be": lambda m: encode(m, EIFFEL).shape[1] == 9 and read_twice(m)[-1] > 12,
        "the prompt three times": lambda m: read_twice(m) == [9, 19, 30],
        "the prompt": lambda m: read_twice(m)[1] > read_twice(m)[0],
    },
    "3.6": {
        "separate": lambda m: abs(second_score(m, FRANCE) - clean_score(m)) > 0.3,
        "confused": lambda m: second_score(m, BANANAS) < clean_score(m) < second_score(m, FRANCE),
        "shown the pattern": lambda m: second_score(m, FRANCE) > clean_score(m),
    },
    "3.9": {
        "all": lambda m: len(unbroken(m)) < 4,
        "most": lambda m: 4 - len(unbroken(m)) > 1,
        "none": lambda m: unbroken(m) == ["C"],
    },
}  # fmt: skip


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("3", CLAIMS, TRUTHS)
