"""Path patching: what one part of the model says to another, each time by an exact run::

    found = patch_paths(model, clean, corrupted, answers, senders=["17.4"], receivers=["23.0 query", "23.3 query"])
    found.effects                       # (receiver, sender), in logits

Patching a head answers what it does, by all roads. A path is one road: the corrupted run, in which one **receiver**
reads what one **sender** wrote in the clean run, and reads everything else as it was. All that comes after the
receiver is computed anew. With ``through="mlps"`` the MLPs between the two answer to the sender's change, and what the
receiver reads of them changes too, as in Wang et al. 2022 (https://arxiv.org/abs/2211.00593), whose frozen parts are
the heads; without it, the path is the one edge of Goldowsky-Dill et al. 2023 (https://arxiv.org/abs/2304.05969) and
Conmy et al. 2023 (https://arxiv.org/abs/2304.14997).

How all paths of a model are made in minutes: up to the receiver nothing has to be run, since what it reads is the kept
residual plus the sender's change. What it makes of that is computed for many senders at once
(:mod:`course_utils.sweeps.layers_by_hand`). So each path comes down to a patch of one head's or one MLP's output, in
the receiver's layer, and its row joins the batch that grows (:mod:`course_utils.sweeps.growing_batch`) there. A key or
a value that several heads share is one receiver, and one row. Paths to the logits need no run at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Unpack

import torch

from course_utils.errors import refuse_unknown_options
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.growing_batch import ALL_SHORTCUTS, Material, Patch, Site, UnpatchedRuns
from course_utils.sweeps.layers_by_hand import LayersByHand, written_by_heads
from course_utils.sweeps.memory import MEGABYTE, blocks_of_pairs, cut, row_bytes, rows_at_once
from course_utils.sweeps.nodes import (
    Receiver,
    Receivers,
    Sender,
    Senders,
    joined,
    read_receivers,
    read_senders,
)
from course_utils.sweeps.options import Answers, Positioned, Prompts, Shortened, SweepError
from course_utils.sweeps.progress import progress_bar
from course_utils.sweeps.request import Request, read_memory
from course_utils.sweeps.runs import (
    Sweep,
    common_beginning,
    measure_chunk,
    prompt_key,
    unpatched_numbers,
    unpatched_runs,
)

if TYPE_CHECKING:
    from nnsight import TransformersModel

Through = Literal["mlps"]


class PathOptions(Positioned, Shortened, total=False):
    """What a path sweep can be told besides its two ends: `metric` and `positions` as in
    :class:`~course_utils.sweeps.options.Positioned`; `memory_mb`, `progress` and `shortcuts` as in
    :class:`~course_utils.sweeps.options.Shortened`.
    """


@dataclass(frozen=True)
class PathMap:
    """The numbers of a path sweep.

    Attributes:
        senders, receivers: in the order asked for; `str` gives their names.
        numbers: (receiver, sender), the measure of each patched run; with lists of prompts (pair, receiver, sender).
            NaN where the receiver does not come after the sender. float32, on the CPU.
        unpatched: the measure of the corrupted run, (); with lists (pair,).
    """

    senders: list[Sender]
    receivers: list[Receiver]
    numbers: torch.Tensor
    unpatched: torch.Tensor

    @property
    def effects(self) -> torch.Tensor:
        """What each path moves, `numbers` minus `unpatched`, in its shape."""
        return self.numbers - self.unpatched[..., None, None]

    def effect(self, sender: str | Sender, receiver: str | Receiver) -> torch.Tensor:
        """The effect of one path, (); with lists (pair,).

        Raises:
            KeyError: the sweep has no such sender or receiver.
        """
        row = [str(one) for one in self.receivers]
        column = [str(one) for one in self.senders]
        for name, names in ((str(receiver), row), (str(sender), column)):
            if name not in names:
                raise KeyError(f"{name!r} is not in this sweep; it has {', '.join(names[:6])} and so on.")
        return self.effects[..., row.index(str(receiver)), column.index(str(sender))]

    def strongest(self, count: int) -> list[tuple[Sender, Receiver, float]]:
        """The paths with the largest effects, up or down, the largest first: of lists, by the mean over the pairs."""
        mean = self.effects if self.effects.ndim == 2 else self.effects.mean(0)
        order = mean.abs().nan_to_num(-1.0).flatten().argsort(descending=True)[:count].tolist()
        places = [divmod(place, len(self.senders)) for place in order]
        return [
            (self.senders[column], self.receivers[row], float(mean[row, column]))
            for row, column in places
            if not mean[row, column].isnan()
        ]


def patch_paths(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    *,
    senders: Senders | None = None,
    receivers: Receivers | None = None,
    through: Through | None = None,
    **options: Unpack[PathOptions],
) -> PathMap:
    """Run the corrupted prompt once for each path, with what the receiver reads of the sender taken from the clean run.

    The other direction, corrupted into clean, is the same call with the two prompts exchanged.

    Args:
        clean, corrupted, answers: as for :func:`~course_utils.sweeps.patch_heads`; prompts of different lengths are
            aligned at their ends.
        senders, receivers: by their names, see :mod:`course_utils.sweeps.nodes`; all, if not given.
        through: "mlps", and the MLPs between sender and receiver answer to the change (heads never do); None, and
            nothing does.
        options: those of :class:`PathOptions`.

    Returns:
        A :class:`PathMap`.

    Raises:
        SweepError, a ValueError: a sender or receiver does not exist, no receiver comes after any sender, the family's
            queries cannot be found, or what :func:`~course_utils.sweeps.patch_heads` raises.
    """
    refuse_unknown_options(patch_paths, options, PathOptions)
    if through not in (None, "mlps"):
        raise SweepError(f'through={through!r}: expected "mlps", or None for the direct edge.')
    request = Request(model, corrupted, clean, answers, {"metric": options.get("metric")})
    parts = request.parts
    if (why := parts.why_not_plain()) is not None:
        raise SweepError(why)
    chosen, to = read_senders(parts, senders), read_receivers(parts, receivers)
    if not any(joined(parts, sender, receiver) for sender in chosen for receiver in to):
        raise SweepError(f"No receiver comes after a sender: {to[0]} reads before {chosen[0]} writes.")
    assert request.sources is not None
    sweep = Sweep(
        parts=parts,
        prompts=request.prompts,
        sources=request.sources,
        site="head",
        measure=request.measure,
        change=None,
        shortcuts=options.get("shortcuts", ALL_SHORTCUTS),
        memory_mb=read_memory(options),
    )
    positions = [request.positions(pair, options.get("positions")) for pair in range(len(request.prompts))]
    paths = _Paths(sweep, positions, senders=chosen, receivers=to, through=through, progress=options.get("progress"))
    with torch.no_grad():
        paths.run()
    if request.one:
        return PathMap(chosen, to, paths.numbers[0], paths.unpatched[0])
    return PathMap(chosen, to, paths.numbers, paths.unpatched)


@dataclass(frozen=True)
class _Group:
    """Senders whose changes walk up the layers together, and the unpatched runs that they walk through.

    members: (pair, place of the sender), in the order in which the senders write. start: the first position that is
    run. hand, material: of the prompts' length. runs, row_of: as :func:`~course_utils.sweeps.runs.unpatched_runs` gives
    them.
    """

    members: list[tuple[int, int]]
    start: int
    hand: LayersByHand
    material: Material
    runs: dict[int, UnpatchedRuns]
    row_of: dict[tuple[int, ...], int]

    @property
    def rows(self) -> torch.Tensor:
        """Each member's row in the unpatched runs of the prompts of this length, (member,)."""
        rows = [self.material.base_row[pair] for pair, _ in self.members]
        return torch.tensor(rows, device=self.material.base.last.device)

    def first(self, count: int) -> _Group:
        """Those of them that write first."""
        return replace(self, members=self.members[:count])


