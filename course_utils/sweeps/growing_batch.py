"""The engine of the sweeps, one trace whose batch grows: hundreds of patched runs for little more than their own
arithmetic.

A sweep asks: what would the model have said, had this one head found something else? For every head of every layer that
is one patched run each. The plain way is one forward pass per question. Nearly all of what it computes is known
already, or never asked for:

* **batch**: patched runs do not meet each other. As rows of one batch they share each reading of the weights.
* **skip**: a run patched in layer 20 is the unpatched run up to there. Its row starts at layer 20, from the kept
  residual.
* **prefix**: a position never looks ahead. The tokens in front of the first patched position are as in the unpatched
  run: their keys and values are taken from it, and only the tokens from there on are run.
* **grow**: with `skip`, the rows of layer 20 need layers 20, 21, ..., and so do the rows of layer 19 that are on their
  way. All of them share one trace, whose batch grows at each layer by the rows of that layer.
* **direction**: only the last position is asked for, and of the whole vocabulary only the answers. So only the last
  position passes the last MLP and the final norm, and only the answers' rows of the unembedding are multiplied.
* **product**: what is left is matrix products, and PyTorch often has a faster one than it takes
  (:mod:`course_utils.sweeps.fast_linear`).

No shortcut changes what is computed, only how often. Each can be switched off (`Shortcuts`), and with all of them off
this is the plain loop. Where one does not hold (two prompts with no common beginning, a metric of all logits) it saves
nothing or is not taken. And each batch carries one row with nothing patched: if that row does not end where the model
itself ends, the model does something between its parts that the shortcuts do not know, and the sweep falls back, with a
warning, to fewer of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from course_utils.model.anatomy import Anatomy

Site = Literal["residual", "head", "attention", "mlp"]


@dataclass(frozen=True)
class Shortcuts:
    """Which of the module's six ideas a sweep may use. The result is the same for each choice; the time is not."""

    batch: bool = True
    skip: bool = True
    prefix: bool = True
    grow: bool = True
    direction: bool = True
    product: bool = True

    @classmethod
    def none(cls) -> Shortcuts:
        """The plain loop: a whole forward pass, with all its logits, for each patch."""
        return cls(batch=False, skip=False, prefix=False, grow=False, direction=False, product=False)


ALL_SHORTCUTS = Shortcuts()


@dataclass(frozen=True)
class Patch:
    """One question: a run of `pair`'s prompt in which, at one site, these positions hold what the source holds there.

    `head` is None at sites that have none. `positions` count from 0; without any, the run is the unpatched one.
    `put` is what they hold instead, where no source has it: (position, width), or (position, head, head width) for as
    many heads, from `head` on. `question` tells two such patches apart.
    """

    pair: int
    layer: int
    head: int | None
    positions: tuple[int, ...]
    put: torch.Tensor | None = field(default=None, compare=False, repr=False)
    question: int = 0


@dataclass
class UnpatchedRuns:
    """Unpatched runs of prompts of one length, as rows of one batch, and what a sweep needs of them.

    tokens: the prompts, (row, position).
    residual: for each layer, its input (row, position, width).
    found: for each site and layer asked for, what stood there, (row, position, ...).
    keys, values: for each layer, (row, key/value head, position, head width); none of a model whose runs share nothing.
    last: the last layer's output at the last position (row, width).
    """

    tokens: torch.Tensor
    residual: list[torch.Tensor]
    found: dict[Site, dict[int, torch.Tensor]]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    last: torch.Tensor


# The unpatched runs.


def run_unpatched(parts: Anatomy, tokens: torch.Tensor, sites: Sequence[Site], layers: set[int]) -> UnpatchedRuns:
    """Run prompts of one length (row, position) and keep what `UnpatchedRuns` lists; `found` for `layers` only.

    `sites` are in the order in which a layer comes to them: residual, head, attention, mlp.
    """
    # Made without a configuration, a cache keeps all positions, on sliding layers too. One that knew of the window
    # would have dropped the oldest, and a patched run that starts further back would miss them.
    cache = DynamicCache()
    caching: dict[str, Any] = {"use_cache": False}
    if not parts.alone:
        caching = {"use_cache": True, "past_key_values": cache}
    n_layers = parts.n_layers
    residual: list[torch.Tensor] = []
    found: dict[Site, dict[int, torch.Tensor]] = {site: {} for site in sites}
    with torch.no_grad():
        with parts.model.trace(tokens, **caching) as tracer:
            for layer in range(n_layers):
                residual.append(parts.layers[layer].input)
                if layer in layers:
                    for site in sites:
                        found[site][layer] = at_site(parts, site, layer, len(tokens))
            last = parts.layers[n_layers - 1].output[:, -1].save()
            # None of these is cloned, though a saved tensor follows what is written into it later: nothing writes in
            # this trace, and the patched runs write into copies of their own.
            residual = residual.save()  # type: ignore[attr-defined]
            found = found.save()  # type: ignore[attr-defined]
            tracer.stop()  # the unembedding of every position would cost as much as several layers
    keys, values = ([getattr(held, name) for held in cache.layers] for name in ("keys", "values"))
    return UnpatchedRuns(tokens=tokens, residual=residual, found=found, keys=keys, values=values, last=last)


