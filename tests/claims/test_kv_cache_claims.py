"""What lesson 3 says, and the controls without which it should not."""

from __future__ import annotations

import copy
from typing import Any

import nnsight
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from course_utils.kv_cache import (
    PASSAGES,
    PUBLISHED,
    cache_bytes,
    changed_cache,
    encode,
    filled_cache,
    in_few_bits,
    kept_positions,
    new_cache,
    read_on,
    score_endings,
)
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
    assert 60_000 < cache_bytes(PUBLISHED["DeepSeek-V3"], 1, bytes_per_number=2) < sizes["Llama 3.1 8B"] / 4096
    assert cache_bytes(anatomy(real_model), 32_000) > 2 * sum(w.numel() * 4 for w in real_model._module.parameters())


def test_latent_attention_keeps_a_seventieth() -> None:
    """Lesson 3, 3.4: "A key of 192 and a value of 128 numbers for every head would be 71 times as much"."""
    from transformers import DeepseekV3Config

    config = DeepseekV3Config()
    of_each_head = config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    assert of_each_head == (192, 128)
    kept = config.kv_lora_rank + config.qk_rope_head_dim
    assert kept == 576 and round(config.num_attention_heads * sum(of_each_head) / kept) == 71


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


class Passages:
    """The six texts: what is held after 96 tokens of each, and what is predicted from there on."""

    def __init__(self, model: Any) -> None:
        self.model, self.base = model, model.config.rope_parameters["rope_theta"]
        many = torch.cat([encode(model, passage)[:, :120] for passage in PASSAGES])
        self.start, self.rest = many[:, :96], many[:, 96:]
        self.held = self.read(self.start)
        self.exact = read_on(model, changed_cache(self.held), self.rest)

    def read(self, ids: torch.Tensor) -> Any:
        with torch.no_grad():
            return self.model._module(ids, use_cache=True, logits_to_keep=1).past_key_values

    def divergence(self, cache: Any) -> torch.Tensor:
        return (self.exact.exp() * (self.exact - read_on(self.model, cache, self.rest))).sum(-1).mean(-1)

    def cost(self, cache: Any, first_place: int | None = None) -> torch.Tensor:
        predicted = read_on(self.model, cache, self.rest, first_place)
        return -predicted[:, :-1].gather(2, self.rest[:, 1:, None]).mean(dim=(1, 2))

    def without(self, place: int) -> Any:
        return kept_positions(self.held, [i for i in range(96) if i != place], self.base)


@pytest.fixture(scope="module")
def passages(real_model: Any) -> Passages:
    return Passages(real_model)


def test_keys_suffer_more_where_a_position_has_one_scale(passages: Passages) -> None:
    """Lesson 3, Further, "Fewer bits": in each text, ten times; the control, a scale for each number, turns it over."""
    of = {
        (name, dim): passages.divergence(
            changed_cache(passages.held, **{name: lambda x, dim=dim: in_few_bits(x, 8, dim)})
        )
        for name in ("keys", "values")
        for dim in (-1, -2)
    }
    assert (of["keys", -1] > 3 * of["values", -1]).all() and of["keys", -1].mean() > 6 * of["values", -1].mean()
    assert (of["keys", -1] < 1e-3).all(), "nobody would see it"
    assert of["keys", -2].mean() < 0.7 * of["keys", -1].mean()
    assert of["values", -2].mean() > 3 * of["values", -1].mean()


def test_half_of_a_cache_is_worse_than_none(passages: Passages) -> None:
    """Lesson 3, Further, "Dropping the oldest half": with the keys left as they are, on average and in five of six."""
    worse = passages.cost(kept_positions(passages.held, range(48, 96))) - passages.cost(new_cache(passages.model))
    assert float(worse.mean()) > 0.2 and int((worse > 0).sum()) == 5


def test_only_distances_count(passages: Passages) -> None:
    """Lesson 3, Further: the new tokens counted on is the same as the keys turned back. The control: neither."""
    newest = range(48, 96)
    turned = passages.cost(kept_positions(passages.held, newest, passages.base))
    torch.testing.assert_close(passages.cost(kept_positions(passages.held, newest), 96), turned, rtol=0, atol=1e-3)
    assert (passages.cost(kept_positions(passages.held, newest)) > turned + 0.2).all()


def test_the_first_position_cannot_be_spared_and_any_other_can(passages: Passages) -> None:
    """Lesson 3, Further: 0.7 nats on average. The controls: four other positions, of the beginning and of the end."""
    whole = passages.cost(changed_cache(passages.held))
    assert (passages.cost(passages.without(0)) > whole + 0.05).all()
    assert float((passages.cost(passages.without(0)) - whole).mean()) > 0.4
    for place in (1, 7, 40, 90):
        assert float((passages.cost(passages.without(place)) - whole).mean().abs()) < 0.06


def test_what_was_dropped_is_still_in_what_is_kept(passages: Passages) -> None:
    """Lesson 3, Further, the answer to 3.8: in each text better than the same half read afresh."""
    kept = passages.cost(kept_positions(passages.held, [0, *range(49, 96)], passages.base))
    ahead = passages.cost(passages.read(passages.start[:, 48:])) - kept
    assert (ahead > 0).all() and float(ahead.mean()) > 0.05