class _Paths:
    """One sweep over paths while it runs: what was asked, the rows that wait for a trace, the numbers so far."""

    def __init__(
        self,
        sweep: Sweep,
        positions: list[tuple[int, ...]],
        senders: list[Sender],
        receivers: list[Receiver],
        through: Through | None,
        progress: bool | None,
    ):
        self.sweep, self.positions, self.through = sweep, positions, through
        self.senders, self.receivers = senders, receivers
        n_pairs = len(sweep.prompts)
        self.numbers = torch.full((n_pairs, len(receivers), len(senders)), float("nan"))
        self.unpatched = torch.full((n_pairs,), float("nan"))
        edges = sum(joined(sweep.parts, sender, to) for sender in senders for to in receivers)
        count = n_pairs * edges
        self.bar = progress_bar(count, progress, f"{count} paths, under {sweep.memory_mb:.0f} MB")
        self.waiting: dict[Site, list[Patch]] = {"head": [], "mlp": []}

    def run(self) -> None:
        sweep = self.sweep
        with self.bar, fast_linear(sweep.shortcuts.product):
            # Two thirds: an unpatched run leaves its MLPs' outputs here besides what a head sweep needs.
            for block in blocks_of_pairs(sweep.parts, sweep.prompts, sweep.sources, sweep.half / 1.5):
                used = [*(sweep.prompts[pair] for pair in block), *(sweep.sources[pair] for pair in block)]
                every = set(range(sweep.parts.n_layers))
                runs, row_of = unpatched_runs(sweep, used, ("head", "mlp"), every)
                for length in sorted({len(sweep.prompts[pair]) for pair in block}):
                    same = [pair for pair in block if len(sweep.prompts[pair]) == length]
                    self._run_one_length(length, same, runs, row_of)

    def _run_one_length(
        self,
        length: int,
        pairs: list[int],
        runs: dict[int, UnpatchedRuns],
        row_of: dict[tuple[int, ...], int],
    ) -> None:
        sweep = self.sweep
        base_row = {pair: row_of[prompt_key(sweep.prompts[pair])] for pair in pairs}
        material = Material(sweep.prompts[pairs[0]], runs[length], base_row, {}, {})
        for pair, number in unpatched_numbers(sweep, material).items():
            self.unpatched[pair] = number
        by_first: dict[int, list[int]] = {}
        for pair in pairs:
            changed = self._changed(pair)
            if changed:
                by_first.setdefault(changed[0], []).append(pair)
            else:  # the two prompts are the same where a change was asked for, and so is each run
                self._nothing_changes(pair)
        for first, same in by_first.items():
            start = first if sweep.shortcuts.prefix else 0
            hand = LayersByHand(sweep.parts, material.tokens, start, material.base)
            for members in self._members(same, length - start, length):
                self._run_group(_Group(members, start, hand, material, runs=runs, row_of=row_of))
        # What still waits is of these prompts, and the material of another length does not have their runs.
        self._flush(material, 0)

    def _changed(self, pair: int) -> tuple[int, ...]:
        """Positions at which the clean run can differ from the corrupted one, of those asked for."""
        begin = common_beginning(self.sweep.prompts[pair], self.sweep.sources[pair])
        return tuple(position for position in self.positions[pair] if position >= begin)

    def _nothing_changes(self, pair: int) -> None:
        for row, receiver in enumerate(self.receivers):
            for column, sender in enumerate(self.senders):
                if joined(self.sweep.parts, sender, receiver):
                    self.numbers[pair, row, column] = self.unpatched[pair]
                    self.bar.update(1)

    def _members(self, pairs: list[int], run: int, seen: int) -> Iterator[list[tuple[int, int]]]:
        """(pair, place of the sender) in the order in which the senders write, as many at once as memory holds."""
        parts, sweep = self.sweep.parts, self.sweep
        by_layer: dict[int, int] = {}
        for receiver in self.receivers:
            by_layer[receiver.layer] = by_layer.get(receiver.layer, 0) + 1
        # Its change, what it makes of a layer's queries, keys, values and MLP, and what is kept until the rows run.
        kept = parts.model._module.dtype.itemsize * run * max(parts.width, parts.n_heads * parts.head_width)
        one = 2 * row_bytes(parts, run, seen, False) + (1 + max(by_layer.values())) * kept
        at_once = int(sweep.half / 2 / one)
        need = max(4 * one, 4 * row_bytes(parts, run, seen, not sweep.shortcuts.direction))
        if not at_once or 2 * row_bytes(parts, run, seen, not sweep.shortcuts.direction) > sweep.half / 2:
            raise SweepError(
                f"memory_mb={sweep.memory_mb:g} is too little for paths over {run} tokens. "
                f"Give at least memory_mb={2 * need / MEGABYTE + 0.1:.1f}, or shorter prompts."
            )
        every = [(pair, place) for pair in pairs for place in range(len(self.senders))]
        # A receiver is given the first so many of a group, so those must have written before it reads.
        every.sort(key=lambda one: self.senders[one[1]].writes_at)
        for begin in range(0, len(every), at_once):
            yield every[begin : begin + at_once]

    def _run_group(self, group: _Group) -> None:
        """All paths from one group of senders: their changes walk up the layers, past each one's receivers."""
        parts, start, base, rows = self.sweep.parts, group.start, group.material.base, group.rows
        length = len(group.material.tokens)
        writes_at = torch.tensor([self.senders[place].writes_at for _, place in group.members])
        change = self._changes(group)  # (row, position, width)
        to_the_end = self.through and Receiver("logits") in self.receivers
        top = parts.n_layers if to_the_end else 1 + max(to.layer for to in self.receivers)
        for layer in range(top):
            here = [to for to in self.receivers if to.layer == layer and to.kind != "logits"]
            before = int((writes_at < 2 * layer).sum())
            heads = [to for to in here if to.kind != "mlp"]
            if before and heads:
                self._to_heads(group.first(before), heads, layer, change[:before])
            to_mlp = before if parts.parallel else int((writes_at < 2 * layer + 1).sum())
            asked = [to for to in here if to.kind == "mlp"]
            if to_mlp and (asked or self.through):
                stream = base.residual[layer][rows[:to_mlp], start:] + change[:to_mlp]
                # Held, or the change would reach the MLP through this layer's heads as well, which is another path.
                held = base.found["head"][layer][rows[:to_mlp], start:]
                written = group.hand.mlp_output(layer, stream, held, rows[:to_mlp])
                if asked:
                    self._wait("mlp", group.first(to_mlp), asked[0], None, written)
                if self.through:
                    # Only now, when this layer's own receivers have read: what the MLP answers is for those above.
                    own = base.found["mlp"][layer][rows[:to_mlp], start:]
                    change[:to_mlp] += (written - own) * parts.residual_scale
            enough = rows_at_once(parts, length - start, length, self.sweep.shortcuts, self.sweep.half / 2)
            self._flush(group.material, enough)
        self._to_logits(group, change[:, -1])

    def _changes(self, group: _Group) -> torch.Tensor:
        """What each sender writes in the clean run minus what it writes in the corrupted one, (row, position, width).

        Zero where the prompts are the same so far, or where no change was asked for.
        """
        parts, sweep, row_of = self.sweep.parts, self.sweep, group.row_of
        base, length = group.material.base, len(group.material.tokens)
        change = base.last.new_zeros(len(group.members), length - group.start, parts.width)
        by_pair: dict[tuple[int, str, int], list[int]] = {}
        for row, (pair, place) in enumerate(group.members):
            sender = self.senders[place]
            by_pair.setdefault((pair, sender.kind, sender.layer), []).append(row)
        for (pair, kind, layer), some in by_pair.items():
            source = sweep.sources[pair]
            theirs, ours = group.runs[len(source)], row_of[prompt_key(sweep.prompts[pair])]
            # Prompts of different lengths are aligned at their ends, where the answer is read.
            row, shift = row_of[prompt_key(source)], len(source) - length
            at = torch.tensor(self._changed(pair), device=base.last.device)

            def of(run: UnpatchedRuns, kind: str = kind, layer: int = layer) -> torch.Tensor:
                if kind == "embedding":
                    return run.residual[0]
                return run.found["head" if kind == "head" else "mlp"][layer]

            new, own = of(theirs)[row, at + shift][None], of(base)[ours, at][None]
            if kind == "head":
                wrote = written_by_heads(parts, layer, own, new)[0]  # (head, position, width)
                wrote = wrote[[self.senders[group.members[one][1]].head for one in some]]
            else:
                wrote = (new - own) * (parts.residual_scale if kind == "mlp" else 1.0)
            change[torch.tensor(some, device=at.device)[:, None], at - group.start] = wrote.to(change)
        return change

    def _to_heads(self, group: _Group, receivers: list[Receiver], layer: int, change: torch.Tensor) -> None:
        """What the layer's heads put out when one of their queries, keys or values reads a change."""
        parts, hand, rows = self.sweep.parts, group.hand, group.rows
        entered = group.material.base.residual[layer][:, group.start :]
        distinct, which = rows.unique(return_inverse=True)
        own = hand.queries_keys_values(layer, entered[distinct], distinct)
        new = hand.queries_keys_values(layer, entered[rows] + change, rows)
        if len(distinct) > 1:
            own = tuple(one[which] for one in own)  # type: ignore[assignment]
        together = parts.n_heads // parts.n_kv_heads
        for number, kind in enumerate(("query", "key", "value")):
            asked = [to for to in receivers if to.kind == kind]
            if asked:
                # One kind alone reads the change: a head that read it by two would be two paths at once.
                mixed = [new[i] if i == number else own[i] for i in range(3)]
                found = hand.attend(layer, *mixed)  # (row, position, head, head width)
                for to in asked:
                    count = 1 if kind == "query" else together
                    first = to.head * count
                    self._wait("head", group, to, first, found[:, :, first : first + count])

    def _wait(self, site: Site, group: _Group, receiver: Receiver, head: int | None, puts: torch.Tensor) -> None:
        """Rows for the next trace: what the receiver puts out, (row, position, ...), for each of the group's paths."""
        to = self.receivers.index(receiver)
        firsts = {pair: self._changed(pair)[0] for pair in {pair for pair, _ in group.members}}
        # Contiguous, so that a row that waits keeps its own numbers in memory, and not those of all heads.
        for (pair, place), put in zip(group.members, puts.contiguous(), strict=True):
            first = firsts[pair]
            positions = tuple(range(first, group.start + len(put)))
            # Where its number goes. Two senders' paths to one receiver differ in what is put in alone, which patches do
            # not compare: without it they would be taken for one.
            question = (pair * len(self.receivers) + to) * len(self.senders) + place
            self.waiting[site].append(
                Patch(pair, receiver.layer, head, positions, put=put[first - group.start :], question=question)
            )

    def _flush(self, material: Material, enough: int) -> None:
        """Run the rows that wait, once there are enough of them for a trace."""
        parts, length = self.sweep.parts, len(material.tokens)
        for site, waiting in self.waiting.items():
            if not waiting or len(waiting) < enough:
                continue
            sweep = replace(self.sweep, site=site)
            # Half of what a trace may take elsewhere: the other half holds the group's changes, and what waits.
            for chunk in cut(parts, waiting, length, sweep.shortcuts, sweep.half / 2):
                found = measure_chunk(sweep, chunk, material, sweep.shortcuts, self.bar)
                asked = [patch.question for patch in chunk.patches if patch.positions]
                self.numbers.view(-1)[asked] = found
            self.waiting[site] = []

    def _to_logits(self, group: _Group, change: torch.Tensor) -> None:
        """Paths to the logits: the last residual plus the change at the last position (row, width), measured."""
        if Receiver("logits") not in self.receivers:
            return
        sweep, pairs = self.sweep, torch.tensor([pair for pair, _ in group.members], device=change.device)
        last = group.material.base.last[group.rows] + change
        found = sweep.measure.of_residual(
            sweep.parts, last, pairs, direction=sweep.shortcuts.direction, memory=sweep.half / 2
        )
        to = self.receivers.index(Receiver("logits"))
        for (pair, place), number in zip(group.members, found.tolist(), strict=True):
            self.numbers[pair, to, place] = number
        self.bar.update(len(group.members))
