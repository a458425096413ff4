"""Exercise 4.6: who wrote the answer?"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.drawing import text, tiny
from course_utils.exercises.logit_lens.prompts import ONE_TOKEN, on_prompts
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import FrozenNorm, frozen_norm, logit_attribution
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream, stream_parts

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _cases(rng: random.Random) -> list[Case]:
    cases = [Case(case.label, (*case.args, *rng.sample(ONE_TOKEN, 2))) for case in on_prompts(rng)]
    # An unembedding with a bias, logits that are scaled with it, and halves that are normed before they are added.
    biased = [replace(tiny(rng, family), unembedding_bias=True) for family in ("tiny-cohere", "tiny-gpt2")]
    others = [*biased, tiny(rng, "tiny-gemma2")]
    labels = [
        "a tiny random cohere whose unembedding has a bias",
        "a model whose unembedding has a bias",
        "a tiny random gemma2",
    ]
    drawn = [(model, text(rng, 5), *rng.sample(ONE_TOKEN, 2)) for model in others]
    return cases + [Case(*case) for case in zip(labels, drawn, strict=True)]


# What learners do instead: other vectors than the frozen parts, or another direction than the difference of two rows.


def _shares(model: TransformersModel, read: torch.Tensor, frozen: FrozenNorm, direction: torch.Tensor) -> torch.Tensor:
    """What vectors (part, width) give along a direction (width,), and the constant at the end."""
    return torch.cat([read @ direction, (frozen.bias @ direction)[None]]) * anatomy(model).logit_scale


def _written(model: TransformersModel, prompt: str, position: int = -1) -> tuple[torch.Tensor, FrozenNorm]:
    """What each part wrote at a position (part, width), and the norm that is frozen there."""
    frozen = frozen_norm(model, residual_stream(model, prompt)[-1, position])
    return stream_parts(model, prompt)[:, position], frozen


def _row(model: TransformersModel, token: str) -> torch.Tensor:
    """The token's row of the unembedding (width,)."""
    return anatomy(model).unembedding.weight[token_id(model, token)]


def _each_normed_alone(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt)
    return _shares(model, anatomy(model).normalise(written), frozen, _row(model, token) - _row(model, against))


def _norm_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt)
    return _shares(model, written, frozen, _row(model, token) - _row(model, against))


def _norm_and_constant_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    shares = _norm_forgotten(model, prompt, token, against)
    return torch.cat([shares[:-1], torch.zeros_like(shares[-1:])])


def _gain_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt)
    return _shares(model, frozen(written) / frozen.gain, frozen, _row(model, token) - _row(model, against))


def _at_first_position(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt, position=0)
    return _shares(model, frozen(written), frozen, _row(model, token) - _row(model, against))


def _one_token_only(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt)
    return _shares(model, frozen(written), frozen, _row(model, token))


def _tokens_swapped(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return logit_attribution(model, prompt, against, token)


def _running_sum(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    written, frozen = _written(model, prompt)
    return _shares(model, frozen(written.cumsum(dim=0)), frozen, _row(model, token) - _row(model, against))


def _constant_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    shares = logit_attribution(model, prompt, token, against)
    return torch.cat([shares[:-1], torch.zeros_like(shares[-1:])])


def _constant_left_out(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return logit_attribution(model, prompt, token, against)[:-1]


EXERCISE = Exercise(
    id="4.6",
    title="Who wrote the answer?",
    minutes=20,
    points=4,
    difficulty=3,
    reference=logit_attribution,
    shows="With the norm frozen, a logit difference is a plain sum of what each part wrote: nothing is left over.",
    hints=(
        Hint(
            "the parts",
            "`written = stream_parts(model, prompt)[:, -1]` is (part, width), in the order that is asked for: the "
            "start, then each layer's attention and MLP. Its sum over the parts is what `frozen_norm` wants.",
        ),
        Hint(
            "the frozen norm",
            "`frozen = frozen_norm(model, written.sum(dim=0))` is linear: `frozen(written)` keeps the shape (part, "
            "width), and `frozen.bias` is (width,).",
        ),
        Hint(
            "the shares",
            "The direction is the difference of two rows of `parts.unembedding.weight`. The shares are "
            "`frozen(written) @ direction`, then `frozen.bias @ direction` as the last entry (`torch.cat`). "
            "`parts.logit_scale` is 1 for most models: multiply by it. If `parts.unembedding.bias` is not None, the "
            "difference of its two entries belongs to the last entry too.",
        ),
    ),
    draw=_cases,
    axes=("part",),
    mistakes=(
        Mistake(
            "each part normed alone",
            _each_normed_alone,
            "Each part was divided by its own size, so the sum is not the logit difference: freeze the norm at the "
            "whole residual.",
        ),
        Mistake(
            "no norm",
            _norm_forgotten,
            "The parts went to the unembedding without the final norm: use frozen(part).",
        ),
        Mistake(
            "no norm, no constant",
            _norm_and_constant_forgotten,
            "The parts went to the unembedding without the final norm: use frozen(part). And the last entry is what "
            "the biases of norm and unembedding give; 0 is right only where there are none.",
        ),
        Mistake(
            "no gain",
            _gain_forgotten,
            "The parts are divided, but the norm's weights are missing: use frozen(part).",
        ),
        Mistake(
            "first position",
            _at_first_position,
            "These are the parts of the first position: the next token is predicted at the last, -1.",
        ),
        Mistake(
            "one token only",
            _one_token_only,
            "This is the attribution of one logit: the direction is a difference of two rows.",
        ),
        Mistake(
            "tokens swapped",
            _tokens_swapped,
            "All signs are reversed: it is the row of token minus the row of against.",
        ),
        Mistake(
            "running sum",
            _running_sum,
            "These are the streams so far, not what each part added: use stream_parts, not the layers' outputs.",
        ),
        Mistake(
            "constant forgotten",
            _constant_forgotten,
            "The last entry is 0, but this model's final norm has a bias: frozen.bias @ direction belongs there.",
        ),
        Mistake(
            "constant left out",
            _constant_left_out,
            "There is an entry for each part, but none at the end for what the biases of norm and unembedding give.",
        ),
    ),
)
