"""Lesson 3: the key/value cache.

When a decoder reads one token more, the keys and values of the tokens before it stay what they were: no token sees what
comes after it. So they are kept. The first pass over a prompt (prefill) fills the cache; each later pass (decode)
computes one new key and value in each layer and looks back at those that are held. The work for each new token then no
longer includes the whole text again.

The module goes the way of the lesson: an attention layer without a cache, the same with one, a model of one layer that
generates with it, then the cache of a real model: its size, generating by hand, scoring several endings of one prefix,
a cache of fixed size; and at the end what servers of language models do with it.

Sources: scaled dot-product attention: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. Keys and values kept while
decoding, and one key/value head for several query heads: Shazeer 2019, https://arxiv.org/abs/1911.02150, and Ainslie et
al. 2023, https://arxiv.org/abs/2305.13245. Prefill, decode and what they cost: Pope et al. 2022,
https://arxiv.org/abs/2211.05102.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from course_utils.model.anatomy import Anatomy
from course_utils.model.prompts import token_ids

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import DynamicCache


# An attention layer, without a cache and with one.


class CacheMismatchError(ValueError, RuntimeError):
    """What was given does not fit what a cache holds: a ValueError by its cause, a RuntimeError as callers expect."""


def causal_mask(n_new: int, n_held: int = 0) -> torch.Tensor:
    """Which keys each new token may look at, when keys of earlier tokens are already held.

    Returns a boolean tensor (n_new, n_held + n_new), True where the new token (row) may attend to
    the key (column): everything that is held, the new tokens before it, and itself.

    Raises:
        ValueError: n_new is less than 1 or n_held less than 0.
    """
    if n_new < 1 or n_held < 0:
        raise ValueError(
            f"There must be at least one new token and no fewer than 0 held ones; got {n_new} and {n_held}."
        )
    positions = n_held + torch.arange(n_new)
    return torch.arange(n_held + n_new) <= positions[:, None]


def prepare_mask(
    attn_mask: torch.Tensor | None, is_causal: bool, n_new: int, n_held: int = 0, device: torch.device | None = None
) -> torch.Tensor | None:
    """A caller's mask and the causal one together, over every key.

    Args:
        attn_mask: (query, key), (batch, query, key) or (batch, head, query, key); boolean (True attends) or additive
            (added to the scores). Its query axis may be 1. Its last key is the last new token's; where it is shorter
            than what is held plus what is new, the keys that it leaves out at the front may be attended to.
        is_causal: also hide from each new token what comes after it.

    Returns a mask of the given kind that broadcasts to (batch, head, n_new, n_held + n_new), or None where nothing is
    hidden.

    Raises:
        ValueError: a mask of another kind, with another number of axes, or of queries or keys.
    """
    n_keys = n_held + n_new
    mask = attn_mask
    if mask is not None:
        if mask.dtype != torch.bool and not mask.is_floating_point():
            raise ValueError(
                f"attn_mask must be boolean (True attends) or floating (added to the scores), not {mask.dtype}."
            )
        if mask.ndim not in (2, 3, 4) or mask.shape[-2] not in (1, n_new) or not n_new <= mask.shape[-1] <= n_keys:
            keys = (
                f"{n_keys} keys"
                if not n_held
                else f"{n_keys} keys ({n_held} held, {n_new} new) or the last of them, at least {n_new}"
            )
            raise ValueError(
                f"attn_mask has shape {tuple(mask.shape)}; expected (..., query, key) with {n_new} queries and {keys}."
            )
        if mask.ndim == 3:
            mask = mask.unsqueeze(1)
        attends: Any = True if mask.dtype == torch.bool else 0.0
        mask = nn.functional.pad(mask, (n_keys - mask.shape[-1], 0), value=attends)
    if is_causal:
        # Not through `causal_mask`: that is an exercise, and this must work while its answer is withheld.
        allowed = torch.ones(n_new, n_keys, dtype=torch.bool, device=device).tril(n_held)
        if mask is None:
            return allowed
        mask = mask & allowed if mask.dtype == torch.bool else mask.masked_fill(~allowed, -math.inf)
    return mask


class ScaledDotProductAttention(nn.Module):
    """Multi-head scaled dot-product attention over one sequence.

    d_model is the width of the residual stream; each of the n_heads heads has width d_model /
    n_heads. W_q, W_k, W_v and W_o are linear maps from d_model to d_model without bias. In
    training, each attention weight is dropped with probability dropout_p. Raises ValueError if
    n_heads does not divide d_model.
    """

    def __init__(self, d_model: int, n_heads: int, dropout_p: float = 0.0) -> None:
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads:
            raise ValueError(f"d_model={d_model} cannot be split into n_heads={n_heads} heads of one width.")
        self.d_model, self.n_heads, self.head_width = d_model, n_heads, d_model // n_heads
        self.W_q = nn.Linear(d_model, d_model, bias=False)
        self.W_k = nn.Linear(d_model, d_model, bias=False)
        self.W_v = nn.Linear(d_model, d_model, bias=False)
        self.W_o = nn.Linear(d_model, d_model, bias=False)
        self.dropout = nn.Dropout(dropout_p)

    def project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """From x (batch, position, width), queries, keys, values (batch, head, position, head width)."""
        if x.ndim != 3 or x.shape[-1] != self.d_model or not x.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (batch, position, {self.d_model}), at least one position."
            )
        queries, keys, values = (
            W(x).unflatten(-1, (self.n_heads, self.head_width)).transpose(1, 2) for W in (self.W_q, self.W_k, self.W_v)
        )
        return queries, keys, values

    def attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries look at keys and take from values; each (batch, head, position, head width).

        The mask broadcasts to (batch, head, query, key): boolean (True attends) or additive
        (added to the scores); None hides nothing.
        Returns (output (batch, position, width), weights (batch, head, query, key)). A query that
        may look at nothing has weights 0.
        """
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(self.head_width)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        sees_nothing = (scores == -math.inf).all(-1, keepdim=True)
        weights = torch.softmax(scores.masked_fill(sees_nothing, 0.0), dim=-1).masked_fill(sees_nothing, 0.0)
        weights = self.dropout(weights)
        heads = weights @ values
        return self.W_o(heads.transpose(1, 2).flatten(2)), weights

    def forward(
        self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of x (batch, position, width) to itself.

        attn_mask is (query, key), (batch, query, key) or (batch, head, query, key), boolean or
        additive. With is_causal=True no position sees a later one, whatever attn_mask says.
        Returns (output (batch, position, width), weights (batch, head, query, key)).
        """
        mask = prepare_mask(attn_mask, is_causal, x.shape[1], device=x.device)
        return self.attend(*self.project(x), mask)


class ScaledDotProductAttentionWithCache(ScaledDotProductAttention):
    """The same attention, which can keep the keys and values that it has computed.

    Between calls it holds the keys and values of the positions so far, for one batch, on one
    device. They are no parameters: they are not in the state dict and do not move with
    `.to(device)`.
    """

    def __init__(self, d_model: int, n_heads: int, dropout_p: float = 0.0) -> None:
        super().__init__(d_model, n_heads, dropout_p)
        self.held: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(
        self,
        x: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        is_causal: bool = False,
        use_cache: bool = False,
        cache_position: torch.Tensor | int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of new positions x (batch, new position, width) to what is held and themselves.

        With use_cache=False the cache is neither read nor written. cache_position: the places of
        the new positions, (new position,), or the first of them; after all that is held unless
        given. What was held from there on is forgotten. A mask may cover every key, or only the
        last ones (it then hides nothing of the others). is_causal hides from each new position
        the ones after it.

        Returns (output (batch, new position, width), weights (batch, head, new position, held +
        new position)).
        Raises ValueError, with the cache as it was, if x is of another batch size or on another
        device than what is held, if cache_position leaves a gap, or for a mask of another
        number of queries or keys.
        """
        if not use_cache:
            if cache_position is not None:
                raise ValueError("cache_position is for a call with use_cache=True.")
            return super().forward(x, attn_mask, is_causal)
        queries, keys, values = self.project(x)
        start = self._first_place(keys, cache_position)
        if self.held is not None and start:
            keys = torch.cat([self.held[0][:, :, :start], keys], dim=2)
            values = torch.cat([self.held[1][:, :, :start], values], dim=2)
        result = self.attend(queries, keys, values, prepare_mask(attn_mask, is_causal, x.shape[1], start, x.device))
        self.held = keys, values  # last, so that whatever fails above leaves the cache as it was
        return result

    def clear_cache(self) -> None:
        """Forget every key and value."""
        self.held = None

    def get_cache_size(self) -> int:
        """How many positions are held."""
        return 0 if self.held is None else self.held[0].shape[2]

    def _first_place(self, new: torch.Tensor, cache_position: torch.Tensor | int | None) -> int:
        """Where the new keys (batch, head, new position, head width) go; raises if they cannot
        follow those that are held.
        """
        size = self.get_cache_size()
        if self.held is not None:
            keys = self.held[0]
            if new.shape[0] != keys.shape[0]:
                raise CacheMismatchError(
                    f"x has a batch of {new.shape[0]}, the cache holds {size} positions of a batch of {keys.shape[0]}: "
                    "call clear_cache() before another batch."
                )
            if new.device != keys.device or new.dtype != keys.dtype:
                raise ValueError(
                    f"The new keys are {new.dtype} on {new.device}, the cache holds {size} positions of {keys.dtype} "
                    f"on {keys.device}: call clear_cache() after moving the layer."
                )
        if cache_position is None:
            return size
        places = torch.as_tensor(cache_position).flatten().tolist()
        start = int(places[0]) if places else -1
        wanted = list(range(start, start + new.shape[2]))
        if places not in (wanted, [start]) or not 0 <= start <= size:
            raise ValueError(
                f"cache_position is {places}; expected {new.shape[2]} places in a row, the first from 0 to {size} "
                "(what is held)."
            )
        return start


def breaking_pieces(layer: ScaledDotProductAttentionWithCache, x: torch.Tensor) -> list[int] | None:
    """A way to cut a text into pieces on which a layer with a cache is not what it is on the whole.

    x is (1, position, width). Returns the lengths of the pieces, in order: each above 0, together
    the number of positions. Returns None if no cut was found that breaks the layer.
    """
    n = x.shape[1]
    whole, _ = layer(x, is_causal=True)
    # A prompt and a chunk; a chunk, then a token, which sees what the chunk left behind; the same with other lengths.
    cuts = [[n // 2, n - n // 2], [2, n - 3, 1], [1, 2, n - 3], [2] * (n // 2) + [1] * (n % 2)]
    found: list[int] | None = None
    for pieces in cuts:
        if found is None and min(pieces) > 0 and sum(pieces) == n:
            layer.clear_cache()
            outputs = [layer(piece, is_causal=True, use_cache=True)[0] for piece in x.split(pieces, dim=1)]
            if not torch.allclose(torch.cat(outputs, dim=1), whole, atol=1e-3):
                found = pieces
    layer.clear_cache()
    return found


class OneLayerModel(nn.Module):
    """The smallest model that can generate with a cache: embedding, one attention layer, unembedding; random weights.

    Args:
        attention: the class of its layer, with the contract of :class:`ScaledDotProductAttentionWithCache`.
    """

    def __init__(
        self, vocabulary: int, d_model: int, n_heads: int, context: int = 512, attention: type[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_model)
        self.positions = nn.Embedding(context, d_model)
        self.attention: Any = (attention or ScaledDotProductAttentionWithCache)(d_model, n_heads)
        self.unembedding = nn.Linear(d_model, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor, use_cache: bool = False) -> torch.Tensor:
        """Token ids (batch, new position) to logits (batch, new position, vocabulary)."""
        # A new token stands after those that are held, so it gets the position after theirs.
        start = self.attention.get_cache_size() if use_cache else 0
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        residual = self.embedding(ids) + self.positions(places)
        written, _ = self.attention(residual, is_causal=True, use_cache=use_cache)
        return self.unembedding(residual + written)

    @torch.no_grad()
    def generate(self, ids: torch.Tensor, max_new_tokens: int, use_cache: bool = True) -> torch.Tensor:
        """The prompt (batch, position) and the most probable next tokens after it, (batch, position + max_new_tokens).

        With the cache: one pass over the prompt (prefill), then one pass for each token (decode), over that token
        alone.

        Raises:
            ValueError: the prompt is empty, or there is nothing to generate, or there are not as many positions.
        """
        length, context = ids.shape[-1] + max_new_tokens, self.positions.num_embeddings
        if ids.ndim != 2 or not ids.shape[1] or max_new_tokens < 1 or length > context:
            raise ValueError(
                f"ids has shape {tuple(ids.shape)} and max_new_tokens is {max_new_tokens}; expected ids (batch, "
                f"position), not empty, at least one new token, and at most {context} positions in all."
            )
        self.attention.clear_cache()
        feed = ids
        for _ in range(max_new_tokens):
            chosen = self(feed, use_cache)[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, chosen], dim=1)
            feed = chosen if use_cache else ids
        return ids


# The cache of a real model.


def encode(model: TransformersModel, text: str, beginning: bool = True) -> torch.Tensor:
    """Token ids of a text, (1, position), on the model's device.

    ``beginning``: with the token that a tokenizer may put in front.

    Raises:
        ValueError: the text is no str, has no tokens, or, with its beginning, more than the model's window.
    """
    if not isinstance(text, str):
        raise ValueError(f"A text was expected, got {type(text).__name__}: pass one str.")
    ids = token_ids(model, text) if beginning else model.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError("The text is empty: it needs at least one token.")
    return torch.tensor([ids], device=next(model._module.parameters()).device)


def new_cache(model: TransformersModel) -> DynamicCache:
    """An empty key/value cache for one run of a model; a run fills the cache that it is given."""
    from transformers import DynamicCache

    return DynamicCache(config=model._module.config)


def end_tokens(model: TransformersModel) -> set[int]:
    """The ids of the tokens after which a model has no more to say; may be empty."""
    ids = model._module.generation_config.eos_token_id
    return set() if ids is None else set(ids) if isinstance(ids, list | tuple) else {ids}


def filled_cache(model: TransformersModel, text: str) -> DynamicCache:
    """The cache after one pass over a text.

    Layer l's keys: ``cache.layers[l].keys``, (batch, key/value head, position, head width).
    """
    cache = new_cache(model)
    with torch.no_grad(), model.trace(encode(model, text), past_key_values=cache, use_cache=True):
        kept = model.output.past_key_values.save()
    return kept


@dataclass(frozen=True)
class CacheShape:
    """What a cache's size depends on; an :class:`~course_utils.model.anatomy.Anatomy` has the same attributes.

    ``windows``: for each layer the width of its sliding window in tokens, or None where it sees everything.
    """

    windows: tuple[int | None, ...]
    n_heads: int
    n_kv_heads: int
    head_width: int


def _gemma3(n_layers: int, window: int) -> tuple[int | None, ...]:
    return tuple(None if layer % 6 == 5 else window for layer in range(n_layers))


PUBLISHED = {
    "GPT-2": CacheShape((None,) * 12, 12, 12, 64),
    "Llama 2 7B": CacheShape((None,) * 32, 32, 32, 128),
    "Llama 3.1 8B": CacheShape((None,) * 32, 32, 8, 128),
    "Llama 3.1 70B": CacheShape((None,) * 80, 64, 8, 128),
    "Qwen2.5 3B": CacheShape((None,) * 36, 16, 2, 128),
    "Gemma 3 1B": CacheShape(_gemma3(26, 512), 4, 1, 256),
    "Gemma 3 27B": CacheShape(_gemma3(62, 1024), 32, 16, 128),
    # Latent attention keeps neither keys nor values: 512 numbers from which all heads' keys and values are made, and 64
    # of one rotary key. 576 in all, as many as the key and the value of a single head of width 288.
    "DeepSeek-V3": CacheShape((None,) * 61, 128, 1, 288),
}
"""The shapes of models that people run, from their published configurations."""


def cache_bytes(shape: CacheShape | Anatomy, n_tokens: int, batch: int = 1, bytes_per_number: int = 4) -> int:
    """The bytes that the keys and values of a text take, over all layers.

    shape has .windows (for each layer None, or the width of its sliding window in tokens),
    .n_heads, .n_kv_heads and .head_width. A layer with a window of w tokens
    keeps the last w - 1 at most: the next token is itself in its window.
    Raises ValueError if n_tokens is negative, or batch or bytes_per_number less than 1.
    """
    if n_tokens < 0 or batch < 1 or bytes_per_number < 1:
        raise ValueError(f"n_tokens={n_tokens}, batch={batch}, bytes_per_number={bytes_per_number}: they count things.")
    if isinstance(
        shape, Anatomy
    ):  # it knows what each layer keeps: latents (DeepSeek), heads of several widths, nothing
        return batch * shape.kept(n_tokens) * bytes_per_number
    positions = sum(n_tokens if window is None else min(n_tokens, window - 1) for window in shape.windows)
    keys_and_values = 2
    return batch * positions * keys_and_values * shape.n_kv_heads * shape.head_width * bytes_per_number


def greedy_with_cache(model: TransformersModel, prompt: str, max_new_tokens: int) -> list[int]:
    """The ids of the most probable next tokens, one after another, each token computed once.

    The first pass reads the prompt, each later pass only the token that was chosen last. Stops
    after max_new_tokens, or after a token of end_tokens(model), which is the last id then.
    Raises ValueError if the prompt is empty or max_new_tokens is less than 1.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; at least one token must be asked for.")
    cache = new_cache(model)
    feed = encode(model, prompt)
    new: list[int] = []
    with torch.no_grad():
        while len(new) < max_new_tokens and not (new and new[-1] in end_tokens(model)):
            with model.trace(feed, past_key_values=cache, use_cache=True):
                logits = model.output.logits[0, -1].save()
            new.append(int(logits.argmax()))
            feed = torch.tensor([[new[-1]]], device=feed.device)
    return new


def score_endings(model: TransformersModel, prefix: str, endings: Sequence[str]) -> list[float]:
    """The log-probability (natural) of all tokens of each ending after one prefix.

    The prefix is read once. Each ending starts from the prefix's cache, untouched by the other
    endings. Prefix and endings are encoded apart, so an ending starts with its own space.
    Raises ValueError if the prefix, the list or an ending is empty.
    """
    if not endings:
        raise ValueError("There are no endings to score.")
    tokens = [encode(model, ending, beginning=False) for ending in endings]
    prefix_cache = new_cache(model)
    scores = []
    with torch.no_grad():
        with model.trace(encode(model, prefix), past_key_values=prefix_cache, use_cache=True):
            after_prefix = model.output.logits[0, -1:].save()
        for ids in tokens:
            cache = copy.deepcopy(prefix_cache)  # a run writes into the cache that it is given
            with model.trace(ids, past_key_values=cache, use_cache=True):
                after_ending = model.output.logits[0].save()
            # The logits before a token predict it: those after the prefix the first one, and so on.
            predictions = torch.cat([after_prefix, after_ending[:-1]]).log_softmax(-1)
            scores.append(float(predictions.gather(1, ids.T).sum()))
    return scores


class PreallocatedCache:
    """Keys and values of at most max_positions positions of one layer, in memory taken once.

    Appending writes into that memory and copies nothing that is already held. A cache that grows
    by concatenation copies everything each time.
    """

    def __init__(self, batch: int, n_heads: int, max_positions: int, head_width: int) -> None:
        if min(batch, n_heads, max_positions, head_width) < 1:
            raise ValueError(f"Every size must be at least 1; got {(batch, n_heads, max_positions, head_width)}.")
        self.keys = torch.zeros(batch, n_heads, max_positions, head_width)
        self.values = torch.zeros(batch, n_heads, max_positions, head_width)
        self.size = 0

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add new positions, each (batch, head, new position, head width); get all that is held.

        Returns (keys, values), each (batch, head, held + new position, head width). Raises
        ValueError, and holds what it held, if there is no room or the shape does not fit.
        """
        end = self.size + keys.shape[2] if keys.ndim == 4 else 0
        batch, n_heads, max_positions, head_width = self.keys.shape
        if keys.shape != values.shape or keys.shape != (batch, n_heads, end - self.size, head_width):
            raise ValueError(
                f"keys {tuple(keys.shape)} and values {tuple(values.shape)} came; expected ({batch}, {n_heads}, "
                f"new position, {head_width}) for both."
            )
        if end > max_positions:
            raise ValueError(
                f"{keys.shape[2]} positions after {self.size} are more than the {max_positions} there is room for."
            )
        self.keys[:, :, self.size : end] = keys
        self.values[:, :, self.size : end] = values
        self.size = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def crop(self, size: int) -> None:
        """Go back to the first size positions. Raises ValueError if fewer are held."""
        if not 0 <= size <= self.size:
            raise ValueError(f"{self.size} positions are held; it cannot go back to {size}.")
        self.size = size


# Towards serving: the cache in the layers of a real model, given out in pages, in fewer bits, with the oldest left out.


def rotate(x: torch.Tensor, places: torch.Tensor, base: float) -> torch.Tensor:
    """Turn queries or keys (..., position, head width) to their places (position,): rotary positions.

    Number i and number i + head width / 2 are a point in a plane, turned by place * base ** (-2 i / head width).
    Turning twice adds the places, so keys that are already turned move by ``places``, which may be negative.
    Su et al. 2021, https://arxiv.org/abs/2104.09864.
    """
    half = x.shape[-1] // 2
    speeds = base ** (-torch.arange(half, device=x.device) / half)
    angles = places.to(x.device)[:, None] * speeds
    left, right = x[..., :half], x[..., half:]
    turned = [left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()]
    return torch.cat(turned, dim=-1).to(x.dtype)


class GroupedAttentionWithCache(nn.Module):
    """The attention of one layer of a Llama-like model, with a cache of its own.

    Args:
        theirs: transformers' attention module of the layer, whose projections are used.
        base: of the rotary positions.
        cache: an empty cache with the contract of :class:`PreallocatedCache`, for the key/value heads.
    """

    def __init__(self, theirs: Any, base: float, cache: PreallocatedCache) -> None:
        super().__init__()
        self.theirs, self.base, self.cache, self.read = theirs, base, cache, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """New positions x (batch, new position, width) to what attention adds to them, the same shape."""
        n_new, width = x.shape[1], self.theirs.head_dim
        queries, keys, values = (
            project(x).unflatten(-1, (-1, width)).transpose(1, 2)
            for project in (self.theirs.q_proj, self.theirs.k_proj, self.theirs.v_proj)
        )
        places = self.read + torch.arange(n_new)
        self.read += n_new
        keys, values = self.cache.append(self.turn(keys, places), values)
        group = queries.shape[1] // keys.shape[1]
        keys, values = self.share(keys, group), self.share(values, group)
        scores = self.turn(queries, places) @ keys.transpose(-2, -1) / math.sqrt(width)
        hidden = torch.ones_like(scores, dtype=torch.bool).triu(self.read - n_new + 1)
        weights = scores.masked_fill(hidden, -math.inf).softmax(dim=-1)
        return self.theirs.o_proj((weights @ values).transpose(1, 2).flatten(2))

    def turn(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Queries or keys (batch, head, position, head width) at their places (position,)."""
        return rotate(x, places, self.base)

    def share(self, held: torch.Tensor, group: int) -> torch.Tensor:
        """Keys or values of the key/value heads, for each query head: a group of neighbours shares one."""
        return held.repeat_interleave(group, dim=1)


class DecoderWithOwnCache:
    """A Llama-like model with our attention and our caches; embedding, norms, MLPs and unembedding are its own.

    It reads one text, from its first token on; for another text make another.

    Args:
        max_positions: of the text.
        cache: the class of the caches, with the contract of :class:`PreallocatedCache`.
        attention: the class of the attention layers.
    """

    def __init__(
        self,
        model: TransformersModel,
        max_positions: int,
        cache: type[PreallocatedCache],
        attention: type[GroupedAttentionWithCache] = GroupedAttentionWithCache,
    ) -> None:
        self.hf: Any = model._module
        config, layers = self.hf.config, self.hf.model.layers
        with next(self.hf.parameters()).device:  # so that a cache takes its memory where the model is
            self.attentions = [
                attention(
                    layer.self_attn,
                    config.rope_parameters["rope_theta"],
                    cache(1, config.num_key_value_heads, max_positions, layer.self_attn.head_dim),
                )
                for layer in layers
            ]

    @torch.no_grad()
    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (1, new position, vocabulary) of new ids (1, new position), which come after all that were given."""
        residual = self.hf.model.embed_tokens(ids)
        for layer, attention in zip(self.hf.model.layers, self.attentions, strict=True):
            residual = residual + attention(layer.input_layernorm(residual))
            residual = residual + layer.mlp(layer.post_attention_layernorm(residual))
        return self.hf.lm_head(self.hf.model.norm(residual))


class PagedCache:
    """Keys and values of several texts in one memory, given out in pages of so many positions.

    A text's page table says on which pages it lies, in order; the pages may lie anywhere. Taken and not used is at most
    the rest of each text's last page. Kwon et al. 2023, https://arxiv.org/abs/2309.06180.
    """

    def __init__(self, n_pages: int, page: int, n_heads: int, head_width: int) -> None:
        self.page = page
        self.memory = torch.zeros(2, n_pages, n_heads, page, head_width)  # keys and values
        self.free = list(range(n_pages))
        self.tables: dict[str, list[int]] = {}
        self.sizes: dict[str, int] = {}

    def append(self, text: str, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add new positions, each (head, new position, head width), to a text; a text that is not known begins.

        Raises ValueError, and holds what it held, if there are not enough free pages or the shape does not fit.
        """
        _, _, n_heads, _, width = self.memory.shape
        if keys.ndim != 3 or keys.shape != values.shape or (keys.shape[0], keys.shape[2]) != (n_heads, width):
            raise ValueError(
                f"keys {tuple(keys.shape)} and values {tuple(values.shape)} came; expected ({n_heads}, new position, "
                f"{width}) for both."
            )
        size, new = self.sizes.get(text, 0), keys.shape[1]
        table = self.tables.get(text, [])
        missing = -(-(size + new) // self.page) - len(table)
        if missing > len(self.free):
            raise ValueError(f"{text!r} needs {missing} more pages and {len(self.free)} are free: release a text.")
        self.tables[text] = table = [*table, *self.free[:missing]]
        self.free = self.free[missing:]
        for i in range(new):
            page, place = divmod(size + i, self.page)
            self.memory[0, table[page], :, place] = keys[:, i]
            self.memory[1, table[page], :, place] = values[:, i]
        self.sizes[text] = size + new

    def get(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values of a text, each (head, position, head width)."""
        pages = self.memory[:, self.tables[text]]  # (2, page, head, place, head width)
        joined = pages.transpose(1, 2).flatten(2, 3)[:, :, : self.sizes[text]]
        return joined[0], joined[1]

    def release(self, text: str) -> None:
        """Forget a text; its pages are free for others."""
        self.free += self.tables.pop(text)
        del self.sizes[text]


def in_few_bits(x: torch.Tensor, bits: int = 8, dim: int = -1) -> torch.Tensor:
    """Keys or values (..., position, head width) as whole numbers of that many bits would give them back.

    The numbers along ``dim`` share a scale, by which their largest magnitude becomes 127 (for 8 bits): -1 is a scale
    for each position, -2 one for each of the numbers of a head.
    """
    largest = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dim=dim, keepdim=True).clamp_min(1e-12) / largest
    return (x / scale).round() * scale


def changed_cache(
    cache: DynamicCache,
    keys: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
    values: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
) -> DynamicCache:
    """A copy of a cache with a function applied to each layer's keys or values, (batch, head, position, head width)."""
    from transformers import DynamicCache

    return DynamicCache([(keys(layer.keys), values(layer.values)) for layer in cache.layers])


def kept_positions(cache: DynamicCache, kept: Sequence[int], base: float | None = None) -> DynamicCache:
    """A copy of a cache that holds these positions only; with ``base`` each key is turned to where it now stands."""
    places = torch.tensor(list(kept))

    def keys(x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, places]
        return x if base is None else rotate(x, torch.arange(len(places)) - places, base)

    return changed_cache(cache, keys, lambda x: x[:, :, places])


@torch.no_grad()
def read_on(
    model: TransformersModel, cache: DynamicCache, ids: torch.Tensor, first_place: int | None = None
) -> torch.Tensor:
    """What a model that holds a cache predicts while it reads on; the cache then holds ids too.

    ids are (batch, new position). first_place: the place of the first of them, where it is not the number of positions
    that the cache holds. Returns log-probabilities, (batch, new position, vocabulary), float64, on the processor.
    """
    where = {}
    if first_place is not None:
        where["position_ids"] = first_place + torch.arange(ids.shape[1], device=ids.device)[None]
    return model._module(ids, past_key_values=cache, use_cache=True, **where).logits.cpu().double().log_softmax(-1)


PASSAGES = (
    "The harbour of our town is small, and most of the boats in it belong to families who have fished here for "
    "three generations. In the early morning, long before the shops open, the men carry their nets down to the "
    "water and look at the sky. If the wind comes from the west they stay at home and repair what is broken. If "
    "it comes from the south they go out, and nobody sees them until the afternoon. My grandfather used to say "
    "that a good fisherman is known by the days on which he stays ashore. He himself stayed ashore on his wedding "
    "day, and on the day when my mother was born, and on very few others.",
    "To bake a simple bread you need flour, water, salt and a little yeast. Mix the yeast with warm water and "
    "wait for ten minutes, until small bubbles appear on the surface. Then add the flour and the salt, and work "
    "the dough with both hands until it is smooth and no longer sticks to the table. Cover the bowl with a cloth "
    "and leave it in a warm place for an hour. The dough will be about twice as large. Press it down, give it the "
    "form of a loaf, and let it rest again for half an hour. In the meantime heat the oven as hot as it will go.",
    "The Moon has no light of its own. What we see is the light of the Sun, which falls on one half of the Moon "
    "and is thrown back to us. As the Moon moves around the Earth, we see more or less of the half that is lit. "
    "When the Moon stands between the Earth and the Sun, the dark side is turned to us, and we call it a new "
    "moon. About two weeks later the Earth is between the two, and the whole disc is bright: this is the full "
    "moon. Because the Moon turns once around itself in the same time in which it goes once around the Earth, it "
    "always shows us the same face.",
    "A list of numbers can be put in order in many ways. The simplest is to look for the smallest number, put it "
    "in front, and do the same with the rest of the list. This is easy to understand, but it is slow: for a list "
    "of a thousand numbers about half a million comparisons are needed. A better way is to cut the list into two "
    "halves, put each half in order, and then merge the two. To merge them, compare the first numbers of both "
    "halves, take the smaller one, and go on until nothing is left. Each half is put in order in the same way, by "
    "cutting it into halves again.",
    "Dear Anna, thank you for your long letter, which arrived on Monday together with the rain. I was glad to "
    "hear that the children are well again and that your husband has found work. Here not much has changed. The "
    "old cat sleeps all day beside the stove, and the garden is full of apples that nobody has the time to pick. "
    "Last week my brother came to visit us with his new wife. She is a doctor, and she laughs at everything he "
    "says, so he talks twice as much as before. We all went to the lake and had a picnic, although it was much "
    "too cold.",
    "The court heard on Thursday that the driver had worked for fourteen hours without a break before the "
    "accident. The company, which runs buses in four cities, said that its drivers are free to rest whenever they "
    "feel tired. Two former employees told the judge that this was not true. According to them, whoever asked for "
    "a break was not given any work in the following week. The lawyer of the company called their statements "
    "unfair and pointed out that both men had been dismissed. The judge asked for the records of the past three "
    "years. They should be in the hands of the court by the end of the month. The families of the three "
    "passengers who were injured said after the hearing that they did not want money, but an honest answer to the "
    "question of who was responsible.",
)
"""Six beginnings of texts of different kinds, each of at least 120 tokens of the lessons' model; written for it."""
