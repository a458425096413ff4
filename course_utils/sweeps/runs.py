"""A whole sweep: the unpatched runs first, then the patched ones, and what each one says.

The runs without a patch come first: each different prompt once. What they leave behind is the material of the growing
batches of :mod:`course_utils.sweeps.growing_batch`, and :mod:`course_utils.sweeps.memory` says how many patches share
one of those. The bar, and the log at level INFO, say the plan. Each trace's row with nothing patched is held against
the model's own run.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.growing_batch import (
    Chunk,
    Material,
    Patch,
    Shortcuts,
    Site,
    UnpatchedRuns,
    run_chunk,
    run_unpatched,
)
from course_utils.sweeps.measure import Measure
from course_utils.sweeps.memory import MEGABYTE, Plan, blocks_of_pairs, cut, row_bytes, rows_at_once
from course_utils.sweeps.options import SweepError
from course_utils.sweeps.progress import Bar, progress_bar

Change = Callable[[int, torch.Tensor], torch.Tensor]
"""(layer, what the source holds at the site) to what is put in, of the same shape."""

# How far a run with nothing patched may end from where the model itself ends, relative to the length of the vector. Not
# zero: in a batch of another size the same sums are taken in another order.
AGREE = {torch.float32: 1e-3, torch.float64: 1e-6}
AGREE_IN_HALF = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """What all the patched runs of a sweep have in common.

    prompts: the token ids of each pair's patched prompt, (position,).
    sources: those of each pair's source prompt, aligned to the patched one from the end.
    site, measure: where a patch is put, and what is read at the end.
    change: what is put in instead of what the source holds; that itself, if None.
    shortcuts: which may be taken. memory_mb: a bound on the memory that the sweep takes on top of the model, in MB.
    """

    parts: Anatomy
    prompts: Sequence[torch.Tensor]
    sources: Sequence[torch.Tensor]
    site: Site
    measure: Measure
    change: Change | None
    shortcuts: Shortcuts
    memory_mb: float

    @property
    def half(self) -> float:
        """Half of the bound, in bytes, for the unpatched runs, and for one trace of patched ones."""
        return self.memory_mb * MEGABYTE / 2


def run_sweep(sweep: Sweep, patches: Sequence[Patch], progress: bool | None = None) -> torch.Tensor:
    """The measure of each patched run, in the order of `patches`, exact; (patch,) in float32 on the CPU.

    Args:
        progress: as in :class:`~course_utils.sweeps.options.Bounded`.

    Raises:
        SweepError: the bound cannot be kept even one run at a time, or the model does not repeat its own unpatched run.
    """
    numbers = torch.full((len(patches),), float("nan"))
    places: dict[int, list[int]] = {}
    for place, patch in enumerate(patches):
        places.setdefault(patch.pair, []).append(place)
    with progress_bar(len(patches), progress) as bar, fast_linear(sweep.shortcuts.product):
        for block in blocks_of_pairs(sweep.parts, sweep.prompts, sweep.sources, sweep.half):
            of_block = [place for pair in block for place in places.get(pair, [])]
            found = _run_block(sweep, [patches[place] for place in of_block], bar)
            numbers[torch.tensor(of_block, dtype=torch.long)] = found
    return numbers


def _run_block(sweep: Sweep, patches: Sequence[Patch], bar: Bar) -> torch.Tensor:
    """The numbers of patches whose pairs' unpatched runs fit into half of the memory, (patch,)."""
    pairs = sorted({patch.pair for patch in patches})
    used = [*(sweep.prompts[pair] for pair in pairs), *(sweep.sources[pair] for pair in pairs)]
    runs, row_of = unpatched_runs(sweep, used, (sweep.site,), {patch.layer for patch in patches})

    by_length: dict[int, list[int]] = {}
    for pair in pairs:
        by_length.setdefault(len(sweep.prompts[pair]), []).append(pair)
    numbers = torch.empty(len(patches))
    for length, same in by_length.items():
        base_row = {pair: row_of[prompt_key(sweep.prompts[pair])] for pair in same}
        places = [place for place, patch in enumerate(patches) if patch.pair in base_row]
        source, source_row = _aligned(sweep, runs, row_of, same)
        material = Material(sweep.prompts[same[0]], runs[length], base_row, source, source_row)
        numbers[places] = _run_one_length(sweep, [patches[place] for place in places], material, bar)
    return numbers


