"""Exercise 6.2: scramble one head."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.drawing import TINY_SIZES, default_pair, models, pair, sizes, two_unlike
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id


def _heads_and_orders(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn, (layer, head) = pair(rng), two_unlike(rng, model)
        *_, head_width = sizes(model)
        order = torch.randperm(head_width, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
        cases.append(Case(label, (model, drawn.clean, layer, head, order, drawn.answers)))
    order = torch.randperm(TINY_SIZES[2], generator=torch.Generator().manual_seed(rng.randrange(10**6)))
    last = (tiny(rng, "tiny-gpt2"), default_pair().clean, TINY_SIZES[0] - 1, TINY_SIZES[1] - 1, order)
    return [*cases, Case("the last head of the last layer, answers left out", last)]


# What learners do instead.


def _after(model: Any, prompt: str, layer: int, answers: tuple[str, str], change: Any) -> float:
    """The logit difference after ``change(heads)``, in place, of the layer's (batch, position, head, head width)."""
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        heads = parts.heads(layer)
        change(heads)
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _swapped(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    return patching.permute_head(model, prompt, head, layer, order, answers)


def _every_head(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    def change(heads: torch.Tensor) -> None:
        heads[:] = heads[..., order]

    return _after(model, prompt, layer, answers, change)


def _last_position(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    def change(heads: torch.Tensor) -> None:
        heads[:, -1, head] = heads[:, -1, head, order]

    return _after(model, prompt, layer, answers, change)


def _inverse_order(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    return patching.permute_head(model, prompt, layer, head, order.argsort(), answers)


def _nothing_written(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    return patching.logit_difference(model, prompt, answers)


def _interleaved(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: tuple[str, str] = NAMES
) -> float:
    n_heads = anatomy(model).n_heads

    def change(heads: torch.Tensor) -> None:
        joined = heads.flatten(-2)
        own = joined[..., head::n_heads]
        own[:] = own[..., order]

    return _after(model, prompt, layer, answers, change)


EXERCISE = Exercise(
    id="6.2",
    title="Scramble one head",
    minutes=15,
    points=3,
    difficulty=2,
    reference=patching.permute_head,
    shows="You wrote into a running model: one head's numbers changed places, and everything after it followed.",
    hints=(
        Hint(
            "reading and writing",
            "`heads = parts.heads(layer)` in a trace is a view (batch, position, head, head width) of the output "
            "projection's input. What you assign into a slice of it, the model goes on with.",
        ),
        Hint(
            "the order",
            "`heads[:, :, head, order]` is the scrambled head. Assign it to `heads[:, :, head]`, then read the logits.",
        ),
    ),
    draw=_heads_and_orders,
    mistakes=(
        Mistake(
            "nothing written",
            _nothing_written,
            "This is the untouched run. Indexing with order makes a new tensor: assign it back into the view, "
            "heads[:, :, head] = ....",
        ),
        Mistake(
            "layer and head swapped",
            _swapped,
            "Layer and head have changed places: this is head `layer` of layer `head`.",
        ),
        Mistake(
            "every head",
            _every_head,
            "This scrambles every head of the layer; write to one head's slice only.",
        ),
        Mistake(
            "last position only",
            _last_position,
            "This scrambles the last position only; the head's output changes at every position.",
        ),
        Mistake(
            "order inverted",
            _inverse_order,
            "This is the inverse order: number i moved to place order[i]. New number i should be old number order[i].",
        ),
        Mistake(
            "heads interleaved",
            _interleaved,
            "These numbers are spread over all heads. A head's numbers lie side by side: head h starts at h * head "
            "width.",
        ),
    ),
)
