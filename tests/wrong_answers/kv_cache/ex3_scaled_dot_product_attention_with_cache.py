"""Wrong answers to the exercises of lesson 3."""

from __future__ import annotations

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import DynamicCache

from tests.wrong_answers import Wrong

# 3.1: each class is a learner's own layer, with one thing wrong.


class Attention(nn.Module):
    """What the learners below share; complete, and right where they do not change it."""

    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
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
        return F.softmax(scores, -1)

    def join(self, heads):
        return heads.permute(0, 2, 1, 3).reshape(heads.shape[0], heads.shape[2], -1)

    def look(self, q, k, v, attn_mask, is_causal):
        weights = self.drop(self.softmax(self.hide(self.scores(q, k), attn_mask, is_causal)))
        return self.W_o(self.join(weights @ v)), weights

    def forward(self, x, attn_mask=None, is_causal=False):
        return self.look(
            self.heads(self.W_q(x)), self.heads(self.W_k(x)), self.heads(self.W_v(x)), attn_mask, is_causal
        )


class ForgetsScale(Attention):
    def scores(self, q, k):
        return q @ k.mT


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
        return F.dropout(scores.softmax(-1), self.drop.p)


class OutputOnly(Attention):
    def forward(self, x, attn_mask=None, is_causal=False):
        return super().forward(x, attn_mask, is_causal)[0]


class OtherNames(nn.Module):
    def __init__(self, d_model, n_heads, dropout_p=0.0):
        super().__init__()
        self.query = nn.Linear(d_model, d_model)

    def forward(self, x, attn_mask=None, is_causal=False):
        return x, x


# 3.2


def plain_tril(n_new, n_held=0):
    return torch.tril(torch.ones((n_new, n_new + n_held))).bool()


def earlier_only(n_new, n_held=0):
    return torch.stack([torch.arange(n_new + n_held) < n_held + i for i in range(n_new)])


def one_ahead(n_new, n_held=0):
    return torch.stack([torch.arange(n_new + n_held) <= n_held + i + 1 for i in range(n_new)])


def true_is_hidden(n_new, n_held=0):
    return torch.triu(torch.ones(n_new, n_new + n_held), 1 + n_held) > 0


def past_hidden(n_new, n_held=0):
    return torch.cat([torch.zeros(n_new, n_held), torch.ones(n_new, n_new).tril()], 1) == 1


def new_tokens_only(n_new, n_held=0):
    return torch.ones(n_new, n_new).tril() == 1


# 3.3: learners' caches


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
        front = torch.ones(*attn_mask.shape[:-1], n_keys - attn_mask.shape[-1]).to(attn_mask.dtype)
        return torch.cat([front, attn_mask], -1)

    def extend(self, k, v, start):
        if self.cache is not None:
            k, v = torch.cat([self.cache[0][:, :, :start], k], 2), torch.cat([self.cache[1][:, :, :start], v], 2)
        self.cache = (k, v)
        return k, v

    def forward(self, x, attn_mask=None, is_causal=False, use_cache=False, cache_position=None):
        q, k, v = self.heads(self.W_q(x)), self.heads(self.W_k(x)), self.heads(self.W_v(x))
        if use_cache:
            start = self.get_cache_size() if cache_position is None else int(cache_position[0])
            k, v = self.extend(k, v, start)
        return self.look(q, k, v, self.widen(attn_mask, k.shape[2]), is_causal)


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


# 3.4


def half(shape, n_tokens, batch=1, bytes_per_number=4):
    total = 0
    for window in shape.windows:
        kept = n_tokens if window is None else min(window - 1, n_tokens)
        total += batch * shape.n_kv_heads * kept * shape.head_width * bytes_per_number
    return total


def with_query_heads(shape, n_tokens, batch=1, bytes_per_number=4):
    return half(shape, n_tokens, batch, bytes_per_number) * 2 // shape.n_kv_heads * shape.n_heads