def _run_one_length(sweep: Sweep, patches: Sequence[Patch], material: Material, bar: Bar) -> torch.Tensor:
    """The numbers of patches whose prompts are equally long, (patch,): those known already, and the rest in chunks."""
    parts, shortcuts, length = sweep.parts, sweep.shortcuts, len(material.tokens)
    unpatched = unpatched_numbers(sweep, material)
    numbers = torch.empty(len(patches))
    # Two places may come down to the same patch, once the positions that it cannot change are taken away: it is run
    # once.
    places: dict[Patch, list[int]] = {}
    for place, patch in enumerate(patches):
        effective = _without_common_beginning(sweep, patch)
        if effective.positions:
            places.setdefault(effective, []).append(place)
        else:
            numbers[place] = unpatched[patch.pair]
            bar.update(1)
    if not places:
        return numbers
    run = length - (min(patch.positions[0] for patch in places) if shortcuts.prefix else 0)
    one = row_bytes(parts, run, length, not shortcuts.direction)
    # Two rows at least: a patched one, and the one with nothing patched that shares its trace.
    need = max(row_bytes(parts, length, length, False), 2 * one)
    if need > sweep.half:
        raise SweepError(
            f"memory_mb={sweep.memory_mb:g} is too little: a run of {length} tokens, or two patched ones, need "
            f"about {need / MEGABYTE:.1f} MB, and half of the bound is for either. "
            f"Give at least memory_mb={2 * need / MEGABYTE + 0.1:.1f}, or shorter prompts."
        )
    chunks = cut(parts, list(places), length, shortcuts, sweep.half)
    rows = rows_at_once(parts, run, length, shortcuts, sweep.half)
    plan = Plan(len(places), len(chunks), rows, one / MEGABYTE, sweep.memory_mb)
    _log.info("%s", plan)
    bar.set_description_str(str(plan), refresh=False)
    for chunk in chunks:
        found = measure_chunk(sweep, chunk, material, shortcuts, bar)
        for patch, number in zip([p for p in chunk.patches if p.positions], found.tolist(), strict=True):
            numbers[places[patch]] = number
    return numbers


def _without_common_beginning(sweep: Sweep, patch: Patch) -> Patch:
    """The patch at those positions only where the two runs can differ.

    What stands in the common prefix is the same in both runs already, so nothing is put in there, and the trace can
    start behind it. With a `change` this does not hold: it alters what it finds, wherever that is.
    """
    if not sweep.shortcuts.prefix or sweep.change is not None:
        return patch
    begin = common_beginning(sweep.prompts[patch.pair], sweep.sources[patch.pair])
    return replace(patch, positions=tuple(position for position in patch.positions if position >= begin))


def unpatched_numbers(sweep: Sweep, material: Material) -> dict[int, float]:
    """The measure of each pair's patched prompt with nothing patched."""
    base = material.base
    pairs = torch.tensor(list(material.base_row), device=base.last.device)
    rows = torch.tensor(list(material.base_row.values()), device=base.last.device)
    numbers = sweep.measure.of_residual(sweep.parts, base.last[rows], pairs, sweep.shortcuts.direction, sweep.half)
    return dict(zip(material.base_row, numbers.tolist(), strict=True))


def measure_chunk(sweep: Sweep, chunk: Chunk, material: Material, shortcuts: Shortcuts, bar: Bar) -> torch.Tensor:
    """The numbers of a chunk's patches, (patch,), once its row with nothing patched ended where the model itself ends.

    `shortcuts` are the sweep's, or fewer where those did not hold.
    """

    def advance(runs: float) -> None:
        # A chunk that is run again, with fewer shortcuts, must not take the bar past its end.
        bar.update(min(runs, bar.total - bar.n))

    last = run_chunk(sweep.parts, chunk, material, sweep.site, shortcuts, advance)
    patches = chunk.patches
    if not patches[0].positions:
        distance = _distance(sweep.parts, last[0], material.base.last[material.base_row[patches[0].pair]])
        last, patches = last[1:], patches[1:]
        # Not `distance > ...`: a NaN compares as false, and must not pass.
        if not distance <= AGREE.get(last.dtype, AGREE_IN_HALF):
            fewer = _fewer_shortcuts(sweep, shortcuts, distance)
            return _measure_again(sweep, patches, material, fewer, bar)
    pairs = torch.tensor([patch.pair for patch in patches], device=last.device)
    if shortcuts.direction:
        return sweep.measure.of_residual(sweep.parts, last, pairs, True, sweep.half).cpu()
    return sweep.measure.of_logits(last, pairs).cpu()


def _distance(parts: Anatomy, ended: torch.Tensor, should: torch.Tensor) -> float:
    """How far a run ends from where it should, relative; ended is a residual (width,), or logits (vocabulary,)."""
    if ended.shape != should.shape:
        should = parts.unembed(should)
    return float((ended.float() - should.float()).norm() / should.float().norm())


