"""Attention, without a cache and with one, as a row of small steps.

Nothing is wrong with these two. The known mistakes of exercises 3.1 and 3.3 are subclasses of them, each of which takes
one step wrongly.
"""

from __future__ import annotations

import math

import torch
from torch import nn

Mask = torch.Tensor | None
Pair = tuple[torch.Tensor, torch.Tensor]
Held = tuple[torch.Tensor, ...]


class AttentionInSteps(nn.Module):
    """Multi-head attention. Scores, masks and weights are (batch, head, query, key)."""

    def __init__(self, d_model: int, n_heads: int, dropout_p: float = 0.0) -> None:
        super().__init__()
        self.d_model, self.n_heads, self.head_width, self.dropout_p = d_model, n_heads, d_model // n_heads, dropout_p
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor, attn_mask: Mask = None, is_causal: bool = False) -> Pair:
        return self.look(*self.project(x), attn_mask, is_causal)

    def project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.split(self.W_q(x)), *self.keys_and_values(x)

    def keys_and_values(self, x: torch.Tensor) -> Pair:
        return self.split(self.W_k(x)), self.split(self.W_v(x))

    def attend(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: Mask = None) -> Pair:
        return self.look(queries, keys, values, mask, False)

    def look(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, attn_mask: Mask, is_causal: bool
    ) -> Pair:
        scores = self.scores(queries, keys)
        n_new, n_keys = scores.shape[-2:]
        allowed = self.causal(n_new, n_keys) if is_causal else torch.ones(n_new, n_keys, dtype=torch.bool)
        if attn_mask is not None:
            if attn_mask.shape[-2] not in (1, n_new) or attn_mask.shape[-1] < n_new:
                raise ValueError("another number of queries, or fewer keys than are new")
            attn_mask = self.with_heads(attn_mask) if attn_mask.ndim == 3 else attn_mask
            scores, allowed = self.masked(scores, allowed, self.widened(attn_mask, n_keys))
        weights = self.dropped(self.weights(scores, allowed))
        return self.output(self.joined(weights @ values)), weights

    def split(self, x: torch.Tensor) -> torch.Tensor:
        batch, n, _ = x.shape
        return x.reshape(batch, n, self.n_heads, self.head_width).transpose(1, 2)

    def scores(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return queries @ keys.transpose(-2, -1) / math.sqrt(self.head_width)

    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        """Which keys each new position may look at: True where it may."""
        return torch.ones(n_new, n_keys, dtype=torch.bool).tril(n_keys - n_new)

    def masked(self, scores: torch.Tensor, allowed: torch.Tensor, attn_mask: torch.Tensor) -> Pair:
        """The scores with an additive mask added, and what is allowed after a boolean one."""
        if attn_mask.dtype == torch.bool:
            return scores, allowed & attn_mask
        return scores + attn_mask, allowed

    def widened(self, attn_mask: torch.Tensor, n_keys: int) -> torch.Tensor:
        """A mask over all keys from one over the last of them: the others may be attended to."""
        if attn_mask.shape[-1] > n_keys:
            raise ValueError("another number of keys")
        return nn.functional.pad(attn_mask, (n_keys - attn_mask.shape[-1], 0), value=attends(attn_mask))

    def weights(self, scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return self.seen(scores.masked_fill(~allowed, -math.inf).softmax(-1))

    def seen(self, weights: torch.Tensor) -> torch.Tensor:
        """A query that may look at nothing has weights 0, where the softmax gives NaN."""
        return weights.nan_to_num(0.0)

    def with_heads(self, attn_mask: torch.Tensor) -> torch.Tensor:
        """A mask (batch, query, key) for every head."""
        return attn_mask.unsqueeze(1)

    def dropped(self, weights: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(weights, self.dropout_p, self.training)

    def joined(self, heads: torch.Tensor) -> torch.Tensor:
        return heads.transpose(1, 2).flatten(2)

    def output(self, joined: torch.Tensor) -> torch.Tensor:
        return self.W_o(joined)


class CachedAttentionInSteps(AttentionInSteps):
    """The same with a cache, ``held``: keys and values, (batch, head, position, head width)."""

    def __init__(self, d_model: int, n_heads: int, dropout_p: float = 0.0) -> None:
        super().__init__(d_model, n_heads, dropout_p)
        self.clear_cache()

    def clear_cache(self) -> None:
        self.held: Held | None = None

    def get_cache_size(self) -> int:
        return 0 if self.held is None else self.held[0].shape[-2]

    def forward(
        self,
        x: torch.Tensor,
        attn_mask: Mask = None,
        is_causal: bool = False,
        use_cache: bool = False,
        cache_position: torch.Tensor | int | None = None,
    ) -> Pair:
        if not use_cache:
            return super().forward(x, attn_mask, is_causal)
        keys, values, held = self.through_cache(x, cache_position)
        result = self.look(self.split(self.W_q(x)), keys, values, attn_mask, is_causal)
        self.held = held  # last: what raises leaves the cache as it was
        return result

    def through_cache(
        self, x: torch.Tensor, cache_position: torch.Tensor | int | None
    ) -> tuple[torch.Tensor, torch.Tensor, Held]:
        """All keys and values, the held ones and those of x, and what is held from now on."""
        (keys, values), held = self.extended(x, self.keys_and_values(x), cache_position)
        return keys, values, held

    def extended(self, x: torch.Tensor, new: Held, cache_position: torch.Tensor | int | None) -> tuple[Held, Held]:
        """What is held with the new put after it, and what the cache keeps of that."""
        if self.held is not None and self.held[0].shape[0] != x.shape[0]:
            self.meet_another_batch()
        start = self.first_place(cache_position)
        if not 0 <= start <= self.get_cache_size():
            self.meet_gap()
        whole = new
        if self.held is not None:
            whole = self.together(tuple(tensor[..., :start, :] for tensor in self.held), new)
        return whole, self.kept(new, whole)

    def meet_another_batch(self) -> None:
        raise ValueError("another batch")

    def meet_gap(self) -> None:
        raise ValueError("a gap")

    def first_place(self, cache_position: torch.Tensor | int | None) -> int:
        if cache_position is None:
            return self.get_cache_size()
        places = torch.as_tensor(cache_position).flatten()
        if not (places.diff() == 1).all():
            self.meet_gap()
        return int(places[0])

    def together(self, old: Held, new: Held) -> Held:
        return tuple(torch.cat(pair, dim=-2) for pair in zip(old, new, strict=True))

    def kept(self, new: Held, whole: Held) -> Held:
        return whole


def attends(mask: torch.Tensor) -> bool | float:
    """The entry of such a mask, boolean or additive, that lets a query attend."""
    return True if mask.dtype == torch.bool else 0.0


def hides(mask: torch.Tensor) -> bool | float:
    """The entry of such a mask, boolean or additive, that hides a key."""
    return False if mask.dtype == torch.bool else -math.inf
