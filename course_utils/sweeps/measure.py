"""What is read off the end of a run: one number, from the answers' logits or by a metric of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.options import Metric, SweepError


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
        """(row, width) and each row's pair (row,) to (row,), in float32.

        direction: multiply the answers' rows of the unembedding only. memory: bytes that all logits together may take.
        """
        normed = parts.normalise(residual)
        unembedding = parts.unembedding._module
        # Only of a plain matrix are two rows two logits: a quantised or wrapped unembedding computes something else in
        # its forward.
        if direction and self.answers is not None and type(unembedding) is torch.nn.Linear:
            ids = self.answers[pairs]
            scores = (unembedding.weight[ids].float() @ normed.float().unsqueeze(-1)).squeeze(-1)
            if unembedding.bias is not None:
                scores = scores + unembedding.bias[ids].float()
            # Gemma 2 caps its logits and Cohere scales them: both act on each logit by itself, so two can be finished
            # without the rest.
            chosen = parts.finish_logits(scores)
            return chosen[:, 0] - chosen[:, 1]
        # 16 bytes for each logit: itself, its copy in float32, and room for what a metric makes of it.
        rows = max(1, int(min(memory / (parts.vocabulary * 16), len(normed))))
        parted = zip(normed.split(rows), pairs.split(rows), strict=True)
        return torch.cat([self.of_logits(parts.logits(some), which) for some, which in parted])


def refuse_without_gradient(value: torch.Tensor) -> None:
    """Raise SweepError for a measure through which no gradient flows, where one is needed."""
    if not value.requires_grad:
        raise SweepError(
            "metric returned numbers that no gradient leads to, and this estimate is made of gradients: leave "
            "detach(), no_grad(), argmax() and the like out of it."
        )
