"""How an attention layer is called in exercise 3.1: without a mask, and with each kind that it promises to take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.kv_cache.known_layer import named, random_mask

N = 5  # positions


def _additive_mask(seed: int) -> torch.Tensor:
    return torch.randn(2, 1, N, N, generator=torch.Generator().manual_seed(seed + 3))


def _one_key_or_none(seed: int) -> torch.Tensor:
    """Query 1 may look at nothing, the others at key 0 alone."""
    mask = torch.zeros(N, N, dtype=torch.bool)
    mask[:, 0], mask[1] = True, False
    return mask


def _batch_of_masks(seed: int) -> torch.Tensor:
    """(batch, query, key), one for each of the two texts."""
    return torch.stack([random_mask(seed, N, N), random_mask(seed + 1, N, N)])


def _mask_for_each_head(seed: int) -> torch.Tensor:
    """(batch, head, query, key), boolean, one for each of two heads of the two texts."""
    return torch.stack([random_mask(seed + i, N, N) for i in range(4)]).unflatten(0, (2, 2))


def _hides_all_from_one(seed: int) -> torch.Tensor:
    """An additive mask (query, key): query 2 may look at nothing."""
    mask = torch.randn(N, N, generator=torch.Generator().manual_seed(seed + 4))
    mask[2] = -torch.inf
    return mask


def _later_keys_alone(seed: int) -> torch.Tensor:
    """Query 1 may look at keys that come after it, and, where is_causal hides those, at nothing."""
    mask = random_mask(seed, N, N) | torch.eye(N, dtype=torch.bool)
    mask[1] = torch.arange(N) > 1
    return mask


CALLS: dict[str, Callable[[int], dict[str, Any]]] = {
    "one look at everything": lambda seed: {"is_causal": False},
    "a causal run": lambda seed: {"is_causal": True},
    "a boolean mask": lambda seed: {"attn_mask": random_mask(seed, N, N)},
    "an additive mask": lambda seed: {"attn_mask": _additive_mask(seed)},
    "an additive mask together with is_causal": lambda seed: {"attn_mask": _additive_mask(seed), "is_causal": True},
    "a boolean mask together with is_causal": lambda seed: {
        "attn_mask": random_mask(seed, N, N) | torch.eye(N, dtype=torch.bool),
        "is_causal": True,
    },
    "a mask of its own for each text": lambda seed: {"attn_mask": _batch_of_masks(seed)},
    "an additive mask of its own for each text": lambda seed: {"attn_mask": _additive_mask(seed)[:, 0]},
    "a mask of its own for each text and head": lambda seed: {"attn_mask": _mask_for_each_head(seed)},
    "an additive mask of its own for each text and head": lambda seed: {
        "attn_mask": torch.randn(2, 2, N, N, generator=torch.Generator().manual_seed(seed + 5))
    },
    "an additive mask that hides everything from a query": lambda seed: {"attn_mask": _hides_all_from_one(seed)},
    "a mask that leaves a query later keys alone, together with is_causal": lambda seed: {
        "attn_mask": _later_keys_alone(seed),
        "is_causal": True,
    },
    "a query that may look at nothing": lambda seed: {"attn_mask": _one_key_or_none(seed)},
}
"""By the case's label, what a seed gives to ``forward`` beside its input."""


def in_parts(layer: Any, x: torch.Tensor, seed: int) -> dict[str, Any]:
    """What a layer's ``project`` and ``attend`` give when they are called by themselves."""
    parts = dict(zip(("queries", "keys", "values"), layer.project(x), strict=True))
    masks = {"with a mask": random_mask(seed, N, N), "with a mask that hides all": _hides_all_from_one(seed)}
    masked = {name: named(layer.attend(*parts.values(), mask)) for name, mask in masks.items()}
    return parts | named(layer.attend(*parts.values())) | masked
