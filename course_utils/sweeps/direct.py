"""Direct effects: what each part writes straight to the answer, past all later layers, by one product.

Between two runs each head, each MLP and the embedding writes something else at the last token. Through the final norm,
with its divisor kept as it was in the corrupted run, and the difference of two rows of the unembedding, each change is
a number of logits, and the numbers add up: with what the norm's own divisor does they are the whole difference of the
two runs. Direct logit attribution: Elhage et al. 2021 (https://transformer-circuits.pub/2021/framework/index.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from course_utils.model.anatomy import Anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.sweeps.growing_batch import run_unpatched
from course_utils.sweeps.layers_by_hand import written_by_heads, written_through_norm
from course_utils.sweeps.options import Answers, Prompts, SweepError
from course_utils.sweeps.request import Request

if TYPE_CHECKING:
    from nnsight import TransformersModel


@dataclass(frozen=True)
class DirectEffects:
    """In logits of the first answer minus the second, float32, on the CPU; of lists of prompts with (pair, ...) in
    front.

    Attributes:
        heads: (layer, head). Where attention is normed before it is added (Gemma, OLMo 2) a head's is what it changes
            alone, and a layer's heads do not add up: `attention` says what all of them change together.
        attention: (layer,), the whole attention.
        mlps: (layer,).
        embedding: ().
        norm: (), what the final norm's other divisor does, and, where the logits are capped (Gemma 2), the cap.

    `attention`, `mlps`, `embedding` and `norm` sum to the clean run's logit difference minus the corrupted run's.
    """

    heads: torch.Tensor
    attention: torch.Tensor
    mlps: torch.Tensor
    embedding: torch.Tensor
    norm: torch.Tensor


def direct_effects(
    model: TransformersModel, clean: Prompts, corrupted: Prompts, answers: Answers | None = None
) -> DirectEffects:
    """What each head and MLP and the embedding adds to the answer along the direct path alone.

    The two prompts may differ in length: only the last token counts. Arguments are those of
    :func:`~course_utils.sweeps.patch_heads`.

    Raises:
        SweepError, a ValueError: as there; or there is a metric and no answers. ValueError: the final norm is neither
            an RMSNorm nor a LayerNorm.
    """
    request = Request(model, corrupted, clean, answers, {})
    assert request.sources is not None and request.measure.answers is not None
    parts = request.parts
    if (why := parts.why_not_plain()) is not None:
        raise SweepError(why)
    unembedding = parts.unembedding._module
    if not hasattr(unembedding, "weight") or unembedding.weight.ndim != 2:
        raise SweepError(f"{parts.family}: its unembedding is no plain matrix, so it has no direct effects.")
    rows = []
    with torch.no_grad():
        for pair, (prompt, source) in enumerate(zip(request.prompts, request.sources, strict=True)):
            theirs, ours, last = _last_token(parts, source, prompt)
            frozen = frozen_norm(model, last[1])
            plus, minus = request.measure.answers[pair].tolist()
            weight = unembedding.weight
            direction = (weight[plus] - weight[minus]).float() * parts.logit_scale  # (width,)
            changes = _changes(parts, ours, theirs)
            sizes = [len(change) for change in changes]
            along = (frozen(torch.cat(changes).float()) @ direction).split(sizes)  # the one product
            which = torch.tensor([pair, pair], device=last.device)
            measured = request.measure.of_residual(parts, last, which, direction=True, memory=float("inf"))
            # Of the two residuals, and not of the parts: that the parts sum to it is for them to show.
            norm = measured[0] - measured[1] - frozen((last[0] - last[1]).float()) @ direction
            heads, attention, mlps, embedding = along
            rows.append((heads.unflatten(0, (parts.n_layers, parts.n_heads)), attention, mlps, embedding[0], norm))
    columns = [torch.stack(column).float().cpu() for column in zip(*rows, strict=True)]
    return DirectEffects(*([column[0] for column in columns] if request.one else columns))


Written = tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]


def _last_token(parts: Anatomy, clean: torch.Tensor, corrupted: torch.Tensor) -> tuple[Written, Written, torch.Tensor]:
    """Of either run, at the last token: each layer's heads (1, 1, head, head width), each MLP's output and the start of
    the stream; and both last residuals (2, width), clean first.
    """
    every = set(range(parts.n_layers))
    if len(clean) == len(corrupted):
        both = run_unpatched(parts, torch.stack([clean, corrupted]), ("head", "mlp"), every)
        runs = [(both, 0), (both, 1)]
    else:
        runs = [(run_unpatched(parts, one[None], ("head", "mlp"), every), 0) for one in (clean, corrupted)]
    found: list[Written] = [
        (
            [run.found["head"][layer][row, -1][None, None] for layer in sorted(every)],
            [run.found["mlp"][layer][row, -1] for layer in sorted(every)],
            run.residual[0][row, -1],
        )
        for run, row in runs
    ]
    return found[0], found[1], torch.stack([run.last[row] for run, row in runs])


def _changes(parts: Anatomy, own: Written, new: Written) -> list[torch.Tensor]:
    """What heads (layer * head, width), attentions (layer, width), MLPs (layer, width) and the embedding (1, width)
    write in the clean run minus what they write in the corrupted one.
    """
    heads, attention = [], []
    for layer, (before, after) in enumerate(zip(own[0], new[0], strict=True)):
        alone = written_by_heads(parts, layer, before, after)[0, :, 0]  # (head, width)
        heads.append(alone)
        attention.append(_together(parts, layer, before, after, alone))
    mlps = torch.stack(new[1]) - torch.stack(own[1])
    return [torch.cat(heads), torch.stack(attention), mlps * parts.residual_scale, (new[2] - own[2])[None]]


def _together(parts: Anatomy, layer: int, own: torch.Tensor, new: torch.Tensor, alone: torch.Tensor) -> torch.Tensor:
    """(width,), the change of all heads together: their sum, unless a norm stands between them and the stream."""
    if parts.norm_after_heads(layer) is None:
        return alone.sum(0)
    return written_through_norm(parts, layer, own, new)[0, 0]