def _fewer_shortcuts(sweep: Sweep, shortcuts: Shortcuts, distance: float) -> Shortcuts:
    """Those that are left when a run with nothing patched ended that far away; a warning says so.

    `prefix` goes first and `skip` next: only these two put something kept in the place of something computed. The
    others share work or leave it out; a run that ends elsewhere even without the two is no ground for any sweep.
    """
    what = (
        f"{sweep.parts.family}: a run with nothing patched ends {distance:.1g} away (relative) "
        "from where the model itself ends"
    )
    for name in ("prefix", "skip"):
        if getattr(shortcuts, name):
            fewer = replace(shortcuts, **{name: False})
            warnings.warn(f"{what}. The sweep goes on with fewer shortcuts, exact and slower: {fewer}.", stacklevel=2)
            return fewer
    raise SweepError(f"{what}. The model does not repeat its own runs, so a sweep over it would show wrong numbers.")


def _measure_again(
    sweep: Sweep, patches: list[Patch], material: Material, shortcuts: Shortcuts, bar: Bar
) -> torch.Tensor:
    # Cut anew: without a shortcut a row is longer, or there are more of them, and the old chunk may not fit any more.
    found: dict[Patch, torch.Tensor] = {}
    for chunk in cut(sweep.parts, patches, len(material.tokens), shortcuts, sweep.half):
        numbers = measure_chunk(sweep, chunk, material, shortcuts, bar)
        found.update(zip([patch for patch in chunk.patches if patch.positions], numbers, strict=True))
    return torch.stack([found[patch] for patch in patches])


def unpatched_runs(
    sweep: Sweep, prompts: Sequence[torch.Tensor], sites: Sequence[Site], layers: set[int]
) -> tuple[dict[int, UnpatchedRuns], dict[tuple[int, ...], int]]:
    """Each different prompt once, those of one length in one batch: the runs by length, and each prompt's row there."""
    rows: dict[int, list[torch.Tensor]] = {}
    row_of: dict[tuple[int, ...], int] = {}
    for prompt in prompts:
        same = rows.setdefault(len(prompt), [])
        if prompt_key(prompt) not in row_of:
            row_of[prompt_key(prompt)] = len(same)
            same.append(prompt)
    runs = {}
    for length, same in rows.items():
        at_once = max(1, int(sweep.half / row_bytes(sweep.parts, length, length, False)))
        batches = [torch.stack(same[i : i + at_once]) for i in range(0, len(same), at_once)]
        runs[length] = _joined([run_unpatched(sweep.parts, batch, sites, layers) for batch in batches])
    return runs, row_of


def _joined(batches: list[UnpatchedRuns]) -> UnpatchedRuns:
    if len(batches) == 1:
        return batches[0]

    def by_layer(of: Callable[[UnpatchedRuns], list[torch.Tensor]]) -> list[torch.Tensor]:
        return [torch.cat(some) for some in zip(*map(of, batches), strict=True)]

    return UnpatchedRuns(
        tokens=torch.cat([batch.tokens for batch in batches]),
        residual=by_layer(lambda batch: batch.residual),
        found={
            site: {layer: torch.cat([batch.found[site][layer] for batch in batches]) for layer in some}
            for site, some in batches[0].found.items()
        },
        keys=by_layer(lambda batch: batch.keys),
        values=by_layer(lambda batch: batch.values),
        last=torch.cat([batch.last for batch in batches]),
    )


def _aligned(
    sweep: Sweep, runs: dict[int, UnpatchedRuns], row_of: dict[tuple[int, ...], int], pairs: list[int]
) -> tuple[dict[int, torch.Tensor], dict[int, int]]:
    """What is put in at each layer, counted in positions of the patched prompts, and each pair's row in it.

    `pairs` have patched prompts of one length; their sources may have others. So that a patch can take position p from
    position p, sources of other lengths are laid out anew, last token on last token.
    """
    sources = {pair: sweep.sources[pair] for pair in pairs}
    length = len(sweep.prompts[pairs[0]])
    if all(len(source) == length for source in sources.values()):
        found = runs[length].found[sweep.site]
        row = {pair: row_of[prompt_key(source)] for pair, source in sources.items()}
    else:
        row = {pair: i for i, pair in enumerate(sources)}
        found = {}
        for layer, here in runs[length].found[sweep.site].items():
            found[layer] = here.new_zeros(len(row), *here.shape[1:])
            for pair, source in sources.items():
                shared = min(length, len(source))
                theirs = runs[len(source)].found[sweep.site][layer][row_of[prompt_key(source)]]
                found[layer][row[pair], length - shared :] = theirs[len(source) - shared :]
    if sweep.change is not None:
        found = {layer: sweep.change(layer, here) for layer, here in found.items()}
    return found, row


def common_beginning(prompt: torch.Tensor, source: torch.Tensor) -> int:
    """How many tokens two prompts share at the beginning. None if they differ in length: they are aligned at the end,
    so the same token stands at another position, with another position embedding.
    """
    if len(prompt) != len(source):
        return 0
    differs = (prompt != source).nonzero()
    return int(differs[0]) if len(differs) else len(prompt)


def prompt_key(prompt: torch.Tensor) -> tuple[int, ...]:
    """A prompt as a dictionary's key: tensors are equal by identity there."""
    return tuple(prompt.tolist())
