"""The engine of the sweeps: hundreds of patched runs for little more than their own arithmetic, and exact.

A sweep asks: what would the model have said, had this one head found something else? For every head of every layer that is one
patched run each. The plain way is one forward pass per question. Nearly all of what it computes is known
already, or never asked for:

* **batch**: patched runs do not meet each other. As rows of one batch they share each reading of the weights.
* **skip**: a run patched in layer 20 is the unpatched run up to there. Its row starts at layer 20, from the kept residual.
* **prefix**: a position never looks ahead. The tokens in front of the first patched position are as in the unpatched run: their keys
  and values are taken from it, and only the tokens from there on are run.
* **grow**: with `skip`, the rows of layer 20 need layers 20, 21, ..., and so do the rows of layer 19 that are on their way. All of
  them share one trace, whose batch grows at each layer by the rows of that layer.
* **direction**: only the last position is asked for, and of the whole vocabulary only the answers. So only the last
  position passes the last MLP and the final norm, and only the answers' rows of the unembedding are multiplied.

No shortcut changes what is computed, only how often. Each can be switched off (`Shortcuts`), and with all of them off this is the
plain loop. Where one does not hold (two prompts with no common beginning, a metric of all logits) it saves
nothing or is not taken. And each batch carries one row with nothing patched: if that row does not end where the model itself ends, the
model does something between its parts that the shortcuts do not know, and the sweep falls back, with a warning, to fewer of them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from course_utils.anatomy import Anatomy

Site = Literal["residual", "head", "attention", "mlp"]
Metric = Callable[[torch.Tensor], torch.Tensor]
Change = Callable[[int, torch.Tensor], torch.Tensor]

MEGABYTE = 2**20
# A batch this large reads each weight often enough: beyond it, memory grows and speed does not.
ENOUGH_TOKENS = 4096
# How far a run with nothing patched may end from where the model itself ends, relative to the length of the vector.
AGREE = {torch.float32: 1e-3, torch.float64: 1e-6}
AGREE_IN_HALF = 0.1

_log = logging.getLogger(__name__)


class SweepError(ValueError):
    """A sweep was asked for something that does not exist; the message names it."""


@dataclass(frozen=True)
class Shortcuts:
    """Which of the module's five ideas a sweep may use. The result is the same for each choice; the time is not."""

    batch: bool = True
    skip: bool = True
    prefix: bool = True
    grow: bool = True
    direction: bool = True

    @classmethod
    def none(cls) -> Shortcuts:
        """The plain loop: a whole forward pass, with all its logits, for each patch."""
        return cls(False, False, False, False, False)


ALL_SHORTCUTS = Shortcuts()


@dataclass(frozen=True)
class Patch:
    """One question: a run of `pair`'s prompt in which, at one site, these positions hold what the source holds there.

    `head` is None at sites that have none. `positions` count from 0; without any, the run is the unpatched one.
    """

    pair: int
    layer: int
    head: int | None
    positions: tuple[int, ...]


@dataclass
class Runs:
    """Unpatched runs of prompts of one length, as rows of one batch, and what a sweep needs of them.

    residual: for each layer, its input (row, position, width).
    found: for each layer asked for, what stood at the site, (row, position, ...).
    keys, values: for each layer, (row, key/value head, position, head width).
    last: the last layer's output at the last position (row, width).
    """

    residual: list[torch.Tensor]
    found: dict[int, torch.Tensor]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    last: torch.Tensor


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


# The unpatched runs.


def run_plainly(parts: Anatomy, tokens: torch.Tensor, site: Site, layers: set[int]) -> Runs:
    """Run prompts of one length (row, position) and keep what `Runs` lists; `found` for `layers` only."""
    cache = DynamicCache()  # made without a configuration, it keeps all positions, on sliding layers too
    n_layers = parts.n_layers
    residual: list[torch.Tensor] = []
    found: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        with parts.model.trace(tokens, past_key_values=cache, use_cache=True) as tracer:
            for layer in range(n_layers):
                residual.append(parts.layers[layer].input)
                if layer in layers:
                    found[layer] = at_site(parts, site, layer)
            last = parts.layers[n_layers - 1].output[:, -1].save()
            residual = residual.save()  # type: ignore[attr-defined]
            found = found.save()  # type: ignore[attr-defined]
            tracer.stop()
    kept = cache.layers
    return Runs(
        residual, found, [kept[i].keys for i in range(n_layers)], [kept[i].values for i in range(n_layers)], last
    )


