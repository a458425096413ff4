"""What lesson 3 says, and the controls without which it should not."""

from __future__ import annotations

import copy
from typing import Any

import nnsight
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from course_utils.kv_cache import PUBLISHED, cache_bytes, encode, filled_cache, new_cache, score_endings
from course_utils.model.anatomy import anatomy

PROMPT = "The Eiffel Tower is in the city of"


def keys(model: Any, text: str) -> list[torch.Tensor]:
    return [layer.keys[0] for layer in filled_cache(model, text).layers]


@pytest.mark.parametrize("end", [" Paris, and the Colosseum is in", " banana banana banana", "\n\n1984"])
def test_what_comes_after_moves_no_old_key(end: str, real_model: Any) -> None:
    """Lesson 3, "What is done again and again": "In none." With ends of other kinds; the control, an early word, moves
    most layers' keys.
    """
    before = keys(real_model, PROMPT)
    for old, new in zip(before, keys(real_model, PROMPT + end), strict=True):
        assert float((new[:, : old.shape[1]] - old).abs().max()) < 1e-3
    other = keys(real_model, PROMPT.replace("Tower", "Bridge"))
    moved = [float((new[:, 4] - old[:, 4]).abs().max()) > 0.01 for new, old in zip(other, before, strict=True)]
    assert moved == [False] + [True] * 29


def test_without_the_square_root_the_weights_are_more_peaked() -> None:
    """Lesson 3, 3.1: the largest of 20 weights, 0.2 and 0.8; on other draws too."""
    for seed in range(5):
        torch.manual_seed(seed)
        scores = torch.randn(200, 64) @ torch.randn(20, 64).T
        even, peaked = ((scores / divisor).softmax(dim=-1).max(dim=-1).values.mean() for divisor in (8, 1))
        assert even < 0.3 and peaked > 0.7


@pytest.mark.parametrize("n_new", [1, 2, 3])
def test_is_causal_hides_from_the_first_new_token_all_but_the_first_key(n_new: int) -> None:
    """Lesson 3, "Where the mask goes wrong": "Even a single new token sees one key of seven". The control: with as
    many queries as keys it is right.
    """
    queries, held = torch.randn(1, 1, 7, 8), torch.randn(1, 1, 7, 8)
    seen = scaled_dot_product_attention(queries[:, :, 7 - n_new :], held, torch.eye(7)[None, None], is_causal=True) > 0
    assert seen[0, 0].sum(-1).tolist() == list(range(1, n_new + 1))
    square = scaled_dot_product_attention(queries, held, torch.eye(7)[None, None], is_causal=True) > 0
    assert square[0, 0].sum(-1).tolist() == list(range(1, 8))


def test_the_table_of_one_layer_is_large_but_the_cache_of_all_is_larger(real_model: Any) -> None:
    """Lesson 3, 3.4: 36 MiB and 45 MiB at 1,024 tokens; measured on the real tensors, not by the formula."""
    parts, n = anatomy(real_model), 1024
    ids = torch.arange(1000, 1000 + n)[None]
    cache = new_cache(real_model)
    with torch.no_grad(), real_model.trace(ids, past_key_values=cache, use_cache=True, logits_to_keep=1):
        table = nnsight.save(parts.pattern(10))
        filled = real_model.output.past_key_values.save()
    whole = sum(t.numel() * t.element_size() for layer in filled.layers for t in (layer.keys, layer.values))
    one_table = table.numel() * table.element_size()
    assert (one_table, whole) == (36 * 2**20, 45 * 2**20)
    assert whole == cache_bytes(parts, n)
    assert one_table > 16 * whole / parts.n_layers, "the picture of one layer was right about one layer"


def test_qwen_needs_no_more_than_gpt2(real_model: Any) -> None:
    """Lesson 3, 3.4: what the list under the table of sizes says."""
    sizes = {name: cache_bytes(shape, 4096, bytes_per_number=2) for name, shape in PUBLISHED.items()}
    assert sizes["Qwen2.5 3B"] == sizes["GPT-2"]
    assert sizes["Llama 2 7B"] == 4 * sizes["Llama 3.1 8B"]
    twice = cache_bytes(PUBLISHED["Gemma 3 1B"], 8192, bytes_per_number=2)
    assert twice < 2 * sizes["Gemma 3 1B"], "Gemma's lines bend"
    assert cache_bytes(anatomy(real_model), 32_000) > 2 * sum(w.numel() * 4 for w in real_model._module.parameters())


