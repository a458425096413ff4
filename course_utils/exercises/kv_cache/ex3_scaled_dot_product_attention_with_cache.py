"""Exercise 3.3: give it a cache."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import nn

from course_utils.exercises.kv_cache.attention_in_steps import CachedAttentionInSteps, Held, Mask, Pair, attends, hides
from course_utils.exercises.kv_cache.cache_scenarios import SCENARIOS, WITH_DROPOUT, N, Recorded
from course_utils.exercises.kv_cache.known_layer import known_layer, random_inputs, random_sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import ScaledDotProductAttentionWithCache


def _cases(rng: random.Random) -> list[Case]:
    return [Case(scenario, (scenario, *random_sizes(rng))) for scenario in SCENARIOS]


def _use(answer: Any, scenario: str, d_model: int, n_heads: int, seed: int) -> dict[str, Any]:
    layer = known_layer(answer, d_model, n_heads, seed, dropout_p=0.5 if scenario == WITH_DROPOUT else 0.0)
    run = Recorded(layer, random_inputs(seed, 2, N, d_model), seed)
    SCENARIOS[scenario](run)
    return run.steps


# What learners do instead: a layer with one step taken wrongly.


class _MaskFromStart(CachedAttentionInSteps):
    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        return torch.ones(n_new, n_keys, dtype=torch.bool).tril()


class _CausalOnlyWhenEmpty(CachedAttentionInSteps):
    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        return super().causal(n_new, n_keys) if n_keys == n_new else torch.ones(n_new, n_keys, dtype=torch.bool)


class _CausalForgottenBesideAMask(CachedAttentionInSteps):
    def masked(self, scores: torch.Tensor, allowed: torch.Tensor, attn_mask: torch.Tensor) -> Pair:
        return super().masked(scores, torch.ones_like(allowed), attn_mask)


class _LooksAtNewOnly(CachedAttentionInSteps):
    def together(self, old: Held, new: Held) -> Held:
        return new

    def widened(self, attn_mask: torch.Tensor, n_keys: int) -> torch.Tensor:
        return attn_mask[..., -n_keys:]


class _KeepsLastOnly(CachedAttentionInSteps):
    def kept(self, new: Held, whole: Held) -> Held:
        return new


class _NewInFront(CachedAttentionInSteps):
    def together(self, old: Held, new: Held) -> Held:
        return super().together(new, old)


class _KeepsInputs(CachedAttentionInSteps):
    """Holds x, (batch, position, width), in place of keys and values."""

    def through_cache(
        self, x: torch.Tensor, cache_position: torch.Tensor | int | None
    ) -> tuple[torch.Tensor, torch.Tensor, Held]:
        (inputs,), held = self.extended(x, (x,), cache_position)
        return *self.keys_and_values(inputs), held


class _CachePositionIgnored(CachedAttentionInSteps):
    def first_place(self, cache_position: torch.Tensor | int | None) -> int:
        return self.get_cache_size()


class _AnotherBatchStartsAgain(CachedAttentionInSteps):
    def meet_another_batch(self) -> None:
        self.clear_cache()


class _TakesGaps(CachedAttentionInSteps):
    def meet_gap(self) -> None:
        pass


class _KeepsBeforeItLooks(CachedAttentionInSteps):
    def extended(self, x: torch.Tensor, new: Held, cache_position: torch.Tensor | int | None) -> tuple[Held, Held]:
        whole, self.held = super().extended(x, new, cache_position)
        return whole, self.held


class _AlwaysCaches(CachedAttentionInSteps):
    def forward(
        self,
        x: torch.Tensor,
        attn_mask: Mask = None,
        is_causal: bool = False,
        use_cache: bool = False,
        cache_position: torch.Tensor | int | None = None,
    ) -> Pair:
        return super().forward(x, attn_mask, is_causal, True, cache_position)


class _ShortMaskHidesPast(CachedAttentionInSteps):
    def widened(self, attn_mask: torch.Tensor, n_keys: int) -> torch.Tensor:
        return nn.functional.pad(attn_mask, (n_keys - attn_mask.shape[-1], 0), value=hides(attn_mask))


class _ShortMaskAtStart(CachedAttentionInSteps):
    def widened(self, attn_mask: torch.Tensor, n_keys: int) -> torch.Tensor:
        return nn.functional.pad(attn_mask, (0, n_keys - attn_mask.shape[-1]), value=attends(attn_mask))


class _DropsInEvaluation(CachedAttentionInSteps):
    def dropped(self, weights: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(weights, self.dropout_p, training=True)


EXERCISE = Exercise(
    id="3.3",
    title="Give it a cache",
    minutes=30,
    points=6,
    difficulty=3,
    reference=ScaledDotProductAttentionWithCache,
    drive=_use,
    draw=_cases,
    axes=("batch",),
    shows="Every key and value was computed once, and each step gave what the whole text at once would have given.",
    hints=(
        Hint(
            "the heart of it",
            "Project the new x only. Then `keys = torch.cat([held_keys, keys], dim=2)`, the same for the values, and "
            "`self.attend(queries, keys, values, mask)`; keep the longer ones. The queries stay those of the new "
            "positions.",
        ),
        Hint(
            "the mask",
            "`causal_mask(n_new, n_held)` is yours. A mask with too few keys gets columns in front that attend: "
            "`nn.functional.pad(mask, (missing, 0), value=True)`, or `0.0` if it is additive.",
        ),
        Hint(
            "places, and another batch",
            "`cache_position` says where the new positions start: cut what is held there before you concatenate. "
            "Compare the batch size (and the device) with what is held before you compute anything, and raise "
            "`ValueError`.",
        ),
    ),
    mistakes=(
        Mistake(
            "a gap is taken",
            _TakesGaps,
            "cache_position may go back, but not leave a gap: if it begins after what is held, raise ValueError.",
        ),
        Mistake(
            "kept before it looked",
            _KeepsBeforeItLooks,
            "The new keys were kept although the call failed afterwards, at the mask: write the cache last.",
        ),
        Mistake(
            "a mask takes the place of is_causal",
            _CausalForgottenBesideAMask,
            "With a mask given, boolean or additive, is_causal still holds: no token may see those after it.",
        ),
        Mistake(
            "mask not shifted by the cache",
            _MaskFromStart,
            "The causal mask is aligned to the start of the cache, so the new tokens cannot see all of the past. "
            "causal_mask(new, held) moves its diagonal.",
        ),
        Mistake(
            "no causal mask once something is held",
            _CausalOnlyWhenEmpty,
            "With a cache that is not empty the causal mask is gone. One new token needs none; in a chunk, a token "
            "must not see those after it.",
        ),
        Mistake(
            "held keys not looked at",
            _LooksAtNewOnly,
            "The new tokens look at each other only: what is held has to be put in front of the new keys and values.",
        ),
        Mistake(
            "only the last keys kept",
            _KeepsLastOnly,
            "The cache keeps the newest keys and values and forgets those before: keep the concatenation.",
        ),
        Mistake(
            "new keys in front",
            _NewInFront,
            "The new keys stand in front of the held ones: the order of torch.cat is old, then new.",
        ),
        Mistake(
            "keys computed again",
            _KeepsInputs,
            "The values are right, but old keys are computed again at each step. Keep the keys and values, not the "
            "inputs.",
        ),
        Mistake(
            "cache_position ignored",
            _CachePositionIgnored,
            "cache_position is ignored: new positions always went to the end. What is held from there on must go.",
        ),
        Mistake(
            "another batch starts a new cache",
            _AnotherBatchStartsAgain,
            "A batch of another size silently threw the cache away. That hides a caller's mistake and loses the text: "
            "raise ValueError.",
        ),
        Mistake(
            "use_cache=False uses the cache",
            _AlwaysCaches,
            "Without use_cache=True the cache must be neither read nor written.",
        ),
        Mistake(
            "short mask hides the past",
            _ShortMaskHidesPast,
            "A mask over the new keys alone was filled up with hidden ones: the held keys that it does not speak of "
            "may be attended to.",
        ),
        Mistake(
            "short mask at the start",
            _ShortMaskAtStart,
            "A mask over the new keys alone was laid over the first keys of the cache: its last column belongs to the "
            "last key.",
        ),
        Mistake(
            "dropout in evaluation",
            _DropsInEvaluation,
            "Weights are dropped in evaluation mode too: use nn.Dropout, or pass training=self.training.",
        ),
    ),
)
