"""Circuits: keep a set of edges, and take everything else from the corrupted run.

    values = run_circuits(model, clean, corrupted, answers, [edges, fewer_edges])       # (circuit, pair)

In such a run each reader has a stream of its own. It is the corrupted run's, plus, for each sender that a kept edge
joins to it, what that sender writes now minus what it wrote in the corrupted run. The embedding writes what it does in
the clean run; every other part computes from what it reads. So with all edges this is the clean run, with none the
corrupted
one, and in between nothing but the kept edges carries what is clean: the ablated graph of Conmy et al. 2023
(https://arxiv.org/abs/2304.14997), whose ablation is a resampled one (Chan et al. 2022). One pass up the layers for as
many circuits and prompts, as rows, as memory holds; what no edge reaches is not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from course_utils.errors import refuse_unknown_options
from course_utils.sweeps.fast_linear import fast_linear
from course_utils.sweeps.growing_batch import UnpatchedRuns, run_unpatched
from course_utils.sweeps.layers_by_hand import LayersByHand, written_by_heads, written_through_norm
from course_utils.sweeps.memory import MEGABYTE, row_bytes
from course_utils.sweeps.nodes import Edge, Receiver, Sender, read_edges
from course_utils.sweeps.options import Answers, Metric, Prompts, SweepError
from course_utils.sweeps.request import Request, read_memory
from course_utils.sweeps.runs import common_beginning

if TYPE_CHECKING:
    from nnsight import TransformersModel

Edges = Iterable[tuple[str | Sender, str | Receiver]]
Row = tuple[int, int]
"""A circuit and a pair."""


class CircuitOptions(TypedDict, total=False):
    """metric, memory_mb, progress: as in :class:`~course_utils.sweeps.options.SweepOptions`."""

    metric: Metric | None
    memory_mb: float
    progress: bool | None


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
        SweepError, a ValueError: an edge does not exist, there is no circuit, prompts of a pair differ in length, or
            what :func:`~course_utils.sweeps.patch_paths` raises.
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
    values = torch.full((len(read), len(request.prompts)), float("nan"))
    memory = read_memory(options) * MEGABYTE
    progress = options.get("progress")
    bar = tqdm(
        total=values.numel(), delay=0 if progress else 3, disable=progress is False, leave=False, desc="circuits"
    )
    with torch.no_grad(), bar, fast_linear():
        for length in sorted({len(prompt) for prompt in request.prompts}):
            same = [pair for pair, prompt in enumerate(request.prompts) if len(prompt) == length]
            begin = min(common_beginning(request.prompts[pair], request.sources[pair]) for pair in same)
            begin = min(begin, length - 1)
            at_once = _rows_at_once(request, read, length, begin, memory)
            rows = [(circuit, pair) for pair in same for circuit in range(len(read))]
            for start in range(0, len(rows), at_once):
                some = rows[start : start + at_once]
                values.view(-1)[[circuit * len(request.prompts) + pair for circuit, pair in some]] = _Run(
                    request, read, some, begin
                ).values()
                bar.update(len(some))
    return values[:, 0] if request.one else values


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

    def __init__(self, request: Request, circuits: Sequence[frozenset[Edge]], rows: Sequence[Row], begin: int):
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
        self.hand = LayersByHand(parts, request.prompts[pairs[0]], begin, self.runs)
        # What each sender writes now minus what it wrote in the corrupted run: (row, sender, position, width).
        self.change = self.runs.last.new_zeros(len(rows), len(self.senders), prompts.shape[1] - begin, parts.width)
        if Sender("embedding") in column:
            start = self.runs.residual[0][:, begin:]
            self.change[:, column[Sender("embedding")]] = start[self.base + len(pairs)] - start[self.base]
        self.heads: dict[int, torch.Tensor] = {}

    def values(self) -> torch.Tensor:
        """The measure of each row, (row,), on the CPU."""
        for layer in range(self.parts.n_layers):
            self._pass(layer)
        last = self.runs.last[self.base]
        if Receiver("logits") in self.reads:
            last = last + self._read(self.reads[Receiver("logits")])[:, -1]
        pairs = torch.tensor([pair for _, pair in self.rows], device=last.device)
        return self.request.measure.of_residual(self.parts, last, pairs, True, 64 * MEGABYTE).cpu()

    def _pass(self, layer: int) -> None:
        """Let a layer's heads and then its MLP read what their edges bring, and write down what they change."""
        parts = self.parts
        stream = self.runs.residual[layer][self.base, self.begin :]
        was = self.runs.found["head"][layer][self.base, self.begin :]
        readers = [to for to in self.reads if to.layer == layer and to.kind in ("query", "key", "value")]
        sends = [(place, one) for place, one in enumerate(self.senders) if one.layer == layer and one.kind == "head"]
        if readers and sends:
            own = self.hand.queries_keys_values(layer, stream, self.base)
            made = [one.clone() for one in own]
            for reads, same in self._alike(readers):
                new = self.hand.queries_keys_values(layer, stream + self._read(reads), self.base)
                for to in same:
                    number = ("query", "key", "value").index(to.kind)
                    made[number][:, to.head] = new[number][:, to.head]
            # What no kept edge reaches is as it was to the last digit: the difference of two calls, and not of the
            # call and the run, which took the same sums in another order.
            now = was + self.hand.attend(layer, *made) - self.hand.attend(layer, *own)
            self.heads[layer] = now
            alone = written_by_heads(parts, layer, was, now)  # (row, head, position, width)
            for place, sender in sends:
                self.change[:, place] = alone[:, sender.head]
        mlp = [place for place, one in enumerate(self.senders) if one == Sender("mlp", layer)]
        if mlp and Receiver("mlp", layer) in self.reads:
            reads = self._read(self.reads[Receiver("mlp", layer)])
            after, before = (self.hand.mlp_output(layer, one, was, self.base) for one in (stream + reads, stream))
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
        normed = self.parts.attention_writers[0]._module is not self.parts.attentions[0]._module
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
        was = self.runs.found["head"][layer][self.base, self.begin :]
        return written_through_norm(self.parts, layer, was, torch.where(some[:, None, :, None], self.heads[layer], was))
