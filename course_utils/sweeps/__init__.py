"""Sweeps: one question asked of every head, or of every layer and position, each time by an exact run.

:mod:`questions` are the sweeps themselves, :mod:`runs` cuts them into traces that keep to a bound on memory, :mod:`growing_batch` is
one such trace, and :mod:`fast_linear` picks the matrix product that is faster on this processor.
"""

from course_utils.sweeps.growing_batch import Shortcuts
from course_utils.sweeps.questions import (
    ablate_heads,
    attribution_patching,
    mean_heads,
    patch_attention,
    patch_heads,
    patch_mlp,
    patch_residual,
    permute_heads,
)
from course_utils.sweeps.runs import SweepError

__all__ = [
    "Shortcuts",
    "SweepError",
    "ablate_heads",
    "attribution_patching",
    "mean_heads",
    "patch_attention",
    "patch_heads",
    "patch_mlp",
    "patch_residual",
    "permute_heads",
]
