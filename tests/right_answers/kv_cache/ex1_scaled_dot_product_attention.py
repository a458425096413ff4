"""Right answers to exercise 3.1."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


class ViewsAndPermutes(nn.Module):
    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
        if d_model % n_heads != 0:
            raise ValueError("n_heads does not divide d_model")
        self.n_heads, self.width, self.p = n_heads, d_model // n_heads, dropout_p
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))

    def project(self, x):
        shape = *x.shape[:2], self.n_heads, self.width
        return tuple(W(x).view(shape).permute(0, 2, 1, 3) for W in (self.W_q, self.W_k, self.W_v))

    def attend(self, queries, keys, values, mask=None):
        scores = torch.matmul(queries, keys.mT) / self.width**0.5
        if mask is not None:
            scores = torch.where(mask, scores, -math.inf) if mask.dtype == torch.bool else scores + mask
        weights = F.dropout(scores.softmax(-1).nan_to_num(0.0), self.p, self.training)
        return self.W_o((weights @ values).transpose(1, 2).reshape(len(values), queries.shape[2], -1)), weights

    def forward(self, x, attn_mask=None, is_causal=False):
        mask = attn_mask if attn_mask is None or attn_mask.ndim != 3 else attn_mask[:, None]
        if is_causal:
            later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            if mask is None:
                mask = ~later
            elif mask.dtype == torch.bool:
                mask = mask & ~later
            else:
                mask = mask.masked_fill(later, -math.inf)
        return self.attend(*self.project(x), mask)


class Einsum(ViewsAndPermutes):
    """Every mask is made an additive one; the exponentials are taken by hand."""

    def attend(self, queries, keys, values, mask=None):
        scores = torch.einsum("bhqd,bhkd->bhqk", queries, keys) * self.width**-0.5
        if mask is not None:
            if mask.dtype == torch.bool:
                mask = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
            scores = scores + mask
        top = scores.amax(-1, keepdim=True)
        powers = (scores - top.masked_fill(top == -math.inf, 0)).exp()
        weights = torch.dropout(powers / powers.sum(-1, keepdim=True).clamp(min=1e-30), self.p, self.training)
        return torch.einsum("bhqk,bhkd->bqhd", weights, values).flatten(-2) @ self.W_o.weight.T, weights


class TheKernelOfTorch(ViewsAndPermutes):
    """Its values are the identity, so that it gives the weights themselves."""

    def attend(self, queries, keys, values, mask=None):
        n = keys.shape[-2]
        identity = torch.eye(n).expand(*keys.shape[:2], n, n)
        p = self.p if self.training else 0.0
        weights = F.scaled_dot_product_attention(queries, keys, identity, attn_mask=mask, dropout_p=p)
        weights = weights.nan_to_num(0)
        return self.W_o((weights @ values).transpose(1, 2).flatten(2)), weights


class HeadByHead(ViewsAndPermutes):
    def attend(self, queries, keys, values, mask=None):
        shape = *queries.shape[:3], keys.shape[2]
        mask = mask if mask is None else mask.broadcast_to(shape)
        outputs, weights = [], []
        for head in range(self.n_heads):
            scores = queries[:, head] @ keys[:, head].transpose(1, 2) / math.sqrt(self.width)
            if mask is not None and mask.dtype == torch.bool:
                scores = scores.masked_fill(mask[:, head].logical_not(), float("-inf"))
            elif mask is not None:
                scores = scores + mask[:, head]
            own = scores.softmax(2)
            own = F.dropout(torch.where(own.isnan(), 0.0, own), self.p, self.training)
            weights.append(own)
            outputs.append(own @ values[:, head])
        return [self.W_o(torch.cat(outputs, dim=2)), torch.stack(weights, dim=1)]


class BatchesOfMatrices(ViewsAndPermutes):
    """Texts and heads on one axis."""

    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__(d_model, n_heads, dropout_p)
        self.drop = nn.Dropout(dropout_p)

    def project(self, x):
        return [W(x).unflatten(2, (self.n_heads, -1)).movedim(2, 1) for W in (self.W_q, self.W_k, self.W_v)]

    def attend(self, queries, keys, values, mask=None):
        q, k, v = (one.flatten(0, 1) for one in (queries, keys, values))
        scores = torch.bmm(q / math.sqrt(q.shape[-1]), k.transpose(1, 2)).unflatten(0, queries.shape[:2])
        if mask is not None:
            hidden = ~mask if mask.dtype == torch.bool else mask == -math.inf
            scores = scores.where(~hidden, -1e30) + (0 if mask.dtype == torch.bool else mask.where(~hidden, 0.0))
        weights = scores.log_softmax(-1).exp()
        if mask is not None:
            weights = weights.masked_fill(hidden, 0.0)
        weights = self.drop(weights)
        heads = torch.bmm(weights.flatten(0, 1), v).unflatten(0, queries.shape[:2])
        return self.W_o(torch.cat(heads.unbind(1), dim=-1)), weights


class OneMatrixForThree(ViewsAndPermutes):
    def project(self, x):
        joined = F.linear(x, torch.cat([self.W_q.weight, self.W_k.weight, self.W_v.weight]))
        return joined.reshape(*x.shape[:2], 3, self.n_heads, self.width).permute(2, 0, 3, 1, 4).unbind(0)


RIGHT = [ViewsAndPermutes, Einsum, TheKernelOfTorch, HeadByHead, BatchesOfMatrices, OneMatrixForThree]
