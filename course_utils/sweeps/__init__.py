"""Sweeps: one question asked of every head, of every layer and position, or of every path, each time by an exact run.

:mod:`questions` are the sweeps over places, :mod:`paths` the one over pairs of a sender and a receiver, called by the
names of :mod:`nodes`; :mod:`options` is what all of them can be told, and :mod:`request` reads and checks it.
:mod:`runs` makes the runs and :mod:`progress` shows how far they are, :mod:`memory` cuts them into traces that keep to
a bound, :mod:`growing_batch` is one such trace, :mod:`measure` reads the answer off its end, and :mod:`fast_linear`
picks the matrix product that is faster on this processor.

Beside them: :mod:`direct` for what goes straight to the answer, :mod:`edge_gradients` for all paths by an estimate, and
:mod:`circuit_runs` for a set of paths kept and the rest broken. What these and the paths share is one layer run by
hand, :mod:`layers_by_hand`.
"""

from course_utils.sweeps.circuit_runs import run_circuits
from course_utils.sweeps.direct import DirectEffects, direct_effects
from course_utils.sweeps.edge_gradients import edge_attribution
from course_utils.sweeps.growing_batch import Shortcuts
from course_utils.sweeps.options import Question, SweepError, SweepOptions
from course_utils.sweeps.paths import PathMap, PathOptions, patch_paths
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

__all__ = [
    "DirectEffects",
    "PathMap",
    "PathOptions",
    "Question",
    "Shortcuts",
    "SweepError",
    "SweepOptions",
    "ablate_heads",
    "attribution_patching",
    "direct_effects",
    "edge_attribution",
    "mean_heads",
    "patch_attention",
    "patch_heads",
    "patch_mlp",
    "patch_paths",
    "patch_residual",
    "permute_heads",
    "run_circuits",
]
