"""What a direction does, by layer and strength (lesson 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from course_utils import steering as steer
from course_utils.explore.asking import asking
from course_utils.model.anatomy import anatomy
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel

NULLS = 20  # random directions whose effects make the band behind a steering curve


def steering(
    model: TransformersModel,
    prompt: str,
    directions: torch.Tensor,
    words: tuple[Sequence[str], Sequence[str]],
    ordinary: str,
    layers: Sequence[int],
    shares: Sequence[float] = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4),
    n_new: int = 12,
) -> View:
    """What a direction added at one layer does to what is written, to the odds of words, and to ordinary text.

    Behind the log-odds stand those of twenty random directions of the same length: what lies in their band, any
    direction could have done.

    Args:
        directions: for each layer of the model its direction, (layer, width).
        words: those that should become more probable, and those that should become less, each one token.
        ordinary: a text that has nothing to do with the concept; its perplexity is the damage.
        shares: strengths, as shares of the stream's typical norm at the layer.

    Raises:
        ValueError: a word is not one token, there is no such layer, or something has another shape.
    """
    parts = anatomy(model)
    steer.checked_vectors(model, directions, "layer")
    if len(directions) != parts.n_layers:
        raise ValueError(f"There are directions for {len(directions)} layers; this model has {parts.n_layers}.")
    positive, negative = (steer.word_ids(model, side) for side in words)
    chosen = [steer.checked_layer(model, layer) for layer in layers]
    typical = steer.stream_norms(model, [prompt, ordinary]).median(dim=1).values  # (layer,)
    strengths = torch.tensor(sorted(shares), device=directions.device)

    def scaled(some: torch.Tensor) -> torch.Tensor:
        """Directions (layer, width) at each strength: (chosen layer, strength, width)."""
        unit = some / some.norm(dim=-1, keepdim=True)
        return (strengths[:, None] * (typical.to(unit)[:, None] * unit)[:, None])[chosen]

    vectors = scaled(directions)
    done = steer.steering_sweep(
        model, vectors, prompt, positive=positive, negative=negative, texts=ordinary, layers=chosen
    )
    source = torch.Generator().manual_seed(0)
    random = [scaled(torch.randn(directions.shape, generator=source).to(directions)) for _ in range(NULLS)]
    last = steer.steered_residuals(model, prompt, torch.cat(random, dim=1), chosen)[1:, -1]
    # All logits at once would be rows * vocabulary numbers.
    odds = torch.cat(
        [steer.log_odds(parts.unembed(some).float(), positive, negative).cpu() for some in last.split(64)]
    ).reshape(len(chosen), NULLS, len(strengths))
    texts = [
        steer.steered_generate(model, prompt, layer, row, n_new) for layer, row in zip(chosen, vectors, strict=True)
    ]
    view = views.steering(
        layers=chosen,
        strengths=sorted(shares),
        texts=texts,
        measures={"log-odds": done.log_odds, "perplexity of ordinary text": done.perplexity},
        null={"log-odds": torch.stack([odds.amin(dim=1), odds.amax(dim=1)])},
        prompt=prompt,
    )

    def ask(text: str) -> View:
        return steering(
            model, text, directions, words=words, ordinary=ordinary, layers=layers, shares=shares, n_new=n_new
        )

    return asking(view, ask)
