"""Passes of a model: the logits of one, and how many tokens each of an answer's passes reads."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.model.anatomy import anatomy


def logits_of(model: Any, ids: torch.Tensor, cache: Any = None) -> torch.Tensor:
    """The logits (position, vocabulary) of the ids (1, position) that are fed, after what a cache holds."""
    cached = {} if cache is None else {"past_key_values": cache, "use_cache": True}
    with model.trace(ids, **cached):
        logits = model.output.logits[0].save()
    return logits


class TokensRead:
    """Counts the tokens that a model's first layer is given in a block: ``passes`` has a number for each pass.

    At the first layer, since every run goes through it: one that is given embeddings never meets the embedding, and
    whoever looks a row of it up runs nothing. Some runs stop before the last layer.
    """

    def __init__(self, model: Any) -> None:
        self.layer = anatomy(model).layers[0]._module
        self.passes: list[int] = []

    def _count(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        stream = args[0] if args else kwargs["hidden_states"]  # (batch, position, width)
        self.passes.append(stream.shape[0] * stream.shape[1])

    def __enter__(self) -> TokensRead:
        self.hook = self.layer.register_forward_pre_hook(self._count, with_kwargs=True)
        return self

    def __exit__(self, *_: Any) -> None:
        self.hook.remove()
