"""Circuits: keep a set of edges, and take everything else from the corrupted run::

    values = run_circuits(model, clean, corrupted, answers, circuits=[edges, fewer_edges])       # (circuit, pair)

In such a run each reader has a stream of its own. It is the corrupted run's, plus, for each sender that a kept edge
joins to it, what that sender writes now minus what it wrote in the corrupted run. The embedding writes what it does in
the clean run; every other part computes from what it reads. So with all edges this is the clean run, with none the
corrupted one, and in between nothing but the kept edges carries what is clean: the ablated graph of Conmy et al. 2023
(https://arxiv.org/abs/2304.14997), whose ablation is a resampled one (Chan et al. 2022). With ``ablation="mean"`` the
place of the corrupted run is taken by the mean over all corrupted prompts, position by position, as in Wang et al. 2022
(https://arxiv.org/abs/2211.00593). One pass up the layers for as many circuits and prompts, as rows, as memory holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Unpack, get_args

import torch

from course_utils.errors import refuse_unknown_options
from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.growing_batch import UnpatchedRuns, run_unpatched
from course_utils.sweeps.layers_by_hand import LayersByHand, written_by_heads, written_through_norm
from course_utils.sweeps.memory import MEGABYTE, row_bytes
from course_utils.sweeps.nodes import Edge, Receiver, Sender, read_edges
from course_utils.sweeps.options import Answers, Bounded, Measured, Prompts, SweepError
from course_utils.sweeps.progress import progress_bar
from course_utils.sweeps.request import Request, read_memory
from course_utils.sweeps.runs import common_beginning

if TYPE_CHECKING:
    from nnsight import TransformersModel

Edges = Iterable[tuple[str | Sender, str | Receiver]]
Row = tuple[int, int]
"""A circuit and a pair."""
Ablation = Literal["resample", "mean"]


class CircuitOptions(Measured, Bounded, total=False):
    """What any call may add: `metric` as in :class:`~course_utils.sweeps.options.Measured`, `memory_mb` and `progress`
    as in :class:`~course_utils.sweeps.options.Bounded`.

    Attributes:
        ablation: where what no kept edge carries comes from. "resample": the pair's corrupted run. "mean": the mean of
            what each part writes in all corrupted prompts of that length, position by position.
    """

    ablation: Ablation


def run_circuits(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    *,
    circuits: Sequence[Edges],
    **options: Unpack[CircuitOptions],
) -> torch.Tensor:
    """Run each circuit on each pair of prompts.

    Args:
        clean, corrupted, answers: as for :func:`~course_utils.sweeps.patch_heads`; the two prompts of a pair have
            equally many tokens.
        circuits: each a set of edges, (sender, receiver), by their names (:mod:`course_utils.sweeps.nodes`).
        options: those of :class:`CircuitOptions`.

    Returns:
        (circuit, pair), or (circuit,) for one pair of prompts: the measure of the circuit's run. float32, on the CPU.

    Raises:
        SweepError, a ValueError: an edge does not exist, there is no circuit, prompts of a pair differ in length, the
            mean is asked for of a model that norms what its attention writes, or what
            :func:`~course_utils.sweeps.patch_paths` raises.
    """
    refuse_unknown_options(run_circuits, options, CircuitOptions)
    request = Request(model, corrupted, clean, answers, {"metric": options.get("metric")})
    assert request.sources is not None
    if isinstance(circuits, str) or not isinstance(circuits, Sequence) or not circuits:
        raise SweepError(f"circuits={circuits!r}: expected a list of circuits, each a set of (sender, receiver).")
    read = [read_edges(request.parts, edges) for edges in circuits]
    for prompt, source in zip(request.prompts, request.sources, strict=True):
        if len(prompt) != len(source):
            raise SweepError(
                "A circuit needs a pair of equally long prompts, since each part is read where it was written; the "
                f"clean one has {len(source)} tokens and the corrupted one {len(prompt)}."
            )
    by_mean = _is_mean(request, options.get("ablation", "resample"))
    values = torch.full((len(read), len(request.prompts)), float("nan"))
    memory = read_memory(options) * MEGABYTE
    count = values.numel()
    bar = progress_bar(count, options.get("progress"), f"{count} runs, under {memory / MEGABYTE:.0f} MB")
    with torch.no_grad(), bar, fast_linear():
        for length in sorted({len(prompt) for prompt in request.prompts}):
            same = [pair for pair, prompt in enumerate(request.prompts) if len(prompt) == length]
            # Where all rows are alike there is nothing to compute: pairs of two, or for a mean all prompts together.
            first = request.prompts[same[0]]
            begin = min(
                common_beginning(first if by_mean else request.prompts[pair], tokens)
                for pair in same
                for tokens in (request.prompts[pair], request.sources[pair])
            )
            begin = min(begin, length - 1)
            mean = _mean(request, [request.prompts[pair] for pair in same]) if by_mean else None
            at_once = _rows_at_once(request, read, length, begin, memory)
            rows = [(circuit, pair) for pair in same for circuit in range(len(read))]
            for start in range(0, len(rows), at_once):
                some = rows[start : start + at_once]
                values.view(-1)[[circuit * len(request.prompts) + pair for circuit, pair in some]] = _Run(
                    request, read, some, begin, mean
                ).values()
                bar.update(len(some))
    return values[:, 0] if request.one else values


def _is_mean(request: Request, ablation: str) -> bool:
    if ablation not in get_args(Ablation):
        raise SweepError(f"ablation={ablation!r}: expected one of {', '.join(map(repr, get_args(Ablation)))}.")
    if ablation == "mean" and _normed(request.parts):
        raise SweepError(
            f"{request.parts.family}: a norm stands between its heads and the stream, so the mean of what its heads "
            'write is not what their mean would write. Use ablation="resample".'
        )
    return ablation == "mean"


def _normed(parts: Anatomy) -> bool:
    return parts.norm_after_heads(0) is not None


@dataclass(frozen=True)
class _Rest:
    """What stands where no kept edge leads, row by row: each layer's input (row, position, width), what its heads put
    out (row, position, head, head width) and its MLP (row, position, width), and the end of the stream (row, width).
    """

    residual: list[torch.Tensor]
    heads: list[torch.Tensor]
    mlps: list[torch.Tensor]
    last: torch.Tensor

    @classmethod
    def of(cls, runs: UnpatchedRuns) -> _Rest:
        heads, mlps = (list(runs.found[site].values()) for site in ("head", "mlp"))
        return cls(runs.residual, heads, mlps, runs.last)

    def plus(self, other: _Rest) -> _Rest:
        def sums(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
            return [one + another for one, another in zip(a, b, strict=True)]

        return _Rest(
            sums(self.residual, other.residual),
            sums(self.heads, other.heads),
            sums(self.mlps, other.mlps),
            self.last + other.last,
        )

    def over(self, count: int) -> _Rest:
        def shares(of: list[torch.Tensor]) -> list[torch.Tensor]:
            return [one / count for one in of]

        return _Rest(shares(self.residual), shares(self.heads), shares(self.mlps), self.last / count)


def _mean(request: Request, prompts: Sequence[torch.Tensor]) -> _Rest:
    total: _Rest | None = None
    for tokens in prompts:  # one by one, since all of them together may not fit into memory
        runs = run_unpatched(request.parts, tokens[None], ("head", "mlp"), set(range(request.parts.n_layers)))
        total = _Rest.of(runs) if total is None else total.plus(_Rest.of(runs))
    assert total is not None
    return total.over(len(prompts))


def _rows_at_once(request: Request, circuits: Sequence[frozenset[Edge]], length: int, begin: int, memory: float) -> int:
    parts, run = request.parts, length - begin
    senders = len({sender for edges in circuits for sender, _ in edges})
    item = parts.model._module.dtype.itemsize
    # Each sender's change; a layer's streams, one for each reader; the unpatched runs of the row's pair.
    readers = parts.n_heads + 2 * parts.n_kv_heads + 1
    kept = 4 * parts.n_layers * length * (3 * parts.width + 2 * parts.n_kv_heads * parts.head_width)
    one = item * (run * parts.width * (senders + 3 * readers) + kept) + 2 * row_bytes(parts, run, length, False)
    if one > memory:
        raise SweepError(
            f"memory_mb={memory / MEGABYTE:g} is too little for a circuit over {length} tokens, which needs about "
            f"{one / MEGABYTE:.1f} MB. Give at least memory_mb={one / MEGABYTE + 0.1:.1f}, or shorter prompts."
        )
    return min(256, int(memory / one))


class _Run:
    """Circuits on pairs of one length, as rows, on their way up the layers."""

    def __init__(
        self,
        request: Request,
        circuits: Sequence[frozenset[Edge]],
        rows: Sequence[Row],
        begin: int,
        mean: _Rest | None,
    ):
        assert request.sources is not None
        self.request, self.parts, self.rows, self.begin = request, request.parts, rows, begin
        parts = request.parts
        used = {sender for circuit, _ in rows for sender, _ in circuits[circuit]}
        self.senders = sorted(used, key=lambda one: (one.writes_at, one.head))
        column = {sender: place for place, sender in enumerate(self.senders)}
        # For each receiver, which senders it reads in which row.
        self.reads: dict[Receiver, torch.Tensor] = {}
        for row, (circuit, _) in enumerate(rows):
            for sender, receiver in circuits[circuit]:
                if receiver not in self.reads:
                    self.reads[receiver] = torch.zeros(len(rows), len(self.senders), dtype=torch.bool)
                self.reads[receiver][row, column[sender]] = True
        pairs = sorted({pair for _, pair in rows})
        prompts = torch.stack([request.prompts[pair] for pair in pairs] + [request.sources[pair] for pair in pairs])
        self.runs: UnpatchedRuns = run_unpatched(parts, prompts, ("head", "mlp"), set(range(parts.n_layers)))
        self.base = torch.tensor([pairs.index(pair) for _, pair in rows], device=prompts.device)
        # The rest is the corrupted run of the row's own pair, or one mean for all rows.
        self.by_mean = mean is not None
        self.rest = mean or _Rest.of(self.runs)
        self.of_rest = torch.zeros_like(self.base) if self.by_mean else self.base
        self.hand = LayersByHand(parts, request.prompts[pairs[0]], begin, self.runs)
        # What each sender writes now minus what it wrote in the run that the rest comes from: (row, sender, position,
        # width).
        self.change = self.runs.last.new_zeros(len(rows), len(self.senders), prompts.shape[1] - begin, parts.width)
        if Sender("embedding") in column:
            start = self.runs.residual[0][self.base + len(pairs), begin:]
            self.change[:, column[Sender("embedding")]] = start - self.rest.residual[0][self.of_rest, begin:]
        self.heads: dict[int, torch.Tensor] = {}

    def values(self) -> torch.Tensor:
        """The measure of each row, (row,), on the CPU."""
        for layer in range(self.parts.n_layers):
            self._pass(layer)
        last = self.rest.last[self.of_rest]
        if Receiver("logits") in self.reads:
            last = last + self._read(self.reads[Receiver("logits")])[:, -1]
        pairs = torch.tensor([pair for _, pair in self.rows], device=last.device)
        return self.request.measure.of_residual(self.parts, last, pairs, direction=True, memory=64 * MEGABYTE).cpu()

    def _pass(self, layer: int) -> None:
        """Let a layer's heads and then its MLP read what their edges bring, and write down what they change."""
        parts = self.parts
        stream = self.rest.residual[layer][self.of_rest, self.begin :]
        was = self.rest.heads[layer][self.of_rest, self.begin :]
        readers = [to for to in self.reads if to.layer == layer and to.kind in ("query", "key", "value")]
        sends = [(place, one) for place, one in enumerate(self.senders) if one.layer == layer and one.kind == "head"]
        # What a part makes of the corrupted run's stream is known. What it makes of a mean is not the mean of what it
        # made, so there it computes whether a kept edge reaches it or not.
        if sends and (readers or self.by_mean):
            own = self.hand.queries_keys_values(layer, stream, self.base)
            made = [one.clone() for one in own]
            for reads, same in self._alike(readers):
                new = self.hand.queries_keys_values(layer, stream + self._read(reads), self.base)
                for to in same:
                    number = ("query", "key", "value").index(to.kind)
                    made[number][:, to.head] = new[number][:, to.head]
            now = self.hand.attend(layer, *made)
            if not self.by_mean:
                # What no kept edge reaches is as it was to the last digit: the difference of two calls, and not of the
                # call and the run, which took the same sums in another order.
                now = was + now - self.hand.attend(layer, *own)
            self.heads[layer] = now
            alone = written_by_heads(parts, layer, was, now)  # (row, head, position, width)
            for place, sender in sends:
                self.change[:, place] = alone[:, sender.head]
        mlp = [place for place, one in enumerate(self.senders) if one == Sender("mlp", layer)]
        reads_mlp = self.reads.get(Receiver("mlp", layer))
        if mlp and (reads_mlp is not None or self.by_mean):
            read = stream if reads_mlp is None else stream + self._read(reads_mlp)
            after = self.hand.mlp_output(layer, read, was, self.base)
            before = (
                self.rest.mlps[layer][self.of_rest, self.begin :]
                if self.by_mean
                else self.hand.mlp_output(layer, stream, was, self.base)
            )
            self.change[:, mlp[0]] = (after - before) * parts.residual_scale

    def _alike(self, readers: list[Receiver]) -> list[tuple[torch.Tensor, list[Receiver]]]:
        """Receivers that read the same senders in every row, so that one stream does for them."""
        found: dict[bytes, tuple[torch.Tensor, list[Receiver]]] = {}
        for to in readers:
            reads = self.reads[to]
            found.setdefault(reads.numpy().tobytes(), (reads, []))[1].append(to)
        return list(found.values())

    def _read(self, reads: torch.Tensor) -> torch.Tensor:
        """The sum of the changes that a receiver reads, (row, position, width), by its senders in each row."""
        reads = reads.to(self.change.device)
        weights = reads.to(self.change.dtype)
        normed = _normed(self.parts)
        if normed:  # a norm stands behind the heads: what some of them change together is not the sum of their parts
            for place, sender in enumerate(self.senders):
                if sender.kind == "head":
                    weights[:, place] = 0
        total = torch.einsum("rs,rspw->rpw", weights, self.change)
        for layer in self.heads if normed else ():
            some = torch.zeros(len(reads), self.parts.n_heads, dtype=torch.bool, device=reads.device)
            for place, sender in enumerate(self.senders):
                if sender.kind == "head" and sender.layer == layer:
                    some[:, sender.head] = reads[:, place]
            if some.any():
                total = total + self._together(layer, some)
        return total

    def _together(self, layer: int, some: torch.Tensor) -> torch.Tensor:
        """What a layer's attention writes when some of its heads, (row, head), put out what they do now."""
        was = self.rest.heads[layer][self.of_rest, self.begin :]
        return written_through_norm(self.parts, layer, was, torch.where(some[:, None, :, None], self.heads[layer], was))