def at_site(parts: Anatomy, site: Site, layer: int) -> torch.Tensor:
    """In a trace: what stands at a site, as a tensor that can be written to in place."""
    if site == "head":
        return parts.heads(layer)
    if site == "residual":
        return parts.layers[layer].input
    output = (parts.attention_writers if site == "attention" else parts.mlp_writers)[layer].output
    return output[0] if isinstance(output, tuple) else output


# The patched runs.


class _SharedPrefix(DynamicLayer):
    """One layer's cache: it holds each prompt's prefix once, deals it out to as many rows as there are, and keeps nothing new.

    It says of itself that it does not slide, so a sliding layer gets all keys and a mask of the full length, with its window in it.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, prompt_of_row: torch.Tensor):
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values, self.prompt_of_row = keys, values, prompt_of_row

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._in_front_of(key_states, self.keys), self._in_front_of(value_states, self.values)

    def _in_front_of(self, new: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        rows = new.shape[0]
        dealt = prefix.expand(rows, -1, -1, -1) if len(prefix) == 1 else prefix[self.prompt_of_row[:rows]]
        return torch.cat([dealt, new], dim=-2)


@dataclass(frozen=True)
class Chunk:
    """Patches that share one trace, the first to join first; the row at 0 has nothing patched.

    start: the first position that is run; those before are taken from the unpatched run.
    """

    patches: list[Patch]
    start: int


@dataclass(frozen=True)
class Material:
    """What the chunks of prompts of one length are made of.

    tokens: one of the prompts (position,). base, base_row: unpatched runs, and the row in them of each pair's prompt.
    source, source_row: for each layer what to put in (row, position, ...), positions counted as in the patched
    prompt, and the row in it of each pair.
    """

    tokens: torch.Tensor
    base: Runs
    base_row: dict[int, int]
    source: dict[int, torch.Tensor]
    source_row: dict[int, int]


def run_chunk(
    parts: Anatomy,
    chunk: Chunk,
    material: Material,
    site: Site,
    shortcuts: Shortcuts,
    advance: Callable[[float], Any] = lambda runs: None,
) -> torch.Tensor:
    """One trace whose batch grows by the rows that join at each layer; the idea is at the head of this module.

    `advance` is told, as the layers go by, how many runs' worth of work is done.

    Returns the last layer's output at the last position, (patch, width); without `direction` the logits there, (patch, vocabulary).
    """
    base, start, n_layers = material.base, chunk.start, parts.n_layers
    prompt_of_row = torch.tensor([material.base_row[patch.pair] for patch in chunk.patches], device=base.last.device)
    join = torch.tensor([patch.layer if shortcuts.skip else 0 for patch in chunk.patches])
    first = int(join.min())
    joining = [prompt_of_row[join == layer] for layer in range(n_layers)]
    writes = _writes(chunk, material, base.last.device)
    put = _put
    rows_through = [int((join <= layer).sum()) for layer in range(n_layers)]
    share = [len(chunk.patches) * rows / sum(rows_through) for rows in rows_through]
    # The last MLP matters at the last position only; its sum with the residual is broadcast.
    narrow = shortcuts.direction and site != "mlp"
    # The model is given one row of tokens, from which it makes a mask and positions that fit any number of rows; the rows
    # themselves are put in at the first layer.
    one_row = material.tokens[None, start:]

    with torch.no_grad():
        with parts.model.trace(one_row, **_cache(base, prompt_of_row, start)) as tracer:
            for layer in range(first):
                parts.layers[layer].skip(base.residual[first][:1, start:])
            for layer in range(first, n_layers):
                if len(joining[layer]):
                    stream = base.residual[layer][joining[layer], start:]
                    if layer > first:
                        stream = torch.cat([parts.layers[layer].input, stream])
                    parts.layers[layer].input = stream
                if layer in writes:
                    if site == "residual":
                        stream = parts.layers[layer].input.clone()
                        put(stream, writes[layer], material.source[layer])
                        parts.layers[layer].input = stream
                    else:
                        put(at_site(parts, site, layer), writes[layer], material.source[layer])
                if narrow and layer == n_layers - 1:
                    parts.mlps[layer].input = parts.mlps[layer].input[:, -1:]
                advance(share[layer])
            if shortcuts.direction:
                last = parts.layers[n_layers - 1].output[:, -1].save()
                tracer.stop()
            else:
                last = parts.model.output.logits[:, -1].save()
    return last


def _cache(base: Runs, prompt_of_row: torch.Tensor, start: int) -> dict[str, Any]:
    if start == 0:
        return {"use_cache": False}
    prompts, which = prompt_of_row.unique(return_inverse=True)
    layers = [
        _SharedPrefix(keys[prompts, :, :start], values[prompts, :, :start], which)
        for keys, values in zip(base.keys, base.values, strict=True)
    ]
    return {"use_cache": True, "past_key_values": Cache(layers=layers)}


def _writes(chunk: Chunk, material: Material, device: torch.device) -> dict[int, torch.Tensor]:
    """For each layer what is written there, (5, write): row, position in the batch; row, position in the source; head."""
    writes: dict[int, list[tuple[int, ...]]] = {}
    for row, patch in enumerate(chunk.patches):
        source_row = material.source_row[patch.pair]
        writes.setdefault(patch.layer, []).extend(
            (row, position - chunk.start, source_row, position, patch.head or 0) for position in patch.positions
        )
    return {layer: torch.tensor(some, device=device).T for layer, some in writes.items() if some}


def _put(stands: torch.Tensor, writes: torch.Tensor, source: torch.Tensor) -> None:
    row, position, source_row, source_position, head = writes
    if stands.ndim == 4:  # (row, position, head, head width)
        stands[row, position, head] = source[source_row, source_position, head]
    else:
        stands[row, position] = source[source_row, source_position]


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
    return int(parts.model._module.dtype.itemsize * (max(stream + keys + weights, mlp) + logits))


def run_bytes(parts: Anatomy, length: int) -> int:
    """What an unpatched run of one prompt leaves behind, in bytes: see `Runs`."""
    wide = parts.width + max(parts.width, parts.n_heads * parts.head_width) + 2 * parts.n_kv_heads * parts.head_width
    return int(parts.model._module.dtype.itemsize * parts.n_layers * length * wide)


def cut(parts: Anatomy, patches: Sequence[Patch], length: int, shortcuts: Shortcuts, memory: float) -> list[Chunk]:
    """Cut patches of prompts of one length into chunks that need at most `memory` bytes each.

    Patches with the same first position go together, and within them those of neighbouring layers. Those with another first
    position are taken in as long as the batch is too small to be worth its own reading of the weights. Each chunk gets
    one row more, with nothing patched.
    """

    def start(patch: Patch) -> int:
        return patch.positions[0] if shortcuts.prefix else 0

    chunks: list[list[Patch]] = []
    for patch in sorted(patches, key=lambda patch: (start(patch), patch.layer, patch.pair)):
        fits = False
        if chunks and shortcuts.batch:
            begun = chunks[-1]
            run = length - start(begun[0])
            rows = int(memory / row_bytes(parts, run, length, not shortcuts.direction))
            fits = len(begun) + 2 <= rows
            if start(patch) != start(begun[0]):
                fits = fits and len(begun) * run < ENOUGH_TOKENS
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
    with bar:
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
    runs, place = _run_unpatched(
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
        if not asked:
            continue
        source, source_row = _aligned(runs, place, {pair: sources[pair] for pair in same}, length, change)
        material = Material(prompts[same[0]], base, base_row, source, source_row)
        one = row_bytes(parts, length, length, not shortcuts.direction)
        if 2 * one > half:
            raise SweepError(
                f"memory_mb={memory_mb:g} is too little: two runs of {length} tokens need about {2 * one / MEGABYTE:.0f} MB, and half of "
                f"the bound is kept for the unpatched runs. Give at least memory_mb={4 * one / MEGABYTE + 1:.0f}, or shorter prompts."
            )
        chunks = cut(parts, list(asked), length, shortcuts, half)
        run = length - chunks[0].start
        one = row_bytes(parts, run, length, not shortcuts.direction)
        plan = Plan(len(asked), len(chunks), int(half / one), one / MEGABYTE, memory_mb)
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
    last = run_chunk(parts, chunk, material, site, shortcuts, bar.update)
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


def _run_unpatched(
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
        runs[length] = _joined([run_plainly(parts, batch, site, layers) for batch in batches])
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