def greedy(model: Any, ids: torch.Tensor, n: int, whole: bool) -> tuple[list[int], int]:
    """n tokens with a cache; whole: the text is fed again each time. Returns them and the number of positions held."""
    cache, text, chosen, feed = new_cache(model), ids, [], ids
    for _ in range(n):
        with torch.no_grad():
            token = model._module(feed, past_key_values=cache, use_cache=True).logits[0, -1].argmax().view(1, 1)
        chosen.append(int(token))
        text = torch.cat([text, token], dim=1)
        feed = text if whole else token
    return chosen, cache.get_seq_length()


def test_fed_twice_the_cache_holds_the_prompt_again_and_again(real_model: Any) -> None:
    """Lesson 3, 3.5: 9 + 10 + 11 = 30, and "what comes out still looks like text": but it is not the right text."""
    ids = encode(real_model, PROMPT)
    _, held = greedy(real_model, ids, 3, whole=True)
    _, right = greedy(real_model, ids, 3, whole=False)
    assert (held, right) == (30, 11)
    assert greedy(real_model, ids, 12, whole=True)[0] != greedy(real_model, ids, 12, whole=False)[0]


def test_an_ending_left_in_the_cache_changes_the_next_score(real_model: Any) -> None:
    """Lesson 3, 3.6: the second score "even comes out better", when the first ending has the same form; for another
    pair too.
    """
    for prefix, pair in (
        (PROMPT, (" Paris, the capital of France", " Rome, the capital of Italy")),
        ("My favourite city is", (" London, the capital of England", " Madrid, the capital of Spain")),
    ):
        clean = score_endings(real_model, prefix, list(pair))
        cache = filled_cache(real_model, prefix)
        first = encode(real_model, pair[0], beginning=False)
        second = encode(real_model, pair[1], beginning=False)
        with torch.no_grad():
            after_prefix = real_model._module(encode(real_model, prefix)).logits[0, -1:]
            real_model._module(first, past_key_values=cache, use_cache=True)
            after_ending = real_model._module(second, past_key_values=copy.deepcopy(cache), use_cache=True).logits[0]
        predictions = torch.cat([after_prefix, after_ending[:-1]]).log_softmax(-1)
        careless = float(predictions.gather(1, second.T).sum())
        assert careless > clean[1] + 0.2


def test_a_key_is_turned_and_a_value_is_not(real_model: Any) -> None:
    """Lesson 3, "The cache of the real model": one token eight times; turned back, the keys of layer 0 are one and the
    same.
    """
    same = encode(real_model, " city")[:, -1:].repeat(1, 8)
    cache = new_cache(real_model)
    with torch.no_grad():
        filled = real_model._module(same, past_key_values=cache, use_cache=True).past_key_values.layers[0]
    held, values = filled.keys[0, 0], filled.values[0, 0]
    assert float(torch.cosine_similarity(values[:1], values).min()) > 0.9999
    assert float(torch.cosine_similarity(held[:1], held).min()) < 0.9
    angles = torch.arange(8)[:, None] * 100_000.0 ** (-torch.arange(32) / 32)
    left, right = held.split(32, dim=-1)
    back = torch.cat([left * angles.cos() + right * angles.sin(), right * angles.cos() - left * angles.sin()], dim=-1)
    torch.testing.assert_close(back, back[:1].expand_as(back), rtol=1e-3, atol=1e-3)


def test_the_examples_make_the_classifier(real_model: Any) -> None:
    """Lesson 3, 3.6: six of six with the examples. The control, the examples' verdicts exchanged, does worse."""
    examples = (
        "Review: I laughed, I cried, I want to see it again. Verdict: good\n"
        "Review: Two hours that felt like ten. Verdict: bad\n"
        "Review: The best film of the year. Verdict: good\nReview: I left before the end. Verdict: bad\nReview:"
    )
    exchanged = examples.replace("good", "?").replace("bad", "good").replace("?", "bad")
    reviews = {
        "A wonderful story, and so well played.": True,
        "The music hurt my ears.": False,
        "Nobody in the room was awake at the end.": False,
        "My children loved every minute.": True,
        "A waste of money.": False,
        "I would gladly pay to see it twice.": True,
    }
    endings = [f" {review} Verdict: {verdict}" for review in reviews for verdict in ("good", "bad")]
    right = []
    for prefix in (examples, exchanged):
        scores = torch.tensor(score_endings(real_model, prefix, endings)).view(-1, 2)
        right.append(
            sum(bool(good > bad) == liked for (good, bad), liked in zip(scores, reviews.values(), strict=True))
        )
    assert right[0] == 6 and right[1] < 6
