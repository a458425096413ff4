"""Paths against a loop of plain hooks, edge by edge, on every family; against TransformerLens; against themselves with
each shortcut alone; and what is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.tiny import TINY_MODELS
from course_utils.sweeps import Shortcuts, SweepError, patch_heads, patch_paths
from course_utils.sweeps.nodes import Receiver, Sender, all_edges, all_receivers, all_senders
from tests.sweeps.loop_of_paths import Loop
from tests.sweeps.test_sweeps import (
    ANSWERS,
    CLEAN,
    CORRUPTED,
    LONGER,
    NAMES,
    SHORTER,
    ids_of,
    must_agree,
)


def loop(model: Any, clean: str, corrupted: str, edges: list[tuple[Sender, Receiver]], **how: Any) -> torch.Tensor:
    """The logit difference of each edge's patched run, (edge,), two runs at a time."""
    runs = Loop(model, ids_of(model, clean), ids_of(model, corrupted), **how)
    first, second = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS)
    logits = torch.stack([runs.edge(*edge) for edge in edges])
    return logits[:, first] - logits[:, second]


def of_map(found: Any, edges: list[tuple[Sender, Receiver]]) -> torch.Tensor:
    rows = [found.receivers.index(receiver) for _, receiver in edges]
    columns = [found.senders.index(sender) for sender, _ in edges]
    return found.numbers[..., rows, columns]


@pytest.mark.parametrize("through", [None, "mlps"])
@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_edge_is_that_of_the_loop_of_hooks(tiny: Callable[..., Any], name: str, through: Any) -> None:
    model = tiny(name, seed=1)
    edges = all_edges(anatomy(model))
    expected = loop(model, CLEAN, CORRUPTED, edges, through=through)
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, through=through)
    for kind in ("query", "key", "value", "mlp", "logits"):  # else any answer would agree
        some = [number for number, (_, receiver) in zip(expected, edges, strict=True) if receiver.kind == kind]
        assert float(torch.stack(some).std()) > 1e-3
    must_agree(of_map(found, edges), expected)
    assert int(found.numbers.isnan().sum()) == found.numbers.numel() - len(edges)
