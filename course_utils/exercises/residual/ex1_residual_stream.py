"""Exercise 2.1: read the whole stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from course_utils.exercises.protocol import Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import texts
from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream

if TYPE_CHECKING:
    from nnsight import TransformersModel


# What learners do instead.


def _embedding_bare(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        embedding = parts.embedding.output.save()
    return torch.cat([embedding, residual_stream(model, prompt)[1:]])


def _inputs_only(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:1], stream[:-1]])


def _last_normed(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:-1], anatomy(model).normalise(stream[-1:])])


def _last_first(model: TransformersModel, prompt: str) -> torch.Tensor:
    return residual_stream(model, prompt).flip(0)


def _written_not_stream(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:1], stream[1:] - stream[:-1]])


EXERCISE = Exercise(
    id="2.1",
    title="Read the whole stream",
    minutes=10,
    points=2,
    difficulty=1,
    reference=residual_stream,
    shows="One trace gives the stream at every depth: one vector for each token, of the same width all the way.",
    hints=(
        Hint(
            "where to look",
            "One trace is enough: read the first layer's input, then each layer's output, in that order, and "
            "collect them in a list.",
        ),
        Hint(
            "one tensor of many",
            "Each has shape (1, position, width), since the batch is one prompt. `torch.cat` puts such tensors "
            "one after the other.",
        ),
        Hint(
            "nearly there",
            "Make the one tensor inside the trace and save it there: `stream = torch.cat(depths).save()`.",
        ),
    ),
    draw=texts,
    axes=("depth", "position", "dimension"),
    mistakes=(
        Mistake(
            "embedding without positions",
            _embedding_bare,
            "Your depth 0 is the embedding module's output. What the first layer reads is its input, layers[0].input: "
            "this model adds its positions (others a scale) in between.",
        ),
        Mistake(
            "inputs for outputs",
            _inputs_only,
            "Your entry l + 1 is what layer l reads, not what it puts out: you are one layer behind.",
        ),
        Mistake(
            "last depth normalised",
            _last_normed,
            "Your last depth has been through the final norm (transformers' hidden_states do that too). The stream "
            "is what the last layer puts out, before the norm.",
        ),
        Mistake("deepest first", _last_first, "Your depths run from the last to the first: depth 0 is the embedding."),
        Mistake(
            "what was added for what is there",
            _written_not_stream,
            "Your entry l + 1 is what layer l added to the stream, not the stream after it.",
        ),
    ),
)
