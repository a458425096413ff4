"""Path patching as the papers describe it, with plain PyTorch hooks: two runs for each edge. What the tests hold the
course's own against; nothing of the sweeps is used here.

First run: the corrupted prompt, with the sender's output from the clean run, and every other head (and every MLP,
unless they are to answer) held at what it put out in the corrupted run. There the receiver's query, key, value or
output is read.
Second run: the corrupted prompt, in which that, and nothing else, is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from course_utils.model.anatomy import anatomy
from tests.sweeps.test_sweeps import hooked

Change = Callable[[torch.Tensor], torch.Tensor | None]


def projection(model: Any, layer: int, kind: str, head: int) -> tuple[torch.nn.Module, Callable[[Any], Any]]:
    """The module that makes a head's query, key or value, and its part of the output, as an index."""
    parts, attention = anatomy(model), anatomy(model).attentions[layer]._module
    width, heads, groups = parts.head_width, parts.n_heads, parts.n_kv_heads
    number = ("query", "key", "value").index(kind)
    columns = slice(head * width, (head + 1) * width)
    if hasattr(attention, "c_attn"):  # GPT-2: all queries, then all keys, then all values
        begin = (number * heads + head) * width
        return attention.c_attn, lambda _: (..., slice(begin, begin + width))
    if hasattr(attention, "query_key_value"):  # GPT-NeoX: each head's query, key and value together
        begin = (3 * head + number) * width
        return attention.query_key_value, lambda _: (..., slice(begin, begin + width))
    if hasattr(attention, "qkv_proj"):  # Phi-3
        begin = ((0, heads, heads + groups)[number] + head) * width
        return attention.qkv_proj, lambda _: (..., slice(begin, begin + width))
    norm = {"query": "q_norm", "key": "k_norm"}.get(kind, "")
    if getattr(attention, norm, None) is not None:  # what is used is what comes out of the norm
        # Qwen 3 and Gemma 3 have the heads apart there, OLMo 2 has not.
        def part(output: torch.Tensor) -> Any:
            if output.ndim == 3:
                return (..., columns)
            return (slice(None), slice(None), head) if output.shape[2] in (heads, groups) else (slice(None), head)

        return getattr(attention, norm), part
    return getattr(attention, f"{kind[0]}_proj"), lambda _: (..., columns)


class Loop:
    """The runs of one pair of prompts (1, position), edge by edge; `through` as in `patch_paths`."""

    def __init__(
        self,
        model: Any,
        clean: torch.Tensor,
        corrupted: torch.Tensor,
        positions: Sequence[int] | None = None,
        through: str | None = None,
    ):
        self.model, self.parts, self.through, self.corrupted = model, anatomy(model), through, corrupted
        self.shift = clean.shape[1] - corrupted.shape[1]
        alike = range(max(0, -self.shift), corrupted.shape[1])
        self.positions = list(alike if positions is None else positions)
        self.theirs, self.own = self._outputs(clean), self._outputs(corrupted)

    def sites(self) -> dict[tuple[str, int], tuple[torch.nn.Module, bool]]:
        """Where the heads (before the projection) and the MLPs write; True: it is the module's input."""
        parts = self.parts
        found: dict[tuple[str, int], tuple[torch.nn.Module, bool]] = {("embedding", 0): (parts.layers[0]._module, True)}
        for layer in range(parts.n_layers):
            found["head", layer] = (parts.out_projections[layer]._module, True)
            found["mlp", layer] = (parts.mlp_writers[layer]._module, False)
        return found

    @torch.no_grad()
    def _outputs(self, tokens: torch.Tensor) -> dict[tuple[str, int], torch.Tensor]:
        kept: dict[tuple[str, int], torch.Tensor] = {}
        with ExitStack() as stack:
            for site, (module, before) in self.sites().items():

                def keep(value: torch.Tensor, site: tuple[str, int] = site) -> None:
                    kept[site] = value.clone()

                stack.enter_context(hooked(module, keep, before))
            self.model._module(tokens)
        return kept

    @torch.no_grad()
    def edge(self, sender: Any, receiver: Any) -> torch.Tensor:
        """The logits (vocabulary,) at the last position of the patched run."""
        frozen_logits, read = self._first_run(sender, receiver)
        if receiver.kind == "logits":
            return frozen_logits
        if receiver.kind == "mlp":
            module, part = self.parts.mlp_writers[receiver.layer]._module, lambda _: ...
        else:
            module, part = projection(self.model, receiver.layer, receiver.kind, receiver.head)

        def put(value: torch.Tensor) -> torch.Tensor:
            changed = value.clone()
            changed[part(value)] = read[0][part(value)]
            return changed

        with hooked(module, put, False):
            return self.model._module(self.corrupted).logits[0, -1]

    def _first_run(self, sender: Any, receiver: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
        read: list[torch.Tensor] = []
        with ExitStack() as stack:
            if receiver.kind == "mlp":
                module = self.parts.mlp_writers[receiver.layer]._module
                stack.enter_context(hooked(module, lambda value: read.append(value.clone()), False))
            elif receiver.kind != "logits":
                module, _ = projection(self.model, receiver.layer, receiver.kind, receiver.head)
                stack.enter_context(hooked(module, lambda value: read.append(value.clone()), False))
            for site, (module, before) in self.sites().items():
                change = self._held(site, sender)
                if change is not None:
                    stack.enter_context(hooked(module, change, before))
            logits = self.model._module(self.corrupted).logits[0, -1]
        return logits, read

    def _held(self, site: tuple[str, int], sender: Any) -> Change | None:
        kind, layer = site
        if kind == sender.kind and layer == sender.layer:
            held = self.own[site].clone()
            width = self.parts.head_width
            columns = slice(sender.head * width, (sender.head + 1) * width) if kind == "head" else slice(None)
            for position in self.positions:
                held[:, position, columns] = self.theirs[site][:, position + self.shift, columns]
            return lambda _: held
        answers = kind == "mlp" and self.through == "mlps"
        return None if answers or kind == "embedding" else lambda _: self.own[site]
