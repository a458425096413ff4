"""A learner's own attention layer, without a cache and with one: what the wrong ones are made from."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F


class Attention(nn.Module):
    """What the learners below share; complete, and right where they do not change it."""

    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
        if d_model % n_heads != 0:
            raise ValueError("heads")
        self.n_heads, self.d = n_heads, d_model // n_heads
        self.W_q = nn.Linear(d_model, d_model, bias=False)
        self.W_k = nn.Linear(d_model, d_model, bias=False)
        self.W_v = nn.Linear(d_model, d_model, bias=False)
        self.W_o = nn.Linear(d_model, d_model, bias=False)
        self.drop = nn.Dropout(dropout_p)

    def heads(self, x):
        return x.view(x.shape[0], x.shape[1], self.n_heads, self.d).permute(0, 2, 1, 3)

    def scores(self, q, k):
        return torch.einsum("bhqd,bhkd->bhqk", q, k) * self.d**-0.5

    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask[:, None]
        if attn_mask is not None:
            scores = (
                scores.masked_fill(attn_mask.logical_not(), -torch.inf)
                if attn_mask.dtype == torch.bool
                else scores + attn_mask
            )
        if is_causal:
            above = torch.triu(torch.ones(scores.shape[-2:], dtype=torch.bool), 1 + scores.shape[-1] - scores.shape[-2])
            scores = scores.masked_fill(above, -torch.inf)
        return scores

    def softmax(self, scores):
        return F.softmax(scores, -1).nan_to_num(0.0)

    def join(self, heads):
        return heads.permute(0, 2, 1, 3).reshape(heads.shape[0], heads.shape[2], -1)

    def look(self, q, k, v, attn_mask, is_causal):
        weights = self.drop(self.softmax(self.hide(self.scores(q, k), attn_mask, is_causal)))
        return self.W_o(self.join(weights @ v)), weights

    def project(self, x):
        return self.heads(self.W_q(x)), self.heads(self.W_k(x)), self.heads(self.W_v(x))

    def attend(self, queries, keys, values, mask=None):
        return self.look(queries, keys, values, mask, False)

    def forward(self, x, attn_mask=None, is_causal=False):
        return self.look(*self.project(x), attn_mask, is_causal)


class Cached(Attention):
    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__(d_model, n_heads, dropout_p)
        self.cache = None

    def clear_cache(self):
        self.cache = None

    def get_cache_size(self):
        return 0 if self.cache is None else self.cache[0].size(2)

    def widen(self, attn_mask, n_keys):
        if attn_mask is None or attn_mask.shape[-1] == n_keys:
            return attn_mask
        sees = True if attn_mask.dtype == torch.bool else 0.0
        return F.pad(attn_mask, (n_keys - attn_mask.shape[-1], 0), value=sees)

    def start(self, cache_position):
        if cache_position is None:
            return self.get_cache_size()
        places = torch.as_tensor(cache_position).view(-1)
        self.fits(places)
        return int(places[0])

    def fits(self, places):
        """Raises where they do not."""
        if not 0 <= places[0] <= self.get_cache_size() or (places.diff() != 1).any():
            raise ValueError("a gap")

    def extend(self, k, v, start):
        if self.cache is not None and self.cache[0].shape[0] != k.shape[0]:
            raise ValueError("another batch")
        if self.cache is not None:
            k, v = torch.cat([self.cache[0][:, :, :start], k], 2), torch.cat([self.cache[1][:, :, :start], v], 2)
        self.cache = (k, v)
        return k, v

    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        q, k, v = self.heads(self.W_q(x)), self.heads(self.W_k(x)), self.heads(self.W_v(x))
        if use_cache:
            start = self.start(cache_position)
            if attn_mask is not None and not x.shape[1] <= attn_mask.shape[-1] <= start + x.shape[1]:
                raise ValueError("mask")
            if attn_mask is not None and attn_mask.shape[-2] != x.shape[1]:
                raise ValueError("mask")
            k, v = self.extend(k, v, start)
        return self.look(q, k, v, self.widen(attn_mask, k.shape[2]), is_causal)
