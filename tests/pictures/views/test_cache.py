"""The cache view: its sizes are those of transformers' own cache, and its words count the steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache, LlamaConfig

from course_utils.pictures.views import cache
from course_utils.pictures.views.cache import LENGTHS
from tests.pictures.views.examples import TOKENS
from tests.pictures.views.examples import cache as example


def test_the_size_is_that_of_transformers_own_cache() -> None:
    """Two layers, of 2 keys and values of 8 numbers, after 6 tokens."""
    held = DynamicCache(config=LlamaConfig(num_hidden_layers=2))
    for layer in range(2):
        held.update(torch.zeros(1, 2, 6, 8), torch.zeros(1, 2, 6, 8), layer)
    own = sum(one.keys.nbytes + one.values.nbytes for one in held.layers)
    words = cache(TOKENS, 3, [None, None], 4, 2, 8).words
    assert (
        f"The cache of 6 tokens holds {own:,} bytes, with keys and values for every head it would be {2 * own:,}"
        in words
    )


def test_words_count_what_is_computed() -> None:
    assert example().words == (
        "Key/value cache. The prompt's 3 tokens are computed in one step, then 3 steps compute one token each; without "
        "a cache those steps would compute 15. The cache of 6 tokens holds 1,280 bytes, with keys and values for every "
        "head it would be 2,560; 2 of 3 layers forget what is 3 tokens back."
    )
    plain = cache(TOKENS, 6, [None], 2, 2, 8).words
    assert "0 steps" in plain and "every head" not in plain and "forget" not in plain


def test_the_still_shows_the_size_over_the_length() -> None:
    axes: Any = cache(TOKENS, 3, [None], 4, 2, 8, 2).still().axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([2 * n * 2 * 8 * 2 / 1e6 for n in LENGTHS])
    assert len(axes.lines) == 2


def test_what_does_not_fit_is_named() -> None:
    refused: list[tuple[tuple[Any, ...], str]] = [
        ((TOKENS, 0, [None], 4, 2, 8), "prompt_length is 0; expected 1 to 6"),
        ((TOKENS, 7, [None], 4, 2, 8), "prompt_length is 7; expected 1 to 6"),
        ((TOKENS, 3, [], 4, 2, 8), r"windows is \[\]; expected for each layer"),
        ((TOKENS, 3, [None, 0], 4, 2, 8), r"windows is \[None, 0\]"),
        ((TOKENS, 3, [None], 4, 3, 8), "4 heads with 3 keys and values"),
        ((TOKENS, 3, [None], 0, 1, 8), "0 heads"),
        ((TOKENS, 3, [None], 4, 0, 8), "with 0 keys and values"),
        ((TOKENS, 3, [None], 4, 2, 0), "0 wide"),
        ((TOKENS, 3, [None], 4, 2, 8, 0), "0 bytes a number"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            cache(*arguments)
