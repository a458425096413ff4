"""Exercise 5.2: the next-token logits with a vector added at every position of one layer."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils import steering
from course_utils.exercises.drawing import text, tiny, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.drawing import layer_to_steer, random_vectors, tiny_and_real
from course_utils.exercises.steering.sentences import INPUT_NOT_OUTPUT
from course_utils.model.anatomy import anatomy


def _prompts_with_vector(rng: random.Random) -> list[Case]:
    model = tiny(rng, "tiny-gpt2")
    return [
        *(
            Case(told(model), (model, text(rng, 6), layer_to_steer(rng, model), random_vectors(rng, model)))
            for model in tiny_and_real(rng)
        ),
        Case(
            "the last layer, a prompt that ends in a space", (model, f"{text(rng, 4)} ", 2, random_vectors(rng, model))
        ),
        Case("a vector of zeros", (model, text(rng, 4), 0, 0 * random_vectors(rng, model))),
    ]


def _not_written_back(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    return steering.steered_logits(model, prompt, layer, 0 * vector)


def _added_to_input(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace(prompt):
        steered.input = steered.input + vector
        logits = model.output.logits[0, -1].save()
    return logits


def _added_one_layer_later(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    last = anatomy(model).n_layers - 1
    return steering.steered_logits(model, prompt, min(layer + 1, last), vector)


def _added_last(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace(prompt):
        stream = steered.output.clone()
        stream[:, -1] = stream[:, -1] + vector
        steered.output = stream
        logits = model.output.logits[0, -1].save()
    return logits


def _replaced(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace(prompt):
        steered.output = vector.expand_as(steered.output)
        logits = model.output.logits[0, -1].save()
    return logits


EXERCISE = Exercise(
    id="5.2",
    title="Add it while the model runs",
    minutes=10,
    points=2,
    difficulty=1,
    reference=steering.steered_logits,
    shows="One vector, added in one place, reaches every layer above it; the weights never changed.",
    hints=(
        Hint(
            "writing in a trace",
            "Assign to `parts.layers[layer].output` inside the trace. A new name for the sum changes nothing.",
        ),
        Hint(
            "shapes",
            "The output is (batch, position, width), the vector (width,): a plain `+` adds it at every position. "
            "Then save `model.output.logits[0, -1]`.",
        ),
    ),
    draw=_prompts_with_vector,
    axes=("vocabulary",),
    mistakes=(
        Mistake(
            "not written back",
            _not_written_back,
            "These are the model's own logits: nothing was added. A name bound to a sum does not change the run; "
            "assign the sum to the layer's output.",
        ),
        Mistake("added to the input", _added_to_input, INPUT_NOT_OUTPUT),
        Mistake(
            "one layer later",
            _added_one_layer_later,
            "The vector was added at the output of the next layer: layers count from 0, and layer l puts out "
            "parts.layers[l].output. (The residual stream's depth l + 1 is the same place.)",
        ),
        Mistake(
            "last position only",
            _added_last,
            "The vector was added at the last position only: it belongs at every one.",
        ),
        Mistake(
            "replaced",
            _replaced,
            "The residual was replaced by the vector, and the prompt with it: add to what is there.",
        ),
    ),
)