def full_length_everywhere(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * len(shape.windows) * batch * shape.n_kv_heads * n_tokens * shape.head_width * bytes_per_number


def one_too_many(shape, n_tokens, batch=1, bytes_per_number=4):
    kept = [n_tokens if not window else min(window, n_tokens) for window in shape.windows]
    return 2 * batch * sum(kept) * shape.n_kv_heads * shape.head_width * bytes_per_number


def counts_numbers(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * half(shape, n_tokens, batch, 1)


def forgets_batch(shape, n_tokens, batch=1, bytes_per_number=4):
    return 2 * half(shape, n_tokens, 1, bytes_per_number)


def single_layer(shape, n_tokens, batch=1, bytes_per_number=4):
    return full_length_everywhere(shape, n_tokens, batch, bytes_per_number) // len(shape.windows)


# 3.5


def ids_of(model, text):
    return torch.tensor([model.tokenizer(text).input_ids])


def finished(model, new, n):
    return len(new) == n or (new and new[-1] == model.tokenizer.eos_token_id)


def as_in_lesson_one(model, prompt, max_new_tokens):
    ids, new = ids_of(model, prompt), []
    while not finished(model, new, max_new_tokens):
        with model.trace(ids):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def whole_text_into_cache(model, prompt, max_new_tokens):
    ids, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        with model.trace(ids, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def feeds_two(model, prompt, max_new_tokens):
    ids, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        feed = ids if not new else ids[:, -2:]
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return new


def cache_in_the_loop(model, prompt, max_new_tokens):
    feed, new = ids_of(model, prompt), []
    while not finished(model, new, max_new_tokens):
        cache = DynamicCache(config=model.config)
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        new.append(best.item())
        feed = best.view(1, 1)
    return new


def reads_position_zero(model, prompt, max_new_tokens):
    feed, new, cache = ids_of(model, prompt), [], DynamicCache(config=model.config)
    while not finished(model, new, max_new_tokens):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, 0].argmax().save()
        new.append(best.item())
        feed = best.view(1, 1)
    return new


def returns_everything(model, prompt, max_new_tokens):
    ids, cache = ids_of(model, prompt), DynamicCache(config=model.config)
    start, feed = ids.shape[1], ids
    while not finished(model, ids[0, start:].tolist(), max_new_tokens):
        with model.trace(feed, past_key_values=cache, use_cache=True):
            best = model.output.logits[0, -1].argmax().save()
        feed = best.view(1, 1)
        ids = torch.cat([ids, feed], dim=1)
    return ids[0].tolist()


# 3.6


def prefix_run(model, prefix):
    cache = DynamicCache(config=model.config)
    with model.trace(ids_of(model, prefix), past_key_values=cache, use_cache=True):
        last = model.output.logits[0, -1].save()
    return cache, last


def ending_run(model, ending, cache):
    ids = model.tokenizer(ending, add_special_tokens=False).input_ids
    with model.trace(torch.tensor([ids]), past_key_values=cache, use_cache=True):
        logits = model.output.logits[0].save()
    return ids, logits


def total(ids, predictions, of=sum):
    return of(float(torch.log_softmax(row, 0)[i]) for i, row in zip(ids, predictions))


def one_cache_for_all(model, prefix, endings):
    cache, last = prefix_run(model, prefix)
    scores = []
    for ending in endings:
        ids, logits = ending_run(model, ending, cache)
        scores.append(total(ids, [last, *logits]))
    return scores


def prefix_each_time(model, prefix, endings):
    scores = []
    for ending in endings:
        cache, last = prefix_run(model, prefix)
        ids, logits = ending_run(model, ending, cache)
        scores.append(total(ids, [last, *logits]))
    return scores


def each_ending_alone(model, prefix, endings):
    _, last = prefix_run(model, prefix)
    scores = []
    for ending in endings:
        ids, logits = ending_run(model, ending, DynamicCache(config=model.config))
        scores.append(total(ids, [last, *logits]))
    return scores


def with_shared_prefix(score):
    def answer(model, prefix, endings):
        cache, last = prefix_run(model, prefix)
        return [score(last, *ending_run(model, ending, copy.deepcopy(cache))) for ending in endings]

    return answer


@with_shared_prefix
def own_logits(last, ids, logits):
    return total(ids, logits)


@with_shared_prefix
def skips_first(last, ids, logits):
    return total(ids[1:], logits)


@with_shared_prefix
def first_token_only(last, ids, logits):
    return total(ids[:1], [last])


@with_shared_prefix
def averages(last, ids, logits):
    return total(ids, [last, *logits]) / len(ids)


@with_shared_prefix
def sums_logits(last, ids, logits):
    return sum(float(row[i]) for i, row in zip(ids, [last, *logits]))


@with_shared_prefix
def multiplies(last, ids, logits):
    product = 1.0
    for i, row in zip(ids, [last, *logits]):
        product *= float(row.softmax(0)[i])
    return product


for answer, name in (
    (own_logits, "own_logits"),
    (skips_first, "skips_first"),
    (first_token_only, "first_token_only"),
    (averages, "averages"),
    (sums_logits, "sums_logits"),
    (multiplies, "multiplies"),
):
    answer.__name__ = name


# 3.7


class Store:
    """What the learners below share."""

    def __init__(self, batch, n_heads, max_positions, head_width):
        self.k = torch.empty(batch, n_heads, max_positions, head_width)
        self.v = torch.empty(batch, n_heads, max_positions, head_width)
        self.used = 0

    def append(self, keys, values):
        n = keys.shape[2]
        if self.used + n > self.k.shape[2]:
            raise ValueError("full")
        self.k[:, :, self.used : self.used + n] = keys
        self.v[:, :, self.used : self.used + n] = values
        self.used += n
        return self.k[:, :, : self.used], self.v[:, :, : self.used]

    def crop(self, size):
        self.used = size


class Concatenates(Store):
    def __init__(self, batch, n_heads, max_positions, head_width):
        self.k = self.v = torch.empty(batch, n_heads, 0, head_width)

    def append(self, keys, values):
        self.k, self.v = torch.cat((self.k, keys), -2), torch.cat((self.v, values), -2)
        return self.k, self.v

    def crop(self, size):
        self.k, self.v = self.k[:, :, :size], self.v[:, :, :size]


class Clones(Store):
    def append(self, keys, values):
        k, v = super().append(keys, values)
        return k.clone(), v.clone()


class ReturnsAllRoom(Store):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.k.zero_()
        self.v.zero_()

    def append(self, keys, values):
        super().append(keys, values)
        return self.k, self.v


class WritesAtZero(Store):
    def append(self, keys, values):
        self.used = 0
        return super().append(keys, values)


class ReturnsNew(Store):
    def append(self, keys, values):
        super().append(keys, values)
        return keys, values


class WrapsAround(Store):
    def append(self, keys, values):
        if self.used + keys.shape[2] > self.k.shape[2]:
            self.used = 0
        return super().append(keys, values)


class TakesOff(Store):
    def crop(self, size):
        self.used -= size


WRONG = [
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
    Wrong("3.2", plain_tril, "aligned to the start"),
    Wrong("3.2", earlier_only, "a token cannot see itself"),
    Wrong("3.2", one_ahead, "sees one token ahead"),
    Wrong("3.2", true_is_hidden, "inverted"),
    Wrong("3.2", past_hidden, "held tokens hidden"),
    Wrong("3.2", new_tokens_only, says="expected"),
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
    Wrong("3.4", half, "values forgotten"),
    Wrong("3.4", with_query_heads, "query heads counted"),
    Wrong("3.4", full_length_everywhere, "windows ignored"),
    Wrong("3.4", one_too_many, "whole window kept"),
    Wrong("3.4", counts_numbers, "numbers, not bytes"),
    Wrong("3.4", forgets_batch, "batch forgotten"),
    Wrong("3.4", single_layer, "one layer"),
    Wrong("3.5", as_in_lesson_one, "no cache"),
    Wrong("3.5", whole_text_into_cache, "everything fed again"),
    Wrong("3.5", feeds_two, "last token fed twice"),
    Wrong("3.5", cache_in_the_loop, "a new cache for every token"),
    Wrong("3.5", reads_position_zero, "first position read"),
    Wrong("3.5", returns_everything, "prompt returned too"),
    Wrong("3.6", one_cache_for_all, "endings see each other"),
    Wrong("3.6", prefix_each_time, "the prefix read again"),
    Wrong("3.6", each_ending_alone, "endings without the prefix"),
    Wrong("3.6", own_logits, "token scored by its own logits"),
    Wrong("3.6", skips_first, "first token left out"),
    Wrong("3.6", first_token_only, "only the first token"),
    Wrong("3.6", averages, "mean, not sum"),
    Wrong("3.6", sums_logits, "logits, not log-probabilities"),
    Wrong("3.6", multiplies, "probability, not its logarithm"),
    Wrong("3.7", Concatenates, "grows by concatenation"),
    Wrong("3.7", Clones, "copies returned"),
    Wrong("3.7", ReturnsAllRoom, "unused room returned"),
    Wrong("3.7", WritesAtZero, "written from the start"),
    Wrong("3.7", ReturnsNew, "only the new ones returned"),
    Wrong("3.7", WrapsAround, "full, it starts again"),
    Wrong("3.7", TakesOff, "crop takes off"),
]
