"""Passes of a model: the logits of one, and how many tokens each of an answer's passes reads."""

from __future__ import annotations

from typing import Any

import torch


def logits_of(model: Any, ids: torch.Tensor, cache: Any = None) -> torch.Tensor:
    """The logits (position, vocabulary) of the ids (1, position) that are fed, after what a cache holds."""
    cached = {} if cache is None else {"past_key_values": cache, "use_cache": True}
    with model.trace(ids, **cached):
        logits = model.output.logits[0].save()
    return logits


class TokensRead:
    """Counts the tokens that a model's embedding is given in a block: ``passes`` has a number for each pass."""

    def __init__(self, model: Any) -> None:
        self.embedding = model._module.get_input_embeddings()
        self.passes: list[int] = []

    def __enter__(self) -> TokensRead:
        self.hook = self.embedding.register_forward_pre_hook(lambda _, args: self.passes.append(args[0].numel()))
        return self

    def __exit__(self, *_: Any) -> None:
        self.hook.remove()
