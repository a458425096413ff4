"""Exercise 3.1: an attention layer."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from course_utils.exercises.kv_cache.attention_calls import CALLS, N, in_parts
from course_utils.exercises.kv_cache.attention_in_steps import AttentionInSteps, Pair
from course_utils.exercises.kv_cache.known_layer import (
    drops_in_training,
    drops_whole_weights,
    known_layer,
    named,
    random_inputs,
    random_sizes,
)
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import ScaledDotProductAttention

WITH_DROPOUT = "a layer with dropout"
IN_PARTS = "project and attend, called by themselves"


def _cases(rng: random.Random) -> list[Case]:
    cases = [Case(call, (call, *random_sizes(rng))) for call in (*CALLS, WITH_DROPOUT, IN_PARTS)]
    # Two heads, as there are texts: a mask that meets the heads in the place of the texts is then no error of torch's.
    cases = [
        replace(case, args=(case.args[0], 16, 2, case.args[3])) if "each text" in case.label else case for case in cases
    ]
    one = Case("one head of width 1", (next(iter(CALLS)), 1, 1, rng.randrange(1, 100_000)))
    return [*cases, one, Case("a width that the heads do not divide", (IN_PARTS, 10, 4, 0), raises=True)]


def _use(answer: Any, call: str, d_model: int, n_heads: int, seed: int) -> dict[str, Any]:
    x = random_inputs(seed, 2, N, d_model)
    if call == WITH_DROPOUT:
        layer = known_layer(answer, d_model, n_heads, seed, dropout_p=0.5)
        plain = named(layer(x))  # before anything sets torch's random state
        dropped = {"training drops weights": drops_in_training(layer, x)}
        return plain | dropped | drops_whole_weights(layer, x, n_heads)
    layer = known_layer(answer, d_model, n_heads, seed)
    if call == IN_PARTS:
        return in_parts(layer, x, seed) | {"training drops weights": drops_in_training(layer, x)}
    return named(layer(x, **CALLS[call](seed)))


# What learners do instead: a layer with one step taken wrongly.


class _Unscaled(AttentionInSteps):
    def scores(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return queries @ keys.transpose(-2, -1)


class _ScaledByModelWidth(AttentionInSteps):
    def scores(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return queries @ keys.transpose(-2, -1) / math.sqrt(self.d_model)


class _SoftmaxOverQueries(AttentionInSteps):
    def weights(self, scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return scores.masked_fill(~allowed, -math.inf).softmax(-2)


class _HeadsCutOutOfPositions(AttentionInSteps):
    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], self.n_heads, x.shape[1], self.head_width)


class _HeadsNotPutBack(AttentionInSteps):
    def joined(self, heads: torch.Tensor) -> torch.Tensor:
        return heads.reshape(heads.shape[0], heads.shape[2], -1)


class _NoOutputProjection(AttentionInSteps):
    def output(self, joined: torch.Tensor) -> torch.Tensor:
        return joined


class _MaskInverted(AttentionInSteps):
    def masked(self, scores: torch.Tensor, allowed: torch.Tensor, attn_mask: torch.Tensor) -> Pair:
        return super().masked(scores, allowed, ~attn_mask if attn_mask.dtype == torch.bool else attn_mask)


class _MaskedAfterSoftmax(AttentionInSteps):
    def weights(self, scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return scores.softmax(-1) * allowed


class _AdditiveMaskIgnored(AttentionInSteps):
    def masked(self, scores: torch.Tensor, allowed: torch.Tensor, attn_mask: torch.Tensor) -> Pair:
        return scores, allowed & attn_mask if attn_mask.dtype == torch.bool else allowed


class _CausalForgottenBesideAMask(AttentionInSteps):
    def masked(self, scores: torch.Tensor, allowed: torch.Tensor, attn_mask: torch.Tensor) -> Pair:
        return super().masked(scores, torch.ones_like(allowed), attn_mask)


class _MasksForHeads(AttentionInSteps):
    def with_heads(self, attn_mask: torch.Tensor) -> torch.Tensor:
        return attn_mask


class _NanWhereNothingIsSeen(AttentionInSteps):
    def seen(self, weights: torch.Tensor) -> torch.Tensor:
        return weights


class _DropsOutputs(AttentionInSteps):
    def dropped(self, weights: torch.Tensor) -> torch.Tensor:
        return weights

    def output(self, joined: torch.Tensor) -> torch.Tensor:
        return self.W_o(nn.functional.dropout(joined, self.dropout_p, self.training))


class _CannotSeeItself(AttentionInSteps):
    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        return torch.ones(n_new, n_keys, dtype=torch.bool).tril(n_keys - n_new - 1)


class _DropsInEvaluation(AttentionInSteps):
    def dropped(self, weights: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(weights, self.dropout_p, training=True)


EXERCISE = Exercise(
    id="3.1",
    title="An attention layer",
    minutes=20,
    points=4,
    difficulty=2,
    reference=ScaledDotProductAttention,
    drive=_use,
    draw=_cases,
    axes=("batch",),
    shows="Each position's output is an average of values, and the weights of the average come from queries and keys.",
    hints=(
        Hint(
            "splitting into heads",
            "Apply `W`, then `unflatten` the last axis to (n_heads, head_width), then swap the position and the head "
            "axis. A `reshape` straight to (batch, head, position, head width) mixes up positions.",
        ),
        Hint(
            "masks",
            'Hide before the softmax, never after it: `masked_fill(~mask, float("-inf"))` for a boolean mask, plain '
            "addition for an additive one. The softmax runs over the keys, the last axis; dropout comes after it. With "
            "`is_causal`, the mask is `torch.ones(n, n, dtype=torch.bool).tril()`, together with the caller's.",
        ),
        Hint(
            "from scores to output",
            "`scores = queries @ keys.transpose(-2, -1)`, divided by the square root of `head_width`. After mask, "
            "softmax and dropout, `weights @ values` is (batch, head, position, head width): swap to (batch, "
            "position, head, head width), then `flatten(2)`, then `W_o`.",
        ),
    ),
    mistakes=(
        Mistake(
            "a mask takes the place of is_causal",
            _CausalForgottenBesideAMask,
            "With a mask given, is_causal is forgotten: no position may see a later one, whatever attn_mask says.",
        ),
        Mistake(
            "a text's mask taken for a head's",
            _MasksForHeads,
            "A mask (batch, query, key) was broadcast over the heads: it needs a head axis, unsqueeze(1).",
        ),
        Mistake(
            "NaN where nothing is seen",
            _NanWhereNothingIsSeen,
            "The softmax over a row of -inf is NaN: a query that may look at nothing has weights 0.",
        ),
        Mistake(
            "outputs dropped",
            _DropsOutputs,
            "What is dropped in training are the attention weights, after the softmax and before they meet the values.",
        ),
        Mistake(
            "unscaled",
            _Unscaled,
            "The scores are not divided by the square root of the head width.",
        ),
        Mistake(
            "scaled by the model's width",
            _ScaledByModelWidth,
            "The scores are divided by the square root of d_model. A query and a key have head_width numbers, not "
            "d_model.",
        ),
        Mistake(
            "softmax over the queries",
            _SoftmaxOverQueries,
            "This is the softmax over the query axis. Each query shares its attention among the keys: dim=-1, so that "
            "each row sums to 1.",
        ),
        Mistake(
            "heads cut out of positions",
            _HeadsCutOutOfPositions,
            "A reshape straight to (batch, head, position, head width) gives each head other positions. Split the last "
            "axis first, then swap the two axes.",
        ),
        Mistake(
            "heads not put back",
            _HeadsNotPutBack,
            "The heads were joined with the head axis still before the position axis: swap them back before you "
            "flatten.",
        ),
        Mistake(
            "no output projection",
            _NoOutputProjection,
            "The joined heads go through W_o before they are returned.",
        ),
        Mistake(
            "mask inverted",
            _MaskInverted,
            "The boolean mask is taken the other way round: True means that the query attends to the key.",
        ),
        Mistake(
            "masked after the softmax",
            _MaskedAfterSoftmax,
            "The weights were set to 0 after the softmax, so the rows no longer sum to 1: put -inf into the scores "
            "before it.",
        ),
        Mistake(
            "additive mask ignored",
            _AdditiveMaskIgnored,
            "A mask of floating numbers was ignored: it is added to the scores.",
        ),
        Mistake(
            "a position cannot see itself",
            _CannotSeeItself,
            "The causal mask hides each position from itself: the diagonal must be True.",
        ),
        Mistake(
            "dropout in evaluation",
            _DropsInEvaluation,
            "Weights are dropped in evaluation mode too: use nn.Dropout, or pass training=self.training.",
        ),
    ),
)
