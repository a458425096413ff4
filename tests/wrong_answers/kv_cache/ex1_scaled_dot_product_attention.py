"""Wrong answers to 3.1: each class is a learner's own layer, with one thing wrong."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.wrong_answers import Wrong
from tests.wrong_answers.kv_cache.own_layer import Attention


class ForgetsScale(Attention):
    def scores(self, q, k):
        return q @ k.mT


class ForgetsTheRoot(Attention):
    def scores(self, q, k):
        return q @ k.mT / self.d


class ScalesByModelWidth(Attention):
    def scores(self, q, k):
        return q @ k.mT / (self.n_heads * self.d) ** 0.5


class SoftmaxOverQueries(Attention):
    def softmax(self, scores):
        return torch.softmax(scores, dim=2)


class ViewsHeads(Attention):
    def heads(self, x):
        return x.reshape(x.shape[0], self.n_heads, x.shape[1], self.d)


class ForgetsToTransposeBack(Attention):
    def join(self, heads):
        return heads.contiguous().view(heads.shape[0], heads.shape[2], self.n_heads * self.d)


class ForgetsOutputProjection(Attention):
    def look(self, q, k, v, attn_mask, is_causal):
        weights = self.drop(self.softmax(self.hide(self.scores(q, k), attn_mask, is_causal)))
        return self.join(weights @ v), weights


class BlocksWhereTrue(Attention):
    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = ~attn_mask
        return super().hide(scores, attn_mask, is_causal)


class MasksWeights(Attention):
    def look(self, q, k, v, attn_mask, is_causal):
        scores = self.scores(q, k)
        visible = torch.ones_like(scores)
        if is_causal:
            visible = visible.tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            visible = visible * attn_mask
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = self.drop(scores.softmax(-1) * visible)
        return self.W_o(self.join(weights @ v)), weights


class BooleanMasksOnly(Attention):
    def hide(self, scores, attn_mask, is_causal):
        return super().hide(
            scores, attn_mask if attn_mask is not None and attn_mask.dtype == torch.bool else None, is_causal
        )


class HidesTheDiagonal(Attention):
    def hide(self, scores, attn_mask, is_causal):
        scores = super().hide(scores, attn_mask, False)
        if is_causal:
            scores = scores + torch.triu(torch.full(scores.shape[-2:], -torch.inf))
        return scores


class AlwaysDrops(Attention):
    def softmax(self, scores):
        return F.dropout(super().softmax(scores), self.drop.p)


class OutputOnly(Attention):
    def forward(self, x, attn_mask=None, is_causal=False):
        return super().forward(x, attn_mask, is_causal)[0]


class OtherNames(nn.Module):
    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
        self.query = nn.Linear(d_model, d_model)

    def forward(self, x, attn_mask=None, is_causal=False):
        return x, x


class MaskInsteadOfCausal(Attention):
    def hide(self, scores, attn_mask, is_causal):
        return super().hide(scores, attn_mask, is_causal and attn_mask is None)


class BroadcastsMasks(Attention):
    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask[None]
        return super().hide(scores, attn_mask, is_causal)


class PlainSoftmax(Attention):
    def softmax(self, scores):
        return scores.softmax(-1)


class DropsOutput(Attention):
    def look(self, q, k, v, attn_mask, is_causal):
        weights = self.softmax(self.hide(self.scores(q, k), attn_mask, is_causal))
        return self.W_o(self.drop(self.join(weights @ v))), weights


class DropsScores(Attention):
    def look(self, q, k, v, attn_mask, is_causal):
        weights = self.softmax(self.drop(self.hide(self.scores(q, k), attn_mask, is_causal)))
        return self.W_o(self.join(weights @ v)), weights


class FirstHeadsMask(Attention):
    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.ndim == 4:
            attn_mask = attn_mask[:, :1]
        return super().hide(scores, attn_mask, is_causal)


class AddsBooleanMasksOfFourAxes(Attention):
    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.ndim == 4:
            attn_mask = attn_mask.to(scores.dtype)
        return super().hide(scores, attn_mask, is_causal)


class AttendsBooleanOnly(Attention):
    """Right as a whole; ``attend`` by itself takes an additive mask for none."""

    def attend(self, queries, keys, values, mask=None):
        return super().attend(queries, keys, values, mask if mask is None or mask.dtype == torch.bool else None)


class AttendsToNan(Attention):
    """Right as a whole; ``attend`` by itself gives NaN where a query may look at nothing."""

    def attend(self, queries, keys, values, mask=None):
        weights = self.hide(self.scores(queries, keys), mask, False).softmax(-1)
        return self.W_o(self.join(weights @ values)), weights


class OnlyForward(nn.Module):
    """Everything in one method: what later cells call is not there."""

    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
        whole = Attention(d_model, n_heads, dropout_p)
        self.W_q, self.W_k, self.W_v, self.W_o = whole.W_q, whole.W_k, whole.W_v, whole.W_o
        self.__dict__["whole"] = whole

    def train(self, mode=True):
        self.whole.train(mode)
        return super().train(mode)

    def forward(self, x, attn_mask=None, is_causal=False):
        return self.whole(x, attn_mask, is_causal)


WRONG = [
    Wrong("3.1", ForgetsTheRoot, says="expected"),
    Wrong("3.1", FirstHeadsMask, says="each text and head"),
    Wrong("3.1", AddsBooleanMasksOfFourAxes, says="On a mask of its own for each text and head"),
    Wrong("3.1", AttendsBooleanOnly, "additive mask ignored"),
    Wrong("3.1", AttendsToNan, "NaN where nothing is seen"),
    Wrong("3.1", MaskInsteadOfCausal, "a mask takes the place of is_causal"),
    Wrong("3.1", BroadcastsMasks, "a text's mask taken for a head's"),
    Wrong("3.1", PlainSoftmax, "NaN where nothing is seen"),
    Wrong("3.1", DropsOutput, "outputs dropped"),
    Wrong("3.1", DropsScores, says="'they are dropped after the softmax': yours is False, expected True"),
    Wrong("3.1", OnlyForward, says="project"),
    Wrong("3.1", ForgetsScale, "unscaled"),
    Wrong("3.1", ScalesByModelWidth, "scaled by the model's width"),
    Wrong("3.1", SoftmaxOverQueries, "softmax over the queries"),
    Wrong("3.1", ViewsHeads, "heads cut out of positions"),
    Wrong("3.1", ForgetsToTransposeBack, "heads not put back"),
    Wrong("3.1", ForgetsOutputProjection, "no output projection"),
    Wrong("3.1", BlocksWhereTrue, "mask inverted"),
    Wrong("3.1", MasksWeights, "masked after the softmax"),
    Wrong("3.1", BooleanMasksOnly, "additive mask ignored"),
    Wrong("3.1", HidesTheDiagonal, "a position cannot see itself"),
    Wrong("3.1", AlwaysDrops, "dropout in evaluation"),
    Wrong("3.1", OutputOnly, says="forward must return two tensors"),
    Wrong("3.1", OtherNames, says="W_q is not there"),
]
