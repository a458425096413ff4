"""The bound on memory that a sweep keeps to: what a run takes, and how patched runs are cut into traces that fit.

Half of the bound is for the unpatched runs, which stay while their patches are run; the other half is for one trace.
Patches are sorted by the first position that they change, then by layer, and cut into chunks, one trace each. A chunk
is full when `row_bytes` says that one more row would go over, or when a larger batch would be no faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.growing_batch import Chunk, Patch, Shortcuts

MEGABYTE = 2**20
# What a process holds over what its tensors hold: each layer's tensors are a little larger than the last one's and do
# not fit into the holes that those left. Measured with glibc's allocator, oneDNN's own buffers included; see
# test_the_bound_on_memory_is_kept.
HOLES = 2.5
# A batch this large reads each weight often enough. A larger one is slower: its tensors no longer fit into the
# processor's cache, and from 32 MB on the C library fetches each of them from the system anew. So a batch is no larger,
# unless that left it with very few rows.
ENOUGH_TOKENS = 2048
FEW_ROWS = 8


@dataclass(frozen=True)
class Plan:
    """How the patched runs of prompts of one length are cut into traces.

    patches: how many runs. traces: how many share them. rows: the most that one trace may hold. row_mb: the estimate
    for one row. memory_mb: the bound.
    """

    patches: int
    traces: int
    rows: int
    row_mb: float
    memory_mb: float

    def __str__(self) -> str:
        return (
            f"{self.patches} patched runs in {self.traces} traces of at most {self.rows} rows, "
            f"{self.row_mb:.2f} MB a row, under {self.memory_mb:.0f} MB"
        )


def row_bytes(parts: Anatomy, run: int, seen: int, whole_logits: bool) -> int:
    """What one row needs at its worst moment inside a layer, estimated from above.

    run: positions that are run. seen: positions looked at, prefix included. Counted are the tensors as wide as the
    stream or the MLP that are alive together, keys and values (once as kept, once repeated for grouped heads), and
    three copies of the attention weights (scores, softmax, and its copy in the model's precision).
    """
    config = parts.model._module.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * parts.width
    stream = run * (6 * parts.width + 4 * parts.n_heads * parts.head_width)
    keys = 2 * seen * parts.head_width * (2 * parts.n_kv_heads + parts.n_heads)
    weights = 3 * parts.n_heads * run * seen
    mlp = run * (4 * parts.width + 3 * inner)
    logits = 3 * run * parts.vocabulary if whole_logits else 0
    return int(HOLES * parts.model._module.dtype.itemsize * (max(stream + keys + weights, mlp) + logits))


def run_bytes(parts: Anatomy, length: int) -> int:
    """What an unpatched run of one prompt leaves behind, in bytes: see `UnpatchedRuns`."""
    wide = parts.width + max(parts.width, parts.n_heads * parts.head_width) + 2 * parts.n_kv_heads * parts.head_width
    return int(parts.model._module.dtype.itemsize * parts.n_layers * length * wide)


def rows_at_once(parts: Anatomy, run: int, seen: int, shortcuts: Shortcuts, memory: float) -> int:
    """How many rows one trace gets: as many as `memory` bytes hold, and no more than make it fast."""
    held = int(memory / row_bytes(parts, run, seen, not shortcuts.direction))
    return min(held, max(FEW_ROWS, ENOUGH_TOKENS // run))


def cut(parts: Anatomy, patches: Sequence[Patch], length: int, shortcuts: Shortcuts, memory: float) -> list[Chunk]:
    """Cut patches of prompts of one length into chunks that need at most `memory` bytes each.

    Patches with the same first position go together, and within them those of neighbouring layers. A chunk with enough
    tokens is full; up to there, patches with another first position are taken in too. Each chunk gets one row more,
    with nothing patched.
    """

    def start(patch: Patch) -> int:
        return patch.positions[0] if shortcuts.prefix else 0

    chunks: list[list[Patch]] = []
    # By first position first: all rows of a trace are run from the same position on, so a chunk costs what its earliest
    # patch costs, and one early patch among late ones would make every row as long as its own.
    for patch in sorted(patches, key=lambda patch: (start(patch), patch.layer, patch.pair)):
        fits = False
        if chunks and shortcuts.batch:
            begun = chunks[-1]
            # Sorted as they are, the chunk's first patch has its earliest position, so this is the longest that a row
            # gets.
            run = length - start(begun[0])
            # Two more than there are: this patch, and the row with nothing patched that is added below.
            fits = len(begun) + 2 <= rows_at_once(parts, run, length, shortcuts, memory)
            if not shortcuts.grow:
                fits = fits and (patch.layer, patch.pair) == (begun[0].layer, begun[0].pair)
        if fits:
            chunks[-1].append(patch)
        else:
            chunks.append([patch])
    cut_chunks = []
    for some in chunks:
        first = start(some[0])
        # Rows are appended to the batch as their layers come, so row i of the batch is patch i only in the order of
        # layers.
        some.sort(key=lambda patch: patch.layer)
        # The row with nothing patched takes the lowest layer, so that it passes every layer that the chunk runs: it has
        # to see each fault that a patched row would meet.
        unpatched = [replace(some[0], positions=(), put=None)] if shortcuts.batch else []
        cut_chunks.append(Chunk(unpatched + some, first))
    return cut_chunks


def blocks_of_pairs(
    parts: Anatomy, prompts: Sequence[torch.Tensor], sources: Sequence[torch.Tensor], memory: float
) -> list[list[int]]:
    """Pairs whose unpatched runs fit into `memory` bytes together; a pair that is too large alone is a block of its
    own.

    Without blocks the bound would hold for the traces only, while what the unpatched runs leave grew with the list of
    pairs.
    """
    blocks: list[list[int]] = []
    room = 0.0
    for pair, (prompt, source) in enumerate(zip(prompts, sources, strict=True)):
        need = run_bytes(parts, len(prompt)) + run_bytes(parts, len(source))
        if not blocks or need > room:
            blocks.append([])
            room = memory
        blocks[-1].append(pair)
        room -= need
    return blocks
