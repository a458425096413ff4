# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Exercise 6.3: keep what every head found."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.patching.drawing import models, pair
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy


def _prompts(rng: random.Random) -> list[Case]:
    return [Case(label, (model, pair(rng).clean)) for label, model in models(rng)]


# What learners do instead.


def _written(model: Any, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    outputs = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            outputs.append(parts.attention_written(layer)[0].save())
    written = torch.stack(outputs)
    if written.shape[-1] != parts.n_heads * parts.head_width:
        return written
    return parts.split_heads(written)


def _interleaved(model: Any, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    joined = patching.head_outputs(model, prompt).flatten(-2)
    return joined.unflatten(-1, (parts.head_width, parts.n_heads)).transpose(-1, -2)


def _viewed(model: Any, prompt: str) -> torch.Tensor:
    # (position, heads * width) viewed as (heads, position, width): the right size, the wrong numbers
    parts = anatomy(model)
    joined = patching.head_outputs(model, prompt).flatten(-2)
    n_layers, n_positions = joined.shape[:2]
    return joined.reshape(n_layers, parts.n_heads, n_positions, parts.head_width).transpose(1, 2)


def _reversed(model: Any, prompt: str) -> torch.Tensor:
    return patching.head_outputs(model, prompt).flip(0)


EXERCISE = Exercise(
    id="6.3",
    title="Keep what every head found",
    minutes=10,
    points=2,
    difficulty=1,
    reference=patching.head_outputs,
    shows="Every head's output of a run is in your hands: what a patch transplants.",
    hints=(
        Hint(
            "one trace",
            "Visit the layers in order and collect `parts.heads(layer)[0]`, the first row of the batch.",
        ),
        Hint(
            "saving many things",
            "Save each as you collect it: `outputs.append(parts.heads(layer)[0].save())`. After the block: "
            "`torch.stack(outputs)`.",
        ),
    ),
    draw=_prompts,
    axes=("layer", "position", "head", "element"),
    mistakes=(
        Mistake(
            "after the projection",
            _written,
            "This is what attention wrote to the stream. The output projection has mixed the heads by then; read "
            "its input.",
        ),
        Mistake(
            "heads interleaved",
            _interleaved,
            "The numbers are the right ones in the wrong cut: a head's numbers lie side by side, so split the last "
            "axis into (head, head width), in that order.",
        ),
        Mistake(
            "positions and heads mixed",
            _viewed,
            "A reshape across positions mixed positions and heads: split the last axis first, then transpose.",
        ),
        Mistake(
            "layers backwards",
            _reversed,
            "The layers are in reverse: entry 0 is layer 0.",
        ),
    ),
)
