"""Edge attribution: all paths estimated from gradients, to be held against the exact ones.

To first order, a receiver that reads a sender's change moves the answer by gradient * change, where the gradient is
that of the answer with respect to what the receiver reads (Syed, Rager and Conmy 2023,
https://arxiv.org/abs/2310.10348). Two runs and two backward passes, for any number of edges. Where the model bends in
between, that is wrong; with `steps` the gradient is averaged on the way from the corrupted embedding to the clean one
(Hanna, Pezzelle and Belinkov 2024, https://arxiv.org/abs/2403.17806).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import torch

from course_utils.errors import refuse_unknown_options
from course_utils.model.anatomy import Anatomy
from course_utils.model.whole_numbers import whole_number
from course_utils.sweeps.growing_batch import UnpatchedRuns, run_unpatched
from course_utils.sweeps.layers_by_hand import LayersByHand, written_by_heads
from course_utils.sweeps.measure import refuse_without_gradient
from course_utils.sweeps.nodes import Receiver, Receivers, Sender, Senders, joined, read_receivers, read_senders
from course_utils.sweeps.options import Answers, Positioned, Prompts, SweepError
from course_utils.sweeps.paths import PathMap
from course_utils.sweeps.request import Request
from course_utils.sweeps.runs import common_beginning

if TYPE_CHECKING:
    from nnsight import TransformersModel


@torch.inference_mode(False)  # around a call it would leave no gradient
def edge_attribution(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    *,
    senders: Senders | None = None,
    receivers: Receivers | None = None,
    steps: int | None = None,
    **options: Unpack[Positioned],
) -> PathMap:
    """An approximation of :func:`~course_utils.sweeps.patch_paths`, for the direct edges.

    Args:
        steps: None, and the gradient is the corrupted run's; else the mean of the gradients at this many embeddings, in
            equal steps from the corrupted one (left out) to the clean one (taken in). The other arguments are those of
            :func:`~course_utils.sweeps.patch_paths`.
        options: those of :class:`~course_utils.sweeps.options.Positioned`, `metric` and `positions`: there is nothing
            to bound and no shortcut to take.

    Returns:
        A :class:`PathMap` whose numbers are the corrupted run's measure plus each edge's estimate.

    Raises:
        SweepError, a ValueError: as there; or a clean and a corrupted prompt differ in length, since the way from one
            embedding to the other needs the same positions in both.
    """
    refuse_unknown_options(edge_attribution, options, Positioned)
    if steps is not None and whole_number(steps, "steps") < 1:
        raise SweepError(f"steps={steps}: expected at least 1, or None for the corrupted run's gradient alone.")
    asked = options.get("positions")
    request = Request(model, corrupted, clean, answers, {"metric": options.get("metric")})
    parts = request.parts
    chosen, to = read_senders(parts, senders), read_receivers(parts, receivers)
    assert request.sources is not None
    maps, unpatched = [], []
    for pair, (prompt, source) in enumerate(zip(request.prompts, request.sources, strict=True)):
        if len(prompt) != len(source):
            raise SweepError(
                f"edge_attribution needs prompts of one length; the clean one has {len(source)} tokens and the "
                f"corrupted one {len(prompt)}. patch_paths takes them as they are."
            )
        begin = common_beginning(prompt, source)
        changed = [position for position in request.positions(pair, asked) if position >= begin]
        begin = min(begin, len(prompt) - 1)  # of equal prompts the last token is run, and nothing changes
        with torch.no_grad():
            runs = run_unpatched(parts, torch.stack([source, prompt]), ("head", "mlp"), set(range(parts.n_layers)))
            changes = sender_changes(parts, runs, chosen, begin, changed)  # (sender, position, width)
        hand = LayersByHand(parts, prompt, begin, runs)
        gradients: torch.Tensor | float = 0.0
        for step in range(1, steps + 1) if steps else [0]:
            share = step / (steps or 1)
            start = torch.lerp(runs.residual[0][1:, begin:], runs.residual[0][:1, begin:], share)
            gradients = gradients + _gradients(request, pair, hand, start, to) / (steps or 1)
        estimate = torch.einsum("rpw,spw->rs", gradients, changes.float())
        there = torch.tensor([[joined(parts, sender, receiver) for sender in chosen] for receiver in to])
        which = torch.tensor([pair], device=runs.last.device)
        value = request.measure.of_residual(parts, runs.last[1:], which, direction=True, memory=float("inf"))
        value = value[0].detach().cpu()
        maps.append((value + estimate.cpu()).masked_fill(~there, float("nan")))
        unpatched.append(value)
    if request.one:
        return PathMap(chosen, to, maps[0], unpatched[0])
    return PathMap(chosen, to, torch.stack(maps), torch.stack(unpatched))


def sender_changes(
    parts: Anatomy, runs: UnpatchedRuns, senders: list[Sender], begin: int, changed: Sequence[int]
) -> torch.Tensor:
    """What each sender writes in row 0 minus what it writes in row 1, (sender, position from `begin` on, width).

    At the positions `changed`; zero elsewhere.
    """
    change = runs.last.new_zeros(len(senders), runs.residual[0].shape[1] - begin, parts.width)
    heads: dict[int, torch.Tensor] = {}
    at = torch.tensor(changed, dtype=torch.long, device=change.device)
    for row, sender in enumerate(senders):
        if sender.kind == "head":
            if sender.layer not in heads:
                clean, own = runs.found["head"][sender.layer][:, at]
                heads[sender.layer] = written_by_heads(parts, sender.layer, own[None], clean[None])[0]
            change[row, at - begin] = heads[sender.layer][sender.head]
        else:
            wrote = runs.residual[0] if sender.kind == "embedding" else runs.found["mlp"][sender.layer]
            scale = parts.residual_scale if sender.kind == "mlp" else 1.0
            change[row, at - begin] = (wrote[0, at] - wrote[1, at]) * scale
    return change


def _gradients(
    request: Request, pair: int, hand: LayersByHand, start: torch.Tensor, receivers: list[Receiver]
) -> torch.Tensor:
    """The measure's gradient with respect to what each receiver reads, (receiver, position, width), float32.

    start: the start of the stream, (1, position, width).
    """
    parts = request.parts
    own_row = torch.ones(1, dtype=torch.long, device=start.device)
    with torch.enable_grad():
        stream = start.detach().requires_grad_()
        streams, seen = [], []
        for layer in range(parts.n_layers):
            streams.append(stream)
            stream, on_the_way = hand.run(layer, stream, own_row)
            seen.append(on_the_way)
        which = torch.tensor([pair], device=start.device)
        value = request.measure.of_residual(parts, stream[:, -1], which, direction=True, memory=float("inf")).sum()
        refuse_without_gradient(value)
        flat = [one for some in seen for one in some]
        found = torch.autograd.grad(value, [*flat, stream], allow_unused=True)
    zero = torch.zeros_like(start[0])
    result = torch.zeros(len(receivers), *zero.shape, device=start.device)
    for row, receiver in enumerate(receivers):
        if receiver.kind == "logits":
            result[row] = zero if found[-1] is None else found[-1][0].float()
    for layer in range(parts.n_layers):
        of_layer = [
            torch.zeros_like(one) if gradient is None else gradient
            for one, gradient in zip(seen[layer], found[4 * layer : 4 * layer + 4], strict=True)
        ]
        here = [(row, to) for row, to in enumerate(receivers) if to.layer == layer and to.kind != "logits"]
        heads = [(row, to) for row, to in here if to.kind != "mlp"]
        if heads:
            rows = [row for row, _ in heads]
            result[rows] = _of_heads([to for _, to in heads], layer, hand, streams[layer], of_layer).float()
        for row, _ in [one for one in here if one[1].kind == "mlp"]:
            result[row] = _of_mlp(layer, hand, streams[layer], seen[layer], of_layer[3]).float()
    return result


def _of_heads(
    receivers: list[Receiver], layer: int, hand: LayersByHand, stream: torch.Tensor, gradients: list[torch.Tensor]
) -> torch.Tensor:
    """From the gradients of a layer's queries, keys and values back to a stream of each receiver's own."""
    rows = torch.ones(len(receivers), dtype=torch.long, device=stream.device)
    with torch.enable_grad():
        own = stream.detach().expand(len(receivers), -1, -1).clone().requires_grad_()
        made = hand.queries_keys_values(layer, own, rows)
        total = own.new_zeros(())
        for row, receiver in enumerate(receivers):
            number = ("query", "key", "value").index(receiver.kind)
            total = total + (made[number][row, receiver.head] * gradients[number][0, receiver.head].detach()).sum()
        return torch.autograd.grad(total, own)[0]


def _of_mlp(
    layer: int, hand: LayersByHand, stream: torch.Tensor, seen: list[torch.Tensor], gradient: torch.Tensor
) -> torch.Tensor:
    rows = torch.ones(1, dtype=torch.long, device=stream.device)
    q, k, v, _ = (one.detach() for one in seen)
    with torch.enable_grad():
        own = stream.detach().clone().requires_grad_()
        hand.queries_keys_values(layer, own, rows)  # so that the layer's attention can be asked
        heads = hand.attend(layer, q, k, v)
        written = hand.mlp_output(layer, own, heads.detach(), rows)
        return torch.autograd.grad((written * gradient.detach()).sum(), own)[0][0]
