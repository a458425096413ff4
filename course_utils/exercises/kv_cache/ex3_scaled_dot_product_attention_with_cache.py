"""The exercises of lesson 3, the key/value cache.

The answers to 3.1, 3.3 and 3.7 are classes. Each is built, given known weights, and taken through a scenario; what came out of
each step is compared, and how much was computed, since a cache that is never used gives the same numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from course_utils import kv_cache
from course_utils.exercises.drawing import PLACES, text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model
from course_utils.kv_cache import CacheShape, encode, new_cache
from course_utils.model.anatomy import anatomy

OUTPUT, WEIGHTS = "output (batch, position, width)", "weights (batch, head, query, key)"


# What learners do instead: an attention layer with one fault in it, and the other functions with theirs.


class _Faulty(nn.Module):
    """Attention with a cache, written flatly, and wrong in the one way that ``fault`` names."""

    fault = ""

    def __init__(self, d_model: int, n_heads: int, dropout_p: float = 0.0) -> None:
        super().__init__()
        self.n_heads, self.head_width, self.dropout_p = n_heads, d_model // n_heads, dropout_p
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.clear_cache()

    def clear_cache(self) -> None:
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.inputs: torch.Tensor | None = None

    def get_cache_size(self) -> int:
        if self.fault == "inputs":
            return 0 if self.inputs is None else self.inputs.shape[1]
        return 0 if self.keys is None else self.keys.shape[2]

    def split(self, x: torch.Tensor) -> torch.Tensor:
        batch, n, _ = x.shape
        if self.fault == "split":
            return x.reshape(batch, self.n_heads, n, self.head_width)
        return x.reshape(batch, n, self.n_heads, self.head_width).transpose(1, 2)

    def forward(
        self,
        x: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        is_causal: bool = False,
        use_cache: bool = False,
        cache_position: Any = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.fault == "always":
            use_cache = True
        start = self._start(x, cache_position) if use_cache else 0
        source = x
        if self.fault == "inputs" and use_cache:
            source = x if self.inputs is None else torch.cat([self.inputs[:, :start], x], dim=1)
            self.inputs = source
        keys, values = self.split(self.W_k(source)), self.split(self.W_v(source))
        if use_cache and self.fault != "inputs":
            new = keys, values
            if self.keys is not None and self.values is not None:
                old = self.keys[:, :, :start], self.values[:, :, :start]
                order = (new, old) if self.fault == "in front" else (old, new)
                if self.fault != "only new":
                    keys, values = (torch.cat(pair, dim=2) for pair in zip(*order, strict=True))
            self.keys, self.values = new if self.fault == "only last" else (keys, values)
        return self._attend(self.split(self.W_q(x)), keys, values, attn_mask, is_causal)

    def _start(self, x: torch.Tensor, cache_position: Any) -> int:
        held = self.keys if self.inputs is None else self.inputs
        if held is not None and held.shape[0] != x.shape[0]:
            if self.fault != "new batch":
                raise ValueError("another batch")
            self.clear_cache()
        if cache_position is None or self.fault == "place":
            return self.get_cache_size()
        return int(torch.as_tensor(cache_position).flatten()[0])

    def _attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        attn_mask: torch.Tensor | None,
        is_causal: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scale = {"unscaled": 1.0, "width": queries.shape[1] * self.head_width}.get(self.fault, self.head_width)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(scale)
        n_new, n_keys = scores.shape[-2:]
        allowed = torch.ones(n_new, n_keys, dtype=torch.bool)
        if is_causal and not (self.fault == "no causal" and n_keys > n_new):
            shift = 0 if self.fault == "start" else n_keys - n_new
            allowed = allowed.tril(shift - 1 if self.fault == "strict" else shift)
        if attn_mask is not None:
            attn_mask = self._fitted(attn_mask, n_keys)
            if attn_mask.dtype == torch.bool:
                allowed = allowed & (~attn_mask if self.fault == "inverted" else attn_mask)
            elif self.fault != "boolean only":
                scores = scores + attn_mask
        if self.fault == "after softmax":
            weights = scores.softmax(-1) * allowed
        else:
            weights = scores.masked_fill(~allowed, -math.inf).softmax(-2 if self.fault == "queries" else -1)
        weights = nn.functional.dropout(weights, self.dropout_p, self.training or self.fault == "dropout")
        heads = weights @ values
        if self.fault != "joined":
            heads = heads.transpose(1, 2)
        joined = heads.reshape(heads.shape[0], n_new, -1)
        return (joined if self.fault == "no W_o" else self.W_o(joined)), weights

    def _fitted(self, mask: torch.Tensor, n_keys: int) -> torch.Tensor:
        left_out = n_keys - mask.shape[-1]
        hidden: Any = False if mask.dtype == torch.bool else -math.inf
        attends: Any = True if mask.dtype == torch.bool else 0.0
        if self.fault == "mask at start":
            return nn.functional.pad(mask, (0, left_out), value=attends)
        return nn.functional.pad(mask, (left_out, 0), value=hidden if self.fault == "hides held" else attends)


def _faulty(fault: str) -> type[_Faulty]:
    return type(f"_Faulty_{fault.replace(' ', '_')}", (_Faulty,), {"fault": fault})


def _mask_from_start(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril()


def _mask_without_itself(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril(n_held - 1)


def _mask_one_too_many(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.ones(n_new, n_held + n_new, dtype=torch.bool).tril(n_held + 1)


def _mask_inverted(n_new: int, n_held: int = 0) -> torch.Tensor:
    return ~kv_cache.causal_mask(n_new, n_held)


def _mask_hides_held(n_new: int, n_held: int = 0) -> torch.Tensor:
    mask = kv_cache.causal_mask(n_new, n_held)
    mask[:, :n_held] = False
    return mask


def _mask_additive(n_new: int, n_held: int = 0) -> torch.Tensor:
    return torch.zeros(n_new, n_held + n_new).masked_fill(~kv_cache.causal_mask(n_new, n_held), -math.inf)


def _bytes(
    shape: Any, n_tokens: int, batch: int, number: int, *, both: int = 2, heads: str = "n_kv_heads", window: int = -1
) -> int:
    """The formula with its factors exposed; ``window`` is what is added to a window's width, 0 for the whole of it."""
    positions = sum(n_tokens if w is None else min(n_tokens, w + window) for w in shape.windows)
    return batch * positions * both * getattr(shape, heads) * shape.head_width * number


