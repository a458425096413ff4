"""A whole sweep: which runs share a trace, what memory they take, and what each one says.

The runs without a patch come first: each different prompt once. What they leave behind is the material of the growing batches of
:mod:`course_utils.sweeps.growing_batch`. Patches are sorted by the first position that they change, then by layer, and cut into
chunks, one trace each. A chunk is full when `row_bytes` says that one more row would go over half of the bound on memory; the
other half is for the unpatched runs. The bar, and the log at level INFO, say the plan.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.growing_batch import (
    ALL_SHORTCUTS,
    Chunk,
    Material,
    Patch,
    Runs,
    Shortcuts,
    Site,
    run_chunk,
    run_unpatched,
)

Metric = Callable[[torch.Tensor], torch.Tensor]
Change = Callable[[int, torch.Tensor], torch.Tensor]

MEGABYTE = 2**20
# What a process holds over what its tensors hold: each layer's tensors are a little larger than the last one's and do not fit into the
# holes that those left. Measured with glibc's allocator, oneDNN's own buffers included; see test_the_bound_on_memory_is_kept.
HOLES = 2.5
# A batch this large reads each weight often enough. A larger one is slower: its tensors no longer fit into the processor's cache, and
# from 32 MB on the C library fetches each of them from the system anew. So a batch is no larger, unless that left it with very few rows.
ENOUGH_TOKENS = 2048
FEW_ROWS = 8
# How far a run with nothing patched may end from where the model itself ends, relative to the length of the vector.
AGREE = {torch.float32: 1e-3, torch.float64: 1e-6}
AGREE_IN_HALF = 0.1

_log = logging.getLogger(__name__)


class SweepError(ValueError):
    """A sweep was asked for something that does not exist; the message names it."""


@dataclass(frozen=True)
class Measure:
    """From the last position's residual after the last layer to one number for each run.

    answers: the two token ids of each pair (pair, 2), and the number is the first one's logit minus the second one's.
    metric: instead of answers, a function of all logits, (batch, vocabulary) to (batch,).
    """

    answers: torch.Tensor | None = None
    metric: Metric | None = None

    def of_logits(self, logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """(row, vocabulary) and each row's pair (row,) to (row,), in float32."""
        logits = logits.float()
        if self.answers is not None:
            chosen = logits.gather(1, self.answers[pairs])
            return chosen[:, 0] - chosen[:, 1]
        assert self.metric is not None
        value = self.metric(logits)
        if not isinstance(value, torch.Tensor) or value.shape != logits.shape[:1]:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise SweepError(
                f"metric returned {shape} for logits of shape {tuple(logits.shape)}; expected one number for each row, "
                f"a tensor of shape {tuple(logits.shape[:1])}. Reduce over the last dimension only."
            )
        return value.float()

    def of_residual(
        self, parts: Anatomy, residual: torch.Tensor, pairs: torch.Tensor, direction: bool, memory: float
    ) -> torch.Tensor:
        """(row, width) and each row's pair (row,) to (row,), in float32."""
        normed = parts.normalise(residual)
        unembedding = parts.unembedding._module
        if direction and self.answers is not None and type(unembedding) is torch.nn.Linear:
            ids = self.answers[pairs]
            scores = (unembedding.weight[ids].float() @ normed.float().unsqueeze(-1)).squeeze(-1)
            if unembedding.bias is not None:
                scores = scores + unembedding.bias[ids].float()
            chosen = parts.finish_logits(scores)
            return chosen[:, 0] - chosen[:, 1]
        rows = max(1, int(memory / (parts.vocabulary * 16)))
        parted = zip(normed.split(rows), pairs.split(rows), strict=True)
        return torch.cat([self.of_logits(parts.logits(some), which) for some, which in parted])


