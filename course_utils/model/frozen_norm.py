"""The final norm as a linear map, so that what reaches the logits can be split into what each part gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from course_utils.model.anatomy import anatomy

if TYPE_CHECKING:
    from nnsight import TransformersModel


@dataclass(frozen=True)
class FrozenNorm:
    """The final norm as the linear map that it is once its divisor is fixed: one residual's, for each of its parts.

    ``frozen(part)`` takes a part of the residual, (..., width). For parts that sum to the residual, the
    ``frozen(part)`` and ``bias`` sum to the normalised residual.

    Attributes:
        gain, bias: (width,); the bias of an RMSNorm is zero.
        centres: whether the mean over the width is subtracted first, as LayerNorm does.
        divisor: the residual's root mean square (LayerNorm: standard deviation).
    """

    gain: torch.Tensor
    bias: torch.Tensor
    centres: bool
    divisor: float

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        if self.centres:
            part = part - part.mean(dim=-1, keepdim=True)
        return part * self.gain / self.divisor


def frozen_norm(model: TransformersModel, residual: torch.Tensor) -> FrozenNorm:
    """The final norm with its divisor frozen at that of ``residual``, (width,).

    The residual is the sum over the whole stream at one position. Families store a norm's weight in different ways
    (Gemma: minus one), so it is not read but measured: on the vector (1, -1, 1, -1, ...), whose mean is 0 and whose
    root mean square is 1, a norm gives gain and bias directly.

    Raises:
        ValueError: ``residual`` is not one vector, or the final norm is neither an RMSNorm nor a LayerNorm.
    """
    parts = anatomy(model)
    if residual.shape != (parts.width,):
        raise ValueError(f"The residual has shape {tuple(residual.shape)}; expected one position's, ({parts.width},).")
    signs = torch.ones_like(residual)
    signs[1::2] = -1.0
    loud = 100.0 * signs  # so loud that the norm's epsilon does not count
    above, below = parts.normalise(loud), parts.normalise(-loud)
    gain, bias = (above - below) / 2 * signs, (above + below) / 2
    centres = torch.allclose(parts.normalise(loud + 100.0), above, rtol=1e-2, atol=1e-2)
    whole = FrozenNorm(gain, bias, centres, 1.0)(residual)
    normed = parts.normalise(residual)
    divisor = float(whole.float().norm() / (normed - bias).float().norm())
    frozen = FrozenNorm(gain, bias, centres, divisor)
    largest = float(normed.abs().max())
    if not float((frozen(residual) + bias - normed).abs().max()) <= 1e-2 * max(1.0, largest):
        raise ValueError(
            f"{parts.family}: the final norm is neither an RMSNorm nor a LayerNorm, so it cannot be frozen."
        )
    return frozen