def _keys_only(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, batch, bytes_per_number, both=1)


def _query_heads(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, batch, bytes_per_number, heads="n_heads")


def _no_windows(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, batch, bytes_per_number, window=n_tokens)


def _whole_window(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, batch, bytes_per_number, window=0)


def _numbers(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, batch, 1)


def _one_text(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return _bytes(shape, n_tokens, 1, bytes_per_number)


def _one_layer(shape: Any, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    return 2 * batch * n_tokens * shape.n_kv_heads * shape.head_width * bytes_per_number


def _logits(model: Any, ids: torch.Tensor, cache: Any = None) -> torch.Tensor:
    """The logits (position, vocabulary) of the ids (1, position) that are fed, after what a cache holds."""
    cached = {} if cache is None else {"past_key_values": cache, "use_cache": True}
    with model.trace(ids, **cached):
        logits = model.output.logits[0].save()
    return logits


def _generate(feed: str, add: Callable[[list[int], int], list[int]] | None = None) -> Callable[..., list[int]]:
    """Greedy generation that feeds the wrong thing: "all without cache", "all", "last two", "the first"."""

    def answer(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
        ids = fed = encode(model, prompt)
        new: list[int] = []
        cache = None if feed == "all without cache" else new_cache(model)
        while len(new) < max_new_tokens and not (new and new[-1] in kv_cache.end_tokens(model)):
            logits = _logits(model, fed, cache)
            new.append(int(logits[0 if feed == "first position" else -1].argmax()))
            ids = torch.cat([ids, torch.tensor([[new[-1]]])], dim=1)
            if feed == "new cache":
                cache = new_cache(model)
            fed = {"all without cache": ids, "all": ids, "last two": ids[:, -2:]}.get(feed, ids[:, -1:])
        return [*encode(model, prompt)[0].tolist(), *new] if feed == "with prompt" else new

    return answer


def _score(fault: str) -> Callable[..., list[float]]:
    """Scoring of endings that goes wrong in the one way that ``fault`` names."""

    def answer(model: Any, prefix: str, endings: Sequence[str]) -> list[float]:
        tokens = [encode(model, ending, beginning=False) for ending in endings]
        cache, scores = new_cache(model), []
        start = _logits(model, encode(model, prefix), cache)[-1:]
        for ids in tokens:
            if fault == "no sharing":
                cache = new_cache(model)
                start = _logits(model, encode(model, prefix), cache)[-1:]
            if fault == "no prefix":
                cache = new_cache(model)
            after = _logits(model, ids, cache)
            if fault not in ("dirty", "no sharing", "no prefix"):
                cache.crop(-ids.shape[1])
            predictions = after if fault == "own token" else torch.cat([start, after[:-1]])
            if fault != "logits":
                predictions = predictions.log_softmax(-1)
            scored = predictions.gather(1, ids.T)[:, 0]
            scored = scored[1:] if fault == "first left out" else scored[:1] if fault == "first only" else scored
            scores.append(float(scored.mean() if fault == "mean" else scored.sum()))
        return [math.exp(score) for score in scores] if fault == "probability" else scores

    return answer


class _FaultyStore:
    """A cache of fixed size, wrong in the one way that ``fault`` names."""

    fault = ""

    def __init__(self, batch: int, n_heads: int, max_positions: int, head_width: int) -> None:
        self.keys, self.values = torch.zeros(2, batch, n_heads, max_positions, head_width)
        self.size = 0

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        new, room = keys.shape[2], self.keys.shape[2]
        if self.fault == "grows":
            self.keys = torch.cat([self.keys[:, :, : self.size], keys], dim=2)
            self.values = torch.cat([self.values[:, :, : self.size], values], dim=2)
            self.size += new
            return self.keys, self.values
        start = 0 if self.fault == "from the start" else self.size
        if start + new > room:
            if self.fault != "forgets":
                raise ValueError("no room")
            start = 0
        self.keys[:, :, start : start + new] = keys
        self.values[:, :, start : start + new] = values
        self.size = start + new
        end = room if self.fault == "all" else self.size
        held = (keys, values) if self.fault == "only new" else (self.keys[:, :, :end], self.values[:, :, :end])
        return (held[0].clone(), held[1].clone()) if self.fault == "copies" else held

    def crop(self, size: int) -> None:
        self.size = self.size - size if self.fault == "crops by" else size


def _faulty_store(fault: str) -> type[_FaultyStore]:
    return type(f"_FaultyStore_{fault.replace(' ', '_')}", (_FaultyStore,), {"fault": fault})


# How answers are used.


def _layer(answer: Any, d_model: int, n_heads: int, seed: int, dropout_p: float = 0.0) -> Any:
    """The learner's layer with weights of our own drawing, in evaluation mode."""
    layer = answer(d_model, n_heads, dropout_p)
    source = torch.Generator().manual_seed(seed)
    for name in ("W_q", "W_k", "W_v", "W_o"):
        projection = getattr(layer, name, None)
        if not isinstance(projection, nn.Linear) or projection.weight.shape != (d_model, d_model):
            raise AttributeError(
                f"{name} is not there as nn.Linear({d_model}, {d_model}, bias=False); keep the names of the stub."
            )
        if projection.bias is not None:
            raise AttributeError(f"{name} has a bias; the projections of this layer have none.")
        with torch.no_grad():  # wide enough for the weights to have peaks
            projection.weight.copy_(2 * torch.randn(d_model, d_model, generator=source) / d_model**0.5)
    return layer.eval()


def _inputs(seed: int, batch: int, n: int, d_model: int) -> torch.Tensor:
    return torch.randn(batch, n, d_model, generator=torch.Generator().manual_seed(seed + 1))


def _random_mask(seed: int, *shape: int) -> torch.Tensor:
    """A boolean mask of about half True. In each row something is True and something False, also when it is cut to its last
    three columns, and so in each column of a square one: what a wrong answer makes of an empty one differs from learner to learner.
    """
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(seed + 2)) < 0.5
    for row in range(shape[0]):
        mask[row, row - shape[0]], mask[row, (row + 1) % shape[0] - shape[0]] = True, False
    return mask


def _named(result: Any) -> dict[str, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError("forward must return two tensors: the output and the attention weights.")
    return {WEIGHTS: result[1], OUTPUT: result[0]}


def _use_attention(answer: Any, what: str, d_model: int, n_heads: int, seed: int) -> dict[str, Any]:
    layer = _layer(answer, d_model, n_heads, seed, dropout_p=0.5 if what == "dropout" else 0.0)
    x = _inputs(seed, 2, 5, d_model)
    additive = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(seed + 3))
    if what == "boolean":
        return _named(layer(x, attn_mask=_random_mask(seed, 5, 5)))
    if what == "additive":
        return _named(layer(x, attn_mask=additive))
    if what == "both":
        return _named(layer(x, attn_mask=additive, is_causal=True))
    if what == "dropout":
        return _named(layer(x)) | {"training drops weights": _drops(layer, x)}
    return _named(layer(x, is_causal=what == "causal"))


def _drops(layer: Any, x: torch.Tensor, **how: Any) -> bool:
    layer.train()
    torch.manual_seed(0)
    first, second = layer(x, **how)[0], layer(x, **how)[0]
    layer.eval()
    return not torch.equal(first, second)


class _Counted:
    """A layer whose every step is written down: what came out, how many positions are held, how many keys were computed."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.steps: dict[str, Any] = {}
        self.computed: list[int] = []
        self.now = 0
        layer.W_k.register_forward_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self.now += inputs[0].shape[1]

    def step(self, name: str, x: torch.Tensor, **how: Any) -> None:
        self.now = 0
        result = _named(self.layer(x, use_cache=True, **how))
        self.steps[name] = result | {"positions held": self.layer.get_cache_size(), "keys computed": self.now}


def _use_cached_attention(answer: Any, what: str, d_model: int, n_heads: int, seed: int) -> dict[str, Any]:
    layer = _layer(answer, d_model, n_heads, seed, dropout_p=0.5 if what == "dropout" else 0.0)
    x = _inputs(seed, 2, 9, d_model)
    run = _Counted(layer)
    if what == "decode":
        run.step("prefill of 4", x[:, :4], is_causal=True)
        for place in range(4, 7):
            run.step(f"token {place}", x[:, place : place + 1], is_causal=True)
    elif what == "chunks":
        run.step("prefill of 4", x[:, :4], is_causal=True)
        run.step("chunk of 3", x[:, 4:7], is_causal=True)
        run.step("token 7", x[:, 7:8], is_causal=True)
    elif what == "masks":
        run.step("prefill of 4", x[:, :4])
        run.step("chunk of 2, mask over 6 keys", x[:, 4:6], attn_mask=_random_mask(seed, 2, 6))
        run.step("chunk of 3, mask over its own 3 keys", x[:, 6:9], attn_mask=_random_mask(seed, 3, 3))
    elif what == "place":
        run.step("prefill of 6", x[:, :6], is_causal=True)
        run.step("places 6 and 7", x[:, 6:8], is_causal=True, cache_position=torch.arange(6, 8))
        run.step("back to places 3 and 4", x[:, 7:9], is_causal=True, cache_position=torch.arange(3, 5))
        run.step("the next token", x[:, :1], is_causal=True)
    elif what == "batch":
        run.step("prefill of 4", x[:, :4], is_causal=True)
        try:
            layer(x[:1, :2], is_causal=True, use_cache=True)
            run.steps["a batch of another size"] = "taken"
        except (ValueError, RuntimeError):
            run.steps["a batch of another size"] = "refused"
        run.steps["held after it"] = layer.get_cache_size()
        run.step("the next token of the first batch", x[:, 4:5], is_causal=True)
    elif what == "apart":
        run.step("prefill of 4", x[:, :4], is_causal=True)
        run.steps["without the cache"] = _named(layer(x[:, 4:7], is_causal=True)) | {
            "positions held": layer.get_cache_size()
        }
        run.step("the next token", x[:, 4:5], is_causal=True)
        layer.clear_cache()
        run.steps["held after clear_cache"] = layer.get_cache_size()
        run.step("another text", x[:, 5:8], is_causal=True)
    else:
        run.step("prefill of 4", x[:, :4], is_causal=True)
        run.step("token 4", x[:, 4:5], is_causal=True)
        layer.clear_cache()
        layer.train()
        run.steps["training drops weights"] = _drops(layer, x, is_causal=True)
        run.steps["the held keys and values are whole"] = _whole(layer, x)
    return run.steps


def _whole(layer: Any, x: torch.Tensor) -> bool:
    """Whether what a layer keeps while it trains is what it keeps in evaluation: a step after either gives the same."""
    outputs = []
    for training in (True, False):
        layer.clear_cache()
        layer.train(training)
        layer(x[:, :4], is_causal=True, use_cache=True)
        layer.eval()
        outputs.append(layer(x[:, 4:5], is_causal=True, use_cache=True)[0])
    return bool(torch.allclose(outputs[0], outputs[1], atol=1e-5))


def _use_bytes(answer: Any, model: Any, *sizes: Any) -> Any:
    """``model``: a model, or the numbers of a shape by name."""
    if isinstance(model, dict):
        return answer(CacheShape(**{**model, "windows": tuple(model["windows"])}), *sizes)
    return answer(anatomy(model), *sizes)


class _Fed:
    """Counts the tokens that a model's embedding is given while the block runs, pass by pass."""

    def __init__(self, model: Any) -> None:
        self.embedding = model._module.get_input_embeddings()
        self.passes: list[int] = []

    def __enter__(self) -> _Fed:
        self.hook = self.embedding.register_forward_pre_hook(lambda _, args: self.passes.append(args[0].numel()))
        return self

    def __exit__(self, *_: Any) -> None:
        self.hook.remove()


def _use_greedy(answer: Any, model: Any, prompt: str, max_new_tokens: int) -> dict[str, Any]:
    with _Fed(model) as fed:
        new = answer(model, prompt, max_new_tokens)
    return {
        "ids": new,
        "tokens read in the first pass": fed.passes[0] if fed.passes else 0,
        "most tokens read in a later pass": max(fed.passes[1:], default=0),
    }


def _use_scores(answer: Any, model: Any, prefix: str, endings: list[str]) -> dict[str, Any]:
    with _Fed(model) as fed:
        scores = answer(model, prefix, list(endings))
    # All endings as one padded batch are allowed too; the prefix a second time is not.
    longest = max(encode(model, ending, beginning=False).shape[1] for ending in endings)
    once = encode(model, prefix).shape[1] + longest * len(endings)
    return {"log-probabilities": scores, "the prefix is read once": sum(fed.passes) <= once}


def _use_store(answer: Any, what: str, batch: int, n_heads: int, head_width: int, seed: int) -> dict[str, Any]:
    room = 8
    store = answer(batch, n_heads, room, head_width)
    source = torch.Generator().manual_seed(seed)
    steps: dict[str, Any] = {}
    places: list[tuple[int, int]] = []

    def append(name: str, n: int) -> None:
        keys, values = (torch.randn(batch, n_heads, n, head_width, generator=source) for _ in range(2))
        held = store.append(keys, values)
        if not isinstance(held, tuple) or len(held) != 2:
            raise TypeError("append must return two tensors: all keys and all values that are held.")
        places.append((held[0].untyped_storage().data_ptr(), held[1].untyped_storage().data_ptr()))
        steps[name] = {"keys": held[0].clone(), "values": held[1].clone()}
        alive.append(held)  # else freed memory could be given out again at the same address

    alive: list[Any] = []
    append("3 positions", 3)
    append("2 more", 2)
    if what == "crop":
        store.crop(4)
        append("3 more, after going back to 4", 3)
    elif what == "full":
        try:
            append("4 more", 4)
            steps["4 positions into room for 3"] = "taken"
        except (ValueError, IndexError, RuntimeError):
            steps["4 positions into room for 3"] = "refused"
        append("3 more", 3)
    else:
        append("1 more", 1)
    steps["the memory stays where it is"] = len(set(places)) == 1
    return steps


# The inputs.


def _sizes(rng: random.Random) -> tuple[int, int, int]:
    n_heads = rng.choice((2, 4))
    return n_heads * rng.choice((4, 8)), n_heads, rng.randrange(1, 100_000)


def _attention_cases(rng: random.Random) -> list[Case]:
    kinds = {
        "one look at everything": "plain",
        "a causal run": "causal",
        "a boolean mask": "boolean",
        "an additive mask": "additive",
        "an additive mask together with is_causal": "both",
        "a layer with dropout": "dropout",
    }
    return [Case(label, (what, *_sizes(rng))) for label, what in kinds.items()]


def _mask_cases(rng: random.Random) -> list[Case]:
    return [
        Case("a prompt and an empty cache", (rng.randint(3, 6),)),
        Case("several new tokens after held ones", (rng.randint(3, 5), rng.randint(2, 7))),
        Case("one new token after held ones", (1, rng.randint(3, 9))),
    ]


def _cached_cases(rng: random.Random) -> list[Case]:
    kinds = {
        "a prompt, then token after token": "decode",
        "a prompt in two chunks, then a token": "chunks",
        "masks over all keys and over the new ones": "masks",
        "places given with cache_position": "place",
        "a batch of another size met with a full cache": "batch",
        "a call without the cache, and clear_cache": "apart",
        "a layer with dropout": "dropout",
    }
    return [Case(label, (what, *_sizes(rng))) for label, what in kinds.items()]


def _bytes_cases(rng: random.Random) -> list[Case]:
    window = rng.randint(5, 20)
    kv_heads = rng.randint(2, 5)
    windowed = {
        "windows": [*rng.choices((None, window), k=rng.randint(3, 8)), window, None],
        "n_heads": kv_heads * rng.randint(2, 4),
        "n_kv_heads": kv_heads,
        "head_width": 8 * rng.randint(1, 8),
    }
    cases = [
        Case(told(model), (model, rng.randint(30, 90), rng.randint(2, 5), rng.choice((2, 4))))
        for model in [*tiny_pair(rng, "tiny-llama", "tiny-gemma3"), Model()]
    ]
    return [
        *cases,
        Case("a shape with windows", (windowed, rng.randint(30, 90), rng.randint(2, 5), rng.choice((2, 4)))),
    ]


def _greedy_cases(rng: random.Random) -> list[Case]:
    cases = [Case(told(model), (model, text(rng), rng.randint(5, 7))) for model in tiny_pair(rng)]
    place, _ = rng.choice(PLACES)
    return [*cases, Case(told(Model()), (Model(), f"{place} is in the city of", 4))]


def _score_cases(rng: random.Random) -> list[Case]:
    cases = []
    for model in tiny_pair(rng):
        endings = [" " + text(rng, n).lower() for n in rng.sample((2, 3, 4), 3)]
        cases.append(Case(told(model), (model, text(rng, 14), endings)))
    place, _ = rng.choice(PLACES)
    endings = [f" {city}, in {rng.choice(('spring', 'summer', 'winter'))}" for _, city in rng.sample(PLACES, 2)]
    prefix = f"I wrote to my friend that we should meet in front of it. {place} is in the city of"
    return [*cases, Case(told(Model()), (Model(), prefix, endings))]


def _store_cases(rng: random.Random) -> list[Case]:
    kinds = {"three appends": "append", "going back and appending": "crop", "more than there is room for": "full"}
    return [
        Case(label, (what, rng.randint(1, 3), rng.randint(2, 4), rng.randint(2, 6), rng.randrange(1, 100_000)))
        for label, what in kinds.items()
    ]


EXERCISES = [
    Exercise(
        id="3.1",
        title="An attention layer",
        minutes=20,
        points=4,
        difficulty=2,
        reference=kv_cache.ScaledDotProductAttention,
        drive=_use_attention,
        draw=_attention_cases,
        axes=("batch",),
        shows="Each position's output is an average of values, and the weights of the average come from queries and keys.",
        hints=(
            "project: apply W, then unflatten the last axis to (n_heads, head_width), then swap the position and the head axis.",
            "attend: scores = queries @ keys.transpose(-2, -1), divided by the square root of head_width. Hide with masked_fill(~mask, "
            "-inf) for a boolean mask, add an additive one. Softmax over the keys, the last axis; dropout; weights @ values.",
            "The heads come back as (batch, head, position, head width): swap to (batch, position, head, head width), "
            "flatten(2), W_o. With "
            "is_causal, the mask is torch.ones(n, n, dtype=torch.bool).tril(), together with the caller's.",
        ),
        mistakes=(
            Mistake(
                "unscaled", _faulty("unscaled"), "The scores are not divided by the square root of the head width."
            ),
            Mistake(
                "scaled by the model's width",
                _faulty("width"),
                "The scores are divided by the square root of d_model. A query and a key have head_width numbers, not d_model.",
            ),
            Mistake(
                "softmax over the queries",
                _faulty("queries"),
                "This is the softmax over the query axis. Each query shares its attention among the keys: dim=-1, so that each "
                "row sums to 1.",
            ),
            Mistake(
                "heads cut out of positions",
                _faulty("split"),
                "A reshape straight to (batch, head, position, head width) gives each head other positions. Split the last axis "
                "first, then swap the two axes.",
            ),
            Mistake(
                "heads not put back",
                _faulty("joined"),
                "The heads were joined with the head axis still before the position axis: swap them back before you flatten.",
            ),
            Mistake(
                "no output projection", _faulty("no W_o"), "The joined heads go through W_o before they are returned."
            ),
            Mistake(
                "mask inverted",
                _faulty("inverted"),
                "The boolean mask is taken the other way round: True means that the query attends to the key.",
            ),
            Mistake(
                "masked after the softmax",
                _faulty("after softmax"),
                "The weights were set to 0 after the softmax, so the rows no longer sum to 1: put -inf into the scores before it.",
            ),
            Mistake(
                "additive mask ignored",
                _faulty("boolean only"),
                "A mask of floating numbers was ignored: it is added to the scores.",
            ),
            Mistake(
                "a position cannot see itself",
                _faulty("strict"),
                "The causal mask hides each position from itself: the diagonal must be True.",
            ),
            Mistake(
                "dropout in evaluation",
                _faulty("dropout"),
                "Weights are dropped in evaluation mode too: use nn.Dropout, or pass training=self.training.",
            ),
        ),
    ),
    Exercise(
        id="3.2",
        title="A causal mask for a chunk",
        minutes=5,
        points=2,
        difficulty=1,
        reference=kv_cache.causal_mask,
        draw=_mask_cases,
        axes=("new token", "key"),
        shows="The mask is aligned to the end: the last new token sees everything, whatever is held before it.",
        hints=(
            "With n_held tokens before it, new token i stands at position n_held + i of the text.",
            "A key at position j may be looked at if j <= n_held + i. tril takes a `diagonal`, or compare two aranges.",
        ),
        mistakes=(
            Mistake(
                "aligned to the start",
                _mask_from_start,
                "The triangle starts at the first key, as if nothing were held. New token 0 is not position 0: "
                "move the diagonal by n_held.",
            ),
            Mistake(
                "a token cannot see itself", _mask_without_itself, "A token may look at itself: j <= i, not j < i."
            ),
            Mistake(
                "sees one token ahead",
                _mask_one_too_many,
                "Each token sees the one after it: the diagonal is one too far to the right.",
            ),
            Mistake("inverted", _mask_inverted, "True and False are swapped: True means that the token may look."),
            Mistake(
                "held tokens hidden",
                _mask_hides_held,
                "The held keys are hidden; they are the past, which every new token may see.",
            ),
        ),
    ),
    Exercise(
        id="3.3",
        title="Give it a cache",
        minutes=30,
        points=6,
        difficulty=3,
        reference=kv_cache.ScaledDotProductAttentionWithCache,
        drive=_use_cached_attention,
        draw=_cached_cases,
        axes=("batch",),
        shows="Every key and value was computed once, and each step gave what the whole text at once would have given.",
        hints=(
            "With use_cache: project the new x only, torch.cat what is held in front of its keys and values (dim=2), "
            "attend, keep the longer ones. "
            "The queries are those of the new positions alone.",
            "The causal mask is causal_mask(new, held), and a mask with too few keys gets columns in front that attend: "
            "nn.functional.pad(mask, (missing, 0), value=True), or 0.0 for an additive one.",
            "cache_position says where the new positions start: cut what is held there before you concatenate. Compare the batch size (and "
            "the device) with what is held before you compute anything, and raise ValueError.",
        ),
        mistakes=(
            Mistake(
                "mask not shifted by the cache",
                _faulty("start"),
                "The causal mask is aligned to the start of the cache, so the new tokens cannot see all of the past. "
                "causal_mask(new, held) moves its diagonal.",
            ),
            Mistake(
                "no causal mask once something is held",
                _faulty("no causal"),
                "With a cache that is not empty the causal mask is gone. One new token needs none; in a chunk, a token must "
                "not see those after it.",
            ),
            Mistake(
                "held keys not looked at",
                _faulty("only new"),
                "The new tokens look at each other only: what is held has to be put in front of the new keys and values.",
            ),
            Mistake(
                "only the last keys kept",
                _faulty("only last"),
                "The cache keeps the newest keys and values and forgets those before: keep the concatenation.",
            ),
            Mistake(
                "new keys in front",
                _faulty("in front"),
                "The new keys stand in front of the held ones: the order of torch.cat is old, then new.",
            ),
            Mistake(
                "keys computed again",
                _faulty("inputs"),
                "The values are right, but old keys are computed again at each step. Keep the keys and values, not the inputs.",
            ),
            Mistake(
                "cache_position ignored",
                _faulty("place"),
                "cache_position is ignored: new positions always went to the end. What is held from there on must go.",
            ),
            Mistake(
                "another batch starts a new cache",
                _faulty("new batch"),
                "A batch of another size silently threw the cache away. That hides a caller's mistake and loses the text: "
                "raise ValueError.",
            ),
            Mistake(
                "use_cache=False uses the cache",
                _faulty("always"),
                "Without use_cache=True the cache must be neither read nor written.",
            ),
            Mistake(
                "short mask hides the past",
                _faulty("hides held"),
                "A mask over the new keys alone was filled up with hidden ones: the held keys that it does not speak of may be "
                "attended to.",
            ),
            Mistake(
                "short mask at the start",
                _faulty("mask at start"),
                "A mask over the new keys alone was laid over the first keys of the cache: its last column belongs to the last key.",
            ),
            Mistake(
                "dropout in evaluation",
                _faulty("dropout"),
                "Weights are dropped in evaluation mode too: use nn.Dropout, or pass training=self.training.",
            ),
        ),
    ),
    Exercise(
        id="3.4",
        title="What a cache weighs",
        minutes=10,
        points=3,
        difficulty=1,
        reference=kv_cache.cache_bytes,
        drive=_use_bytes,
        draw=_bytes_cases,
        shows="Layers, key/value heads, head width, positions, two tensors, bytes for each number: that is all of it.",
        hints=(
            "Start with one layer: one key and one value for each position, each of n_kv_heads * head_width numbers.",
            "The number of layers is len(shape.windows). A layer whose window is None holds n_tokens positions, another one "
            "min(n_tokens, window - 1).",
        ),
        mistakes=(
            Mistake("values forgotten", _keys_only, "This is half of it: there is a value for each key."),
            Mistake(
                "query heads counted",
                _query_heads,
                "You counted the query heads. Several query heads share a key/value head: use n_kv_heads.",
            ),
            Mistake(
                "windows ignored", _no_windows, "A layer with a sliding window does not keep what it can no longer see."
            ),
            Mistake(
                "whole window kept",
                _whole_window,
                "One position too many in each windowed layer: the next token is itself in its window, so window - 1 old ones are enough.",
            ),
            Mistake("numbers, not bytes", _numbers, "These are numbers, not bytes: multiply by bytes_per_number."),
            Mistake(
                "batch forgotten", _one_text, "This is one text: each text of the batch has keys and values of its own."
            ),
            Mistake("one layer", _one_layer, "This is one layer without a window: every layer has a cache."),
        ),
    ),
    Exercise(
        id="3.5",
        title="Generate with the model's own cache",
        minutes=15,
        points=4,
        difficulty=2,
        reference=kv_cache.greedy_with_cache,
        drive=_use_greedy,
        draw=_greedy_cases,
        shows="Token for token what transformers' generate gives, and after the prompt each pass reads a single token.",
        hints=(
            "with model.trace(feed, past_key_values=cache, use_cache=True): runs the tokens in `feed`, (1, position), "
            "after those in the cache, and "
            "adds theirs to it.",
            "One cache = new_cache(model) before the loop. The first feed is encode(model, prompt), each later one "
            "torch.tensor([[token]]). The "
            "next token is the argmax of model.output.logits[0, -1], saved inside the trace.",
        ),
        mistakes=(
            Mistake(
                "no cache",
                _generate("all without cache"),
                "The ids are right, but every pass reads the whole text again: give each trace the cache, and feed the last token only.",
            ),
            Mistake(
                "everything fed again",
                _generate("all"),
                "The cache is used, and still the whole text is fed: the model then reads it twice. Feed the last token only.",
            ),
            Mistake(
                "last token fed twice",
                _generate("last two"),
                "Each pass feeds two tokens, of which the first is in the cache already: feed the newest only.",
            ),
            Mistake(
                "a new cache for every token",
                _generate("new cache"),
                "Each pass starts with an empty cache, so the model sees one token and no text: make the cache once, before the loop.",
            ),
            Mistake(
                "first position read",
                _generate("first position"),
                "The next token is predicted at the last position of what was fed; you read the first.",
            ),
            Mistake(
                "prompt returned too",
                _generate("with prompt"),
                "The prompt's ids are in your list: return the new ones only.",
            ),
        ),
    ),
    Exercise(
        id="3.6",
        title="One prefix, many endings",
        minutes=20,
        points=4,
        difficulty=3,
        reference=kv_cache.score_endings,
        drive=_use_scores,
        draw=_score_cases,
        shows="The prefix was read once, and no ending saw another.",
        hints=(
            "Run the prefix once with new_cache(model), and keep its last logits: they predict the first token of every ending.",
            "A run adds to the cache that it is given. Give each ending a copy.deepcopy of it, or take the ending's tokens off again "
            "with cache.crop(-n).",
            "An ending of n tokens is scored by the prefix's last logits and its own first n - 1: torch.cat, log_softmax(-1), gather, sum.",
        ),
        mistakes=(
            Mistake(
                "endings see each other",
                _score("dirty"),
                "From the second ending on, the cache also holds the endings before it: copy the prefix's cache, or crop it again.",
            ),
            Mistake(
                "the prefix read again",
                _score("no sharing"),
                "The values are right, but the prefix is read again for every ending. Run it once, and share its cache.",
            ),
            Mistake(
                "endings without the prefix",
                _score("no prefix"),
                "The endings were run with an empty cache: past their first token, they never saw the prefix.",
            ),
            Mistake(
                "token scored by its own logits",
                _score("own token"),
                "Logits predict the next token: a token's score stands one position before it, the first one's at the prefix's end.",
            ),
            Mistake(
                "first token left out",
                _score("first left out"),
                "The first token of each ending is not scored: the prefix's last logits predict it.",
            ),
            Mistake(
                "only the first token",
                _score("first only"),
                "Only the first token of each ending is scored: add those of the others.",
            ),
            Mistake(
                "mean, not sum",
                _score("mean"),
                "This is the mean over the tokens; the log-probability of all of them is the sum.",
            ),
            Mistake(
                "logits, not log-probabilities",
                _score("logits"),
                "These are sums of logits: take log_softmax over the vocabulary first.",
            ),
            Mistake(
                "probability, not its logarithm",
                _score("probability"),
                "These are probabilities; return their natural logarithms.",
            ),
        ),
    ),
    Exercise(
        id="3.7",
        title="Memory that is taken once",
        minutes=15,
        points=3,
        difficulty=2,
        reference=kv_cache.PreallocatedCache,
        drive=_use_store,
        draw=_store_cases,
        shows="Nothing that was held was copied: the new positions were written beside it.",
        hints=(
            "self.size says how much is used. The new positions go to self.keys[:, :, self.size : self.size + new].",
            "A slice is a view: return self.keys[:, :, :self.size] without clone. Check that there is room before you write. "
            "Going back is one assignment to self.size.",
        ),
        mistakes=(
            Mistake(
                "grows by concatenation",
                _faulty_store("grows"),
                "The cache grew by concatenation, which copies all that is held and knows no limit: write into the memory that is there.",
            ),
            Mistake(
                "copies returned",
                _faulty_store("copies"),
                "What came back are copies: return slices, which are views of the same memory.",
            ),
            Mistake(
                "unused room returned",
                _faulty_store("all"),
                "The room that is not used yet came back too: cut at the number of positions held.",
            ),
            Mistake(
                "written from the start",
                _faulty_store("from the start"),
                "New positions are written over the first ones: start at self.size.",
            ),
            Mistake(
                "only the new ones returned",
                _faulty_store("only new"),
                "Return all that is held, not only what is new.",
            ),
            Mistake(
                "full, it starts again",
                _faulty_store("forgets"),
                "When there is no room left, it starts from the front and loses the text: raise ValueError, and change nothing.",
            ),
            Mistake(
                "crop takes off",
                _faulty_store("crops by"),
                "crop(size) keeps that many positions; you took that many off.",
            ),
        ),
    ),
]
