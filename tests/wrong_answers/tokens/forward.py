"""The forward pass that most wrong answers to the exercises of lesson 1 begin with."""

from __future__ import annotations

from typing import Any

import torch


def logits_of(model: Any, text: str) -> torch.Tensor:
    with model.trace(text):
        logits = model.output.logits.save()
    return logits
