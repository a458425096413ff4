"""Exercise 2.5: the stream is a sum."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import nnsight
import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import texts
from course_utils.model.anatomy import anatomy
from course_utils.residual import stream_parts

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _texts(rng: random.Random) -> list[Case]:
    # Gemma 3 normalises what its halves put out before it adds it.
    return texts(rng, "tiny-gpt2", "tiny-gemma3")


# What learners do instead.


def _before_the_post_norm(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        written = [parts.layers[0].input]
        for attention, mlp in zip(parts.attentions, parts.mlps, strict=True):
            written.append(attention.output[0])
            written.append(mlp.output)
        stacked = nnsight.save(torch.cat(written))
    return stacked


def _mlp_before_attention(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = stream_parts(model, prompt)
    pairs = parts[1:].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return torch.cat([parts[:1], pairs])


def _all_attentions_first(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = stream_parts(model, prompt)
    return torch.cat([parts[:1], parts[1::2], parts[2::2]])


def _sums_so_far(model: TransformersModel, prompt: str) -> torch.Tensor:
    return stream_parts(model, prompt).cumsum(dim=0)


def _embedding_bare(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        embedding = parts.embedding.output.save()
    return torch.cat([embedding, stream_parts(model, prompt)[1:]])


EXERCISE = Exercise(
    id="2.5",
    title="The stream is a sum",
    minutes=15,
    points=3,
    difficulty=2,
    reference=stream_parts,
    shows="The embedding and what every attention and MLP added is all there is: their sum is the last stream.",
    hints=(
        Hint(
            "where to look",
            "`anatomy(model)` has `attention_written(layer)` and `mlp_written(layer)` for what a layer's halves "
            "add, to read in a trace.",
        ),
        Hint(
            "in which order?",
            "Start the list with `layers[0].input`; then for each layer its attention first, its MLP second.",
        ),
        Hint("nearly there", "`torch.cat(written).save()` inside the trace, as in 2.1."),
    ),
    draw=_texts,
    axes=("part", "position", "dimension"),
    mistakes=(
        Mistake(
            "before the norm after it",
            _before_the_post_norm,
            "This family normalises what its halves put out before adding it; attention_written and mlp_written read "
            "it after that.",
        ),
        Mistake("MLP before attention", _mlp_before_attention, "In each layer attention writes first, the MLP second."),
        Mistake(
            "all attentions, then all MLPs",
            _all_attentions_first,
            "You put all attentions first and all MLPs after them. They write in turns: part 2 * l + 1 is layer l's "
            "attention, part 2 * l + 2 its MLP.",
        ),
        Mistake(
            "sums so far",
            _sums_so_far,
            "Your entries are the stream after each step, the sum so far. Wanted is what each step adds.",
        ),
        Mistake(
            "embedding without positions",
            _embedding_bare,
            "Your part 0 is the embedding module's output. The stream starts with what the first layer reads, "
            "layers[0].input.",
        ),
    ),
)
