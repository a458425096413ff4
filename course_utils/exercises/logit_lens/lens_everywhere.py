"""The lens without any choice of depth, position or token: what the known mistakes of several exercises start from."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream


def lens_everywhere(model: Any, prompt: str) -> torch.Tensor:
    """Logits (depth, position, vocabulary)."""
    return anatomy(model).unembed(residual_stream(model, prompt))


def lens_without_norm(model: Any, prompt: str) -> torch.Tensor:
    """The same, without the final norm."""
    return anatomy(model).logits(residual_stream(model, prompt))