# How a sweep is cut into traces.


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

    run: positions that are run. seen: positions looked at, prefix included. Counted are the tensors as wide as the stream or the
    MLP that are alive together, keys and values (once as kept, once repeated for grouped heads), and three copies
    of the attention weights (scores, softmax, and its copy in the model's precision).
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
    """What an unpatched run of one prompt leaves behind, in bytes: see `Runs`."""
    wide = parts.width + max(parts.width, parts.n_heads * parts.head_width) + 2 * parts.n_kv_heads * parts.head_width
    return int(parts.model._module.dtype.itemsize * parts.n_layers * length * wide)


def rows_at_once(parts: Anatomy, run: int, seen: int, shortcuts: Shortcuts, memory: float) -> int:
    """How many rows one trace gets: as many as `memory` bytes hold, and no more than make it fast."""
    held = int(memory / row_bytes(parts, run, seen, not shortcuts.direction))
    return min(held, max(FEW_ROWS, ENOUGH_TOKENS // run))


def cut(parts: Anatomy, patches: Sequence[Patch], length: int, shortcuts: Shortcuts, memory: float) -> list[Chunk]:
    """Cut patches of prompts of one length into chunks that need at most `memory` bytes each.

    Patches with the same first position go together, and within them those of neighbouring layers. A chunk with enough tokens is
    full; up to there, patches with another first position are taken in too. Each chunk gets one row more, with nothing patched.
    """

    def start(patch: Patch) -> int:
        return patch.positions[0] if shortcuts.prefix else 0

    chunks: list[list[Patch]] = []
    for patch in sorted(patches, key=lambda patch: (start(patch), patch.layer, patch.pair)):
        fits = False
        if chunks and shortcuts.batch:
            begun = chunks[-1]
            run = length - start(begun[0])
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
        some.sort(key=lambda patch: patch.layer)
        control = [replace(some[0], positions=())] if shortcuts.batch else []
        cut_chunks.append(Chunk(control + some, first))
    return cut_chunks


# The whole sweep.


def run_sweep(
    parts: Anatomy,
    prompts: Sequence[torch.Tensor],
    patches: Sequence[Patch],
    site: Site,
    measure: Measure,
    *,
    sources: Sequence[torch.Tensor] | None = None,
    change: Change | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
    memory_mb: float = 1024,
    progress: bool | None = None,
) -> torch.Tensor:
    """The measure of each patched run, in the order of `patches`, exact; (patch,) in float32 on the CPU.

    Args:
        prompts: the token ids of each pair's patched prompt, (position,).
        sources: those of each pair's source prompt, aligned to the patched one from the end; without it, the patched prompt itself.
        change: (layer, what the source holds at the site) to what is put in, of the same shape.
        memory_mb: a bound on the memory that the sweep takes on top of the model, in MB.
        progress: a bar: always, never, or (None) from the third second on.

    Raises:
        SweepError: the bound cannot be kept even one run at a time, or the model does not repeat its own unpatched run.
    """
    numbers = torch.full((len(patches),), float("nan"))
    sources = prompts if sources is None else sources
    places: dict[int, list[int]] = {}
    for place, patch in enumerate(patches):
        places.setdefault(patch.pair, []).append(place)
    bar = tqdm(
        total=len(patches),
        delay=0 if progress else 3,
        disable=progress is False,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    )
    with bar, fast_linear(shortcuts.product):
        for block in _blocks(parts, prompts, sources, memory_mb):
            asked = [place for pair in block for place in places.get(pair, [])]
            some = [patches[place] for place in asked]
            found = _run_block(parts, prompts, some, site, measure, sources, change, shortcuts, memory_mb, bar)
            numbers[torch.tensor(asked, dtype=torch.long)] = found
    return numbers


def _blocks(
    parts: Anatomy, prompts: Sequence[torch.Tensor], sources: Sequence[torch.Tensor], memory_mb: float
) -> list[list[int]]:
    """Pairs whose unpatched runs fit into half of the memory; the other half is for the patched ones."""
    blocks: list[list[int]] = []
    room = 0.0
    for pair, (prompt, source) in enumerate(zip(prompts, sources, strict=True)):
        need = run_bytes(parts, len(prompt)) + run_bytes(parts, len(source))
        if not blocks or need > room:
            blocks.append([])
            room = memory_mb * MEGABYTE / 2
        blocks[-1].append(pair)
        room -= need
    return blocks


def _run_block(
    parts: Anatomy,
    prompts: Sequence[torch.Tensor],
    patches: Sequence[Patch],
    site: Site,
    measure: Measure,
    sources: Sequence[torch.Tensor],
    change: Change | None,
    shortcuts: Shortcuts,
    memory_mb: float,
    bar: Any,
) -> torch.Tensor:
    pairs = sorted({patch.pair for patch in patches})
    layers = {patch.layer for patch in patches}
    half = memory_mb * MEGABYTE / 2
    runs, place = _unpatched_runs(
        parts, [*(prompts[i] for i in pairs), *(sources[i] for i in pairs)], site, layers, half
    )
    device = parts.model._module.device

    by_length: dict[int, list[int]] = {}
    for pair in pairs:
        by_length.setdefault(len(prompts[pair]), []).append(pair)
    numbers = torch.empty(len(patches))
    for length, same in by_length.items():
        base = runs[length]
        base_row = {pair: place[_key(prompts[pair])] for pair in same}
        rows = torch.tensor([base_row[pair] for pair in same], device=device)
        which = torch.tensor(same, device=device)
        ends = measure.of_residual(parts, base.last[rows], which, shortcuts.direction, half)
        unpatched = dict(zip(same, ends.tolist(), strict=True))

        asked: dict[Patch, list[int]] = {}
        for number, patch in enumerate(patches):
            if patch.pair not in base_row:
                continue
            if shortcuts.prefix and change is None:
                # What stands in the common prefix is the same in both runs already.
                begin = _common(prompts[patch.pair], sources[patch.pair])
                patch = replace(patch, positions=tuple(p for p in patch.positions if p >= begin))
            if patch.positions:
                asked.setdefault(patch, []).append(number)
            else:
                numbers[number] = unpatched[patch.pair]
                bar.update(1)
        if not asked:
            continue
        source, source_row = _aligned(runs, place, {pair: sources[pair] for pair in same}, length, change)
        material = Material(prompts[same[0]], base, base_row, source, source_row)
        run = length - (min(patch.positions[0] for patch in asked) if shortcuts.prefix else 0)
        one = row_bytes(parts, run, length, not shortcuts.direction)
        need = max(row_bytes(parts, length, length, False), 2 * one)
        if need > half:
            raise SweepError(
                f"memory_mb={memory_mb:g} is too little: a run of {length} tokens, or two patched ones, need "
                f"about {need / MEGABYTE:.1f} MB, and half of the bound is for either. "
                f"Give at least memory_mb={2 * need / MEGABYTE + 0.1:.1f}, or shorter prompts."
            )
        chunks = cut(parts, list(asked), length, shortcuts, half)
        rows_a_trace = rows_at_once(parts, run, length, shortcuts, half)
        plan = Plan(len(asked), len(chunks), rows_a_trace, one / MEGABYTE, memory_mb)
        _log.info("%s", plan)
        bar.set_description_str(str(plan), refresh=False)
        for chunk in chunks:
            found = _measure_chunk(parts, chunk, material, site, measure, shortcuts, half, bar)
            for patch, number in zip([p for p in chunk.patches if p.positions], found.tolist(), strict=True):
                numbers[asked[patch]] = number
    return numbers


def _measure_chunk(
    parts: Anatomy,
    chunk: Chunk,
    material: Material,
    site: Site,
    measure: Measure,
    shortcuts: Shortcuts,
    memory: float,
    bar: Any,
) -> torch.Tensor:
    """The numbers of a chunk's patches, (patch,), once its row with nothing patched ended where the model itself ends."""
    last = run_chunk(parts, chunk, material, site, shortcuts, lambda runs: bar.update(min(runs, bar.total - bar.n)))
    patches = chunk.patches
    if not patches[0].positions:
        distance = _distance(parts, last[0], material.base.last[material.base_row[patches[0].pair]])
        last, patches = last[1:], patches[1:]
        if not distance <= AGREE.get(last.dtype, AGREE_IN_HALF):
            return _with_fewer_shortcuts(parts, patches, distance, material, site, measure, shortcuts, memory, bar)
    pairs = torch.tensor([patch.pair for patch in patches], device=last.device)
    if shortcuts.direction:
        return measure.of_residual(parts, last, pairs, True, memory).cpu()
    return measure.of_logits(last, pairs).cpu()


def _distance(parts: Anatomy, ended: torch.Tensor, should: torch.Tensor) -> float:
    """How far a run ends from where it should, relative; ended is a residual (width,), or logits (vocabulary,)."""
    if ended.shape != should.shape:
        should = parts.unembed(should)
    return float((ended.float() - should.float()).norm() / should.float().norm())


def _with_fewer_shortcuts(
    parts: Anatomy,
    patches: list[Patch],
    distance: float,
    material: Material,
    site: Site,
    measure: Measure,
    shortcuts: Shortcuts,
    memory: float,
    bar: Any,
) -> torch.Tensor:
    what = f"{parts.family}: a run with nothing patched ends {distance:.1g} away (relative) from where the model itself ends"
    fewer = next((replace(shortcuts, **{name: False}) for name in ("prefix", "skip") if getattr(shortcuts, name)), None)
    if fewer is None:
        raise SweepError(
            f"{what}. The model does not repeat its own runs, so a sweep over it would show wrong numbers."
        )
    warnings.warn(f"{what}. The sweep goes on with fewer shortcuts, exact and slower: {fewer}.", stacklevel=2)
    found: dict[Patch, torch.Tensor] = {}
    for again in cut(parts, patches, len(material.tokens), fewer, memory):
        numbers = _measure_chunk(parts, again, material, site, measure, fewer, memory, bar)
        found.update(zip([patch for patch in again.patches if patch.positions], numbers, strict=True))
    return torch.stack([found[patch] for patch in patches])


def _unpatched_runs(
    parts: Anatomy, prompts: Sequence[torch.Tensor], site: Site, layers: set[int], memory: float
) -> tuple[dict[int, Runs], dict[tuple[int, ...], int]]:
    """Each different prompt once, those of one length in one batch: the runs by length, and each prompt's row in them."""
    rows: dict[int, list[torch.Tensor]] = {}
    place: dict[tuple[int, ...], int] = {}
    for prompt in prompts:
        same = rows.setdefault(len(prompt), [])
        if _key(prompt) not in place:
            place[_key(prompt)] = len(same)
            same.append(prompt)
    runs = {}
    for length, same in rows.items():
        at_once = max(1, int(memory / row_bytes(parts, length, length, False)))
        batches = [torch.stack(same[i : i + at_once]) for i in range(0, len(same), at_once)]
        runs[length] = _joined([run_unpatched(parts, batch, site, layers) for batch in batches])
    return runs, place


def _joined(batches: list[Runs]) -> Runs:
    if len(batches) == 1:
        return batches[0]

    def by_layer(of: Callable[[Runs], list[torch.Tensor]]) -> list[torch.Tensor]:
        return [torch.cat(some) for some in zip(*map(of, batches), strict=True)]

    return Runs(
        residual=by_layer(lambda batch: batch.residual),
        found={layer: torch.cat([batch.found[layer] for batch in batches]) for layer in batches[0].found},
        keys=by_layer(lambda batch: batch.keys),
        values=by_layer(lambda batch: batch.values),
        last=torch.cat([batch.last for batch in batches]),
    )


def _aligned(
    runs: dict[int, Runs],
    place: dict[tuple[int, ...], int],
    sources: dict[int, torch.Tensor],
    length: int,
    change: Change | None,
) -> tuple[dict[int, torch.Tensor], dict[int, int]]:
    """What is put in at each layer, counted in positions of the patched prompts, and each pair's row in it."""
    if all(len(source) == length for source in sources.values()):
        found = runs[length].found
        row = {pair: place[_key(source)] for pair, source in sources.items()}
    else:
        row = {pair: i for i, pair in enumerate(sources)}
        found = {}
        for layer, here in runs[length].found.items():
            found[layer] = here.new_zeros(len(row), *here.shape[1:])
            for pair, source in sources.items():
                shared = min(length, len(source))
                theirs = runs[len(source)].found[layer][place[_key(source)]]
                found[layer][row[pair], length - shared :] = theirs[len(source) - shared :]
    if change is not None:
        found = {layer: change(layer, here) for layer, here in found.items()}
    return found, row


def _common(prompt: torch.Tensor, source: torch.Tensor) -> int:
    """How many tokens two prompts share at the beginning. None if they differ in length, since they are aligned at the end."""
    if len(prompt) != len(source):
        return 0
    differs = (prompt != source).nonzero()
    return int(differs[0]) if len(differs) else len(prompt)


def _key(prompt: torch.Tensor) -> tuple[int, ...]:
    return tuple(prompt.tolist())
