"""Wrong answers to 3.3: each class is a learner's own layer with a cache, with one thing wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.wrong_answers import Wrong
from tests.wrong_answers.kv_cache.own_layer import Cached


class MaskFromTheStart(Cached):
    def hide(self, scores, attn_mask, is_causal):
        scores = super().hide(scores, attn_mask, False)
        if is_causal:
            scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
        return scores


class CausalOnlyWhenSquare(Cached):
    def hide(self, scores, attn_mask, is_causal):
        return super().hide(scores, attn_mask, is_causal and scores.shape[-1] == scores.shape[-2])


class LooksAtNewOnly(Cached):
    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        q, k, v = self.heads(self.W_q(x)), self.heads(self.W_k(x)), self.heads(self.W_v(x))
        if use_cache:
            if self.cache is not None and self.cache[0].shape[0] != x.shape[0]:
                raise ValueError("batch")
            self.cache = (k, v)
        return self.look(q, k, v, None if attn_mask is None else attn_mask[..., -x.shape[1] :], is_causal)


class KeepsLastOnly(Cached):
    def extend(self, k, v, start):
        whole = super().extend(k, v, start)
        self.cache = (k, v)
        return whole


class NewInFront(Cached):
    def extend(self, k, v, start):
        if self.cache is not None:
            k, v = torch.cat([k, self.cache[0][:, :, :start]], 2), torch.cat([v, self.cache[1][:, :, :start]], 2)
        self.cache = (k, v)
        return k, v


class KeepsInputs(Cached):
    def get_cache_size(self):
        return 0 if self.cache is None else self.cache.size(1)

    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        everything = x
        if use_cache:
            if self.cache is not None:
                end = self.cache.shape[1] if cache_position is None else int(cache_position[0])
                everything = torch.cat([self.cache[:, :end], x], 1)
            self.cache = everything
        k, v = self.heads(self.W_k(everything)), self.heads(self.W_v(everything))
        return self.look(self.heads(self.W_q(x)), k, v, self.widen(attn_mask, k.shape[2]), is_causal)


class AlwaysAppends(Cached):
    def extend(self, k, v, start):
        return super().extend(k, v, self.get_cache_size())


class StartsAgainOnAnotherBatch(Cached):
    def extend(self, k, v, start):
        if self.cache is not None and self.cache[0].shape[0] != k.shape[0]:
            self.cache = None
        return super().extend(k, v, start)


class AlwaysCaches(Cached):
    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        return super().forward(x, attn_mask, is_causal, True, cache_position)


class HidesThePast(Cached):
    def widen(self, attn_mask, n_keys):
        if attn_mask is None:
            return None
        return F.pad(attn_mask, (n_keys - attn_mask.shape[-1], 0))


class MaskOverTheFirstKeys(Cached):
    def widen(self, attn_mask, n_keys):
        if attn_mask is None:
            return None
        return F.pad(attn_mask, (0, n_keys - attn_mask.shape[-1]), value=1)


class CachedAlwaysDrops(Cached):
    def look(self, q, k, v, attn_mask, is_causal):
        weights = F.dropout(self.softmax(self.hide(self.scores(q, k), attn_mask, is_causal)), self.drop.p)
        return self.W_o(self.join(weights @ v)), weights


class NeverGrowsMask(Cached):
    """No care for a mask shorter than the cache: torch refuses the shapes."""

    def widen(self, attn_mask, n_keys):
        return attn_mask


class LeavesGaps(Cached):
    def fits(self, places):
        pass


class AppendsFirst(Cached):
    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        if not use_cache:
            return super().forward(x, attn_mask, is_causal)
        start = self.start(cache_position)
        q, k, v = self.project(x)
        k, v = self.extend(k, v, start)
        if attn_mask is not None:
            queries, keys = attn_mask.shape[-2:]
            if queries != x.shape[1] or not x.shape[1] <= keys <= k.shape[2]:
                raise ValueError("mask")
        return self.look(q, k, v, self.widen(attn_mask, k.shape[2]), is_causal)


class LooksAtTheFirstPlaceAlone(Cached):
    def fits(self, places):
        if places[0] > self.get_cache_size():
            raise ValueError("a gap")


class AdditiveMaskInsteadOfCausal(Cached):
    def hide(self, scores, attn_mask, is_causal):
        additive = attn_mask is not None and attn_mask.dtype != torch.bool
        return super().hide(scores, attn_mask, is_causal and not additive)


class AdditiveMaskForHeads(Cached):
    def hide(self, scores, attn_mask, is_causal):
        if attn_mask is not None and attn_mask.ndim == 3 and attn_mask.dtype != torch.bool:
            attn_mask = attn_mask[None]
        return super().hide(scores, attn_mask, is_causal)


class HidesThePastOfEachText(Cached):
    def widen(self, attn_mask, n_keys):
        if attn_mask is not None and attn_mask.ndim == 3:
            return F.pad(attn_mask, (n_keys - attn_mask.shape[-1], 0))
        return super().widen(attn_mask, n_keys)


class PlainSoftmax(Cached):
    def softmax(self, scores):
        return scores.softmax(-1)


class TakesPlaceMinusOne(Cached):
    def fits(self, places):
        if places[0] > self.get_cache_size() or (places.diff() != 1).any():
            raise ValueError("a gap")


class TakesFewKeys(Cached):
    """A mask with fewer keys than are new: padded, and taken."""

    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        if use_cache and attn_mask is not None and attn_mask.shape[-1] < x.shape[1]:
            attn_mask = self.widen(attn_mask, x.shape[1])
        return super().forward(x, attn_mask, is_causal, use_cache, cache_position)


WRONG = [
    Wrong("3.3", AdditiveMaskInsteadOfCausal, "a mask takes the place of is_causal"),
    Wrong("3.3", AdditiveMaskForHeads, says="On an additive mask with is_causal, and one for each text"),
    Wrong("3.3", HidesThePastOfEachText, "short mask hides the past"),
    Wrong("3.3", PlainSoftmax, says="'chunk of 3, whose second query may look at nothing'"),
    Wrong("3.3", TakesPlaceMinusOne, says="'place -1'"),
    Wrong("3.3", TakesFewKeys, says="On a mask that does not fit"),
    Wrong("3.3", LooksAtTheFirstPlaceAlone, says="On places that leave a gap"),
    Wrong("3.3", LeavesGaps, "a gap is taken"),
    Wrong("3.3", AppendsFirst, "kept before it looked"),
    Wrong("3.3", MaskFromTheStart, "mask not shifted by the cache"),
    Wrong("3.3", CausalOnlyWhenSquare, "no causal mask once something is held"),
    Wrong("3.3", LooksAtNewOnly, "held keys not looked at"),
    Wrong("3.3", KeepsLastOnly, "only the last keys kept"),
    Wrong("3.3", NewInFront, "new keys in front"),
    Wrong("3.3", KeepsInputs, "keys computed again"),
    Wrong("3.3", AlwaysAppends, "cache_position ignored"),
    Wrong("3.3", StartsAgainOnAnotherBatch, "another batch starts a new cache"),
    Wrong("3.3", AlwaysCaches, "use_cache=False uses the cache"),
    Wrong("3.3", HidesThePast, "short mask hides the past"),
    Wrong("3.3", MaskOverTheFirstKeys, "short mask at the start"),
    Wrong("3.3", CachedAlwaysDrops, "dropout in evaluation"),
    Wrong("3.3", NeverGrowsMask, says="must match"),
]
