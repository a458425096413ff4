"""A learner's attention layer with known weights, and what it is given and asked for."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import nn

OUTPUT, WEIGHTS = "output (batch, position, width)", "weights (batch, head, query, key)"


def known_layer(answer: Any, d_model: int, n_heads: int, seed: int, dropout_p: float = 0.0) -> Any:
    """The learner's layer with weights of our own drawing, in evaluation mode."""
    layer = answer(d_model, n_heads, dropout_p) if dropout_p else answer(d_model, n_heads)
    source = torch.Generator().manual_seed(seed)
    for name in ("W_q", "W_k", "W_v", "W_o"):
        projection = getattr(layer, name, None)
        if not isinstance(projection, nn.Linear) or projection.weight.shape != (d_model, d_model):
            raise AttributeError(
                f"{name} is not there as nn.Linear({d_model}, {d_model}, bias=False); keep the names of the stub."
            )
        if projection.bias is not None:
            raise AttributeError(f"{name} has a bias; the projections of this layer have none.")
        with torch.no_grad():  # wide enough for the weights to have peaks
            projection.weight.copy_(2 * torch.randn(d_model, d_model, generator=source) / d_model**0.5)
    return layer.eval()


def random_sizes(rng: random.Random) -> tuple[int, int, int]:
    """Width, number of heads, and a seed."""
    n_heads = rng.choice((2, 4))
    return n_heads * rng.choice((4, 8)), n_heads, rng.randrange(1, 100_000)


def random_inputs(seed: int, batch: int, n: int, d_model: int) -> torch.Tensor:
    """(batch, position, width)."""
    return torch.randn(batch, n, d_model, generator=torch.Generator().manual_seed(seed + 1))


def random_mask(seed: int, *shape: int) -> torch.Tensor:
    """A boolean mask (query, key) of about half True.

    In each row something is True and something False, also when it is cut to its last three columns, and so in each
    column of a square one: what a wrong answer makes of an empty one differs from learner to learner.
    """
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(seed + 2)) < 0.5
    for row in range(shape[0]):
        mask[row, row - shape[0]], mask[row, (row + 1) % shape[0] - shape[0]] = True, False
    return mask


def named(result: Any) -> dict[str, Any]:
    """What came out of a layer's forward, by name."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError("forward must return two tensors: the output and the attention weights.")
    return {WEIGHTS: result[1], OUTPUT: result[0]}


def drops_whole_weights(layer: Any, x: torch.Tensor, n_heads: int) -> dict[str, bool]:
    """Whether training drops weights after the softmax, and nothing else, by what that shows in.

    Where all positions are alike, so are their values: a dropped weight makes a head's output longer or shorter, and
    turns it nowhere. Numbers dropped one by one would turn it, and weights dropped before the softmax change nothing.
    """
    layer.train()
    torch.manual_seed(0)
    with torch.no_grad():
        layer.W_o.weight.copy_(torch.eye(len(layer.W_o.weight)))
    alike = x[:, :1].expand_as(x)
    whole = layer.W_v(alike).unflatten(-1, (n_heads, -1))
    ratios = layer(alike)[0].unflatten(-1, (n_heads, -1)) / whole
    layer.eval()
    return {
        "whole weights are dropped": torch.allclose(ratios, ratios[..., :1].expand_as(ratios), atol=1e-3),
        "they are dropped after the softmax": not torch.allclose(ratios, torch.ones_like(ratios), atol=1e-3),
    }


def drops_in_training(layer: Any, x: torch.Tensor, **how: Any) -> bool:
    """Whether two runs in training differ from each other or from evaluation, as they do where weights are dropped."""
    whole = layer.eval()(x, **how)[0]
    layer.train()
    torch.manual_seed(0)
    first, second = layer(x, **how)[0], layer(x, **how)[0]
    layer.eval()
    return not torch.equal(first, second) or not torch.allclose(first, whole, atol=1e-5)