def why_no_site(parts: Anatomy, site: Site, layer: int) -> str | None:
    """The sentence that says why nothing can be put in at a site of a layer; None if it can."""
    if site == "head":
        return parts.why_no_heads(layer)
    writers = {"attention": parts.attention_writers, "mlp": parts.mlp_writers}.get(site)
    if writers is None or writers[layer] is not None:
        return None
    what = "attention" if site == "attention" else "MLP"
    several = len((parts.attention_sources if site == "attention" else parts.mlp_sources)[layer])
    return f"{parts.family}, layer {layer}: " + (
        f"its {what} writes to the stream in {several} places, so no single output can be put in."
        if several
        else f"it has no {what}."
    )


def at_site(parts: Anatomy, site: Site, layer: int, rows: int) -> torch.Tensor:
    """In a trace of so many rows: what stands at a site, as a tensor that can be written to in place."""
    if site == "head":
        return parts.heads(layer)
    if site == "residual":
        return parts.layers[layer].input
    output = (parts.attention_writers if site == "attention" else parts.mlp_writers)[layer].output
    output = output[0] if isinstance(output, tuple) else output
    return output.unflatten(0, (rows, -1)) if output.ndim == 2 else output  # OPT lays its rows one after another


# The patched runs.


class SharedPrefix(DynamicLayer):
    """One layer's cache: it holds each prompt's prefix once, deals it out to as many rows as there are, and keeps
    nothing new.

    The usual layer of a cache does neither. It would need the prefix once for each row, and at each layer for another
    number of rows; and it would keep the rows' own keys and values to the end of the trace, though nobody reads them
    again.

    It says of itself that it does not slide, so a sliding layer gets all keys and a mask of the full length, with its
    window in it.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, prompt_of_row: torch.Tensor):
        super().__init__()
        # Asked for its length, an uninitialised cache says 0, and the model would count positions, and mask, from 0 on.
        self.lazy_initialization(keys, values)
        self.keys, self.values, self.prompt_of_row = keys, values, prompt_of_row

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._in_front_of(key_states, self.keys), self._in_front_of(value_states, self.values)

    def _in_front_of(self, new: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        rows = new.shape[0]
        # Rows only ever join at the end, so the first ones of `prompt_of_row` are those that are here already. A single
        # prefix is expanded, which copies nothing until it is joined with the new keys.
        dealt = prefix.expand(rows, -1, -1, -1) if len(prefix) == 1 else prefix[self.prompt_of_row[:rows]]
        return torch.cat([dealt, new], dim=-2)


@dataclass(frozen=True)
class Chunk:
    """Patches that share one trace, the first to join first; the row at 0 has nothing patched.

    They are in the order of their layers. That is what makes place i of `patches` row i of the batch: `run_chunk`
    appends the rows of a layer when it comes to that layer, and writes by row number.

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
    base: UnpatchedRuns
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

    Returns the last layer's output at the last position, (patch, width); without `direction` the logits there,
    (patch, vocabulary).
    """
    if parts.alone:
        return run_whole(parts, chunk, material, site, shortcuts, advance)
    base, start, n_layers = material.base, chunk.start, parts.n_layers
    prompt_of_row = torch.tensor([material.base_row[patch.pair] for patch in chunk.patches], device=base.last.device)
    join = torch.tensor([patch.layer if shortcuts.skip else 0 for patch in chunk.patches])
    first = int(join.min())
    joining = [prompt_of_row[join == layer] for layer in range(n_layers)]
    writes = _writes(chunk, material, base.last.device)
    rows_through = [int((join <= layer).sum()) for layer in range(n_layers)]
    runs = sum(bool(patch.positions) for patch in chunk.patches)
    share = [runs * rows / sum(rows_through) for rows in rows_through]
    # The last MLP matters at the last position only, since nothing above it mixes positions. Its sum with the residual
    # is broadcast: that is wrong everywhere but at the last position, and nothing else is read. Where the MLP itself is
    # patched, its output must have all positions, or the patch would be written to places that are not there.
    narrow = shortcuts.direction and site != "mlp"
    # The model is given one row of tokens, from which it makes a mask and positions that fit any number of rows; the
    # rows themselves are put in at the first layer. Given all rows, it would make a mask for that many, and the first
    # layers have fewer.
    one_row = material.tokens[None, start:]

    with torch.no_grad():
        with parts.model.trace(one_row, **_cache(base, prompt_of_row, start)) as tracer:
            # Of any row: what these layers hand on is thrown away when the first rows are put in.
            for layer in range(first):
                parts.layers[layer].skip(base.residual[first][:1, start:])
            for layer in range(first, n_layers):
                # Rows join before anything is written, for what is written counts them.
                if len(joining[layer]):
                    # Indexed by a tensor, so a copy: the kept residual is the material of the next chunk too.
                    stream = base.residual[layer][joining[layer], start:]
                    if layer > first:
                        stream = torch.cat([parts.layers[layer].input, stream])
                    parts.layers[layer].input = stream
                if layer in writes:
                    if site == "residual":
                        # A layer's input may be the tensor that the layer below put out, or one that was put in just
                        # now; a copy is put in, so that a write reaches this layer and no other holder of it.
                        stream = parts.layers[layer].input.clone()
                        overwrite(stream, *writes[layer])
                        parts.layers[layer].input = stream
                    else:
                        # Made by this very layer for its next step: nothing else holds it, and no copy is needed.
                        overwrite(at_site(parts, site, layer, rows_through[layer]), *writes[layer])
                if narrow and layer == n_layers - 1:
                    parts.mlps[layer].input = parts.mlps[layer].input[:, -1:]
                advance(share[layer])
            if shortcuts.direction:
                last = parts.layers[n_layers - 1].output[:, -1].save()
                tracer.stop()  # before the final norm, and before the unembedding multiplies every row and position
            else:
                last = parts.model.output.logits[:, -1].save()
    return last


def run_whole(
    parts: Anatomy,
    chunk: Chunk,
    material: Material,
    site: Site,
    shortcuts: Shortcuts,
    advance: Callable[[float], Any] = lambda runs: None,
) -> torch.Tensor:
    """The same as :func:`run_chunk` for a model whose layers need more than the stream that enters them: a recurrent
    state, the tokens themselves, what the layer below chose. Each row is a whole run of its own prompt.
    """
    rows = [material.base_row[patch.pair] for patch in chunk.patches]
    tokens = material.base.tokens[rows]
    writes = _writes(chunk, material, tokens.device)
    with torch.no_grad():
        with parts.model.trace(tokens, use_cache=False) as tracer:
            for layer in sorted(writes):
                if site == "residual":
                    stream = parts.layers[layer].input.clone()
                    overwrite(stream, *writes[layer])
                    parts.layers[layer].input = stream
                else:
                    overwrite(at_site(parts, site, layer, len(rows)), *writes[layer])
            if shortcuts.direction:
                last = parts.layers[parts.n_layers - 1].output[:, -1].save()
                tracer.stop()
            else:
                last = parts.model.output.logits[:, -1].save()
    advance(sum(bool(patch.positions) for patch in chunk.patches))
    return last


def _cache(base: UnpatchedRuns, prompt_of_row: torch.Tensor, start: int) -> dict[str, Any]:
    """What the trace is told about its cache: none, or each layer's prefix up to `start`.

    A cache of its own for each trace: a run changes the cache that it is given.
    """
    if start == 0:
        return {"use_cache": False}
    # A chunk has few prompts and many rows, so the prefix is cut once for each prompt.
    prompts, which = prompt_of_row.unique(return_inverse=True)
    layers = [
        SharedPrefix(keys[prompts, :, :start], values[prompts, :, :start], which)
        for keys, values in zip(base.keys, base.values, strict=True)
    ]
    return {"use_cache": True, "past_key_values": Cache(layers=layers)}


def _writes(chunk: Chunk, material: Material, device: torch.device) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """For each layer what is written there: places (3, write) of row, position and head, and values (write, ...).

    As index tensors, so that a layer's writes are one assignment, however many rows and positions there are.
    """
    places: dict[int, list[tuple[int, int, int]]] = {}
    sources: dict[int, list[tuple[int, int, int]]] = {}
    puts: dict[int, list[torch.Tensor]] = {}
    for row, patch in enumerate(chunk.patches):
        first = patch.head or 0
        heads = 1 if patch.put is None or patch.put.ndim == 2 else patch.put.shape[1]
        places.setdefault(patch.layer, []).extend(
            (row, position - chunk.start, head) for position in patch.positions for head in range(first, first + heads)
        )
        if patch.put is not None:
            puts.setdefault(patch.layer, []).append(patch.put if patch.put.ndim == 2 else patch.put.flatten(0, 1))
        else:
            source_row = material.source_row.get(patch.pair, 0)
            sources.setdefault(patch.layer, []).extend((source_row, position, first) for position in patch.positions)
    writes = {}
    for layer, some in places.items():
        if some:
            if layer in puts:  # in a chunk either all patches bring what they put in, or none does
                values = torch.cat(puts[layer])
            else:
                source_row, position, head = torch.tensor(sources[layer], device=device).T
                source = material.source[layer]
                values = source[source_row, position, head] if source.ndim == 4 else source[source_row, position]
            writes[layer] = (torch.tensor(some, device=device).T, values)
    return writes


def overwrite(stands: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> None:
    """Write values (write, ...) into what stands at a site, in place, at the places that `_writes` lists."""
    row, position, head = places
    if stands.ndim == 4:  # (row, position, head, head width)
        stands[row, position, head] = values
    else:
        stands[row, position] = values
