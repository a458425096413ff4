"""The four layers of exercise 3.9: one is right, three are right for a prompt and then single tokens."""

from __future__ import annotations

import torch

from course_utils.exercises.kv_cache.attention_in_steps import CachedAttentionInSteps, Held


class _TriangleFromTheStart(CachedAttentionInSteps):
    """Needs no mask for one new position, and aligns that of several to the first key."""

    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        allowed = torch.ones(n_new, n_keys, dtype=torch.bool)
        return allowed.tril() if n_new > 1 else allowed


class _MasksThePromptAlone(CachedAttentionInSteps):
    """Behind what is held, new positions see those after them."""

    def causal(self, n_new: int, n_keys: int) -> torch.Tensor:
        return super().causal(n_new, n_keys) if n_keys == n_new else torch.ones(n_new, n_keys, dtype=torch.bool)


class _CountsOneForEachCall(CachedAttentionInSteps):
    """Behind what is held, a call makes the cache longer by one position, however many came."""

    def kept(self, new: Held, whole: Held) -> Held:
        n_held = whole[0].shape[-2] - new[0].shape[-2]
        return tuple(tensor[..., : n_held + 1, :] for tensor in whole) if n_held else whole


FOUR_LAYERS: dict[str, type[CachedAttentionInSteps]] = {
    "A": _TriangleFromTheStart,
    "B": _CountsOneForEachCall,
    "C": CachedAttentionInSteps,
    "D": _MasksThePromptAlone,
}
"""By the name that the lesson gives them."""
