"""Exercise 5.4: one text for each of several vectors, steered in every step of the generation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from course_utils import steering
from course_utils.exercises.drawing import text, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.exercises.steering.drawing import layer_to_steer, random_vectors, tiny_and_real
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids

_END = 2  # what the tiny models' texts end with


def _prompts_with_vectors(rng: random.Random) -> list[Case]:
    llama, gpt2, real = tiny_and_real(rng)
    samples, ends = replace(gpt2, samples=True), replace(gpt2, end_bias=100.0)

    def args(model: Model, rows: int) -> tuple[Any, ...]:
        return model, text(rng, 5), layer_to_steer(rng, model), random_vectors(rng, model, rows)

    return [
        Case(told(llama), args(llama, 3), {"max_new_tokens": 6}),
        Case("a tiny random gpt2, the prompt only", args(gpt2, 3), {"max_new_tokens": 6, "prompt_only": True}),
        Case(told(real), args(real, 2), {"max_new_tokens": 4}),
        Case("one vector, max_new_tokens left out", args(gpt2, 1)),
        Case("kwargs that say otherwise", args(gpt2, 2), {"max_new_tokens": 6, "do_sample": True, "top_k": 1}),
        Case("a model that samples unless it is told not to", args(samples, 2), {"max_new_tokens": 6}),
        Case("texts that end at once", args(ends, 2), {"max_new_tokens": 4}),
        Case("kwargs for generate", args(gpt2, 2), {"max_new_tokens": 6, "repetition_penalty": 5.0}),
        Case(
            "a text that ends with a special token", args(gpt2, 2), {"max_new_tokens": 5, "forced_eos_token_id": _END}
        ),
    ]


def _write(
    model: Any,
    prompt: str,
    layer: int,
    vectors: torch.Tensor,
    n: int,
    steps: Callable[[Any], Any],
    positions: slice = slice(None),
) -> list[str]:
    """What generate writes with the vectors added in some of its steps, at some of each step's positions."""
    steered = anatomy(model).layers[layer]
    ids = token_ids(model, prompt)
    with model.generate(max_new_tokens=n, do_sample=False) as tracer:
        with tracer.invoke([ids] * len(vectors)):
            for _ in steps(tracer):
                stream = steered.output.clone()
                stream[:, positions] += vectors[:, None]
                steered.output = stream
        with tracer.invoke():
            written = tracer.result.save()
    return model.tokenizer.batch_decode(written[:, len(ids) :], skip_special_tokens=True)


def _only_at_prompt(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, **_: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only=True)


def _flag_ignored(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, **_: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors, max_new_tokens)


def _only_new_tokens(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, prompt_only: bool = False
) -> list[str]:
    if prompt_only:
        return steering.steered_generate(model, prompt, layer, 0 * vectors, max_new_tokens)
    return _write(model, prompt, layer, vectors, max_new_tokens, lambda tracer: tracer.iter[1:])


def _only_last_positions(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, prompt_only: bool = False
) -> list[str]:
    def steps(tracer: Any) -> Any:
        return tracer.iter[:1] if prompt_only else tracer.iter[:]

    return _write(model, prompt, layer, vectors, max_new_tokens, steps, positions=slice(-1, None))


def _first_vector_for_all(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, *args: Any, **kwargs: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors[:1].expand_as(vectors), *args, **kwargs)


def _kwargs_dropped(
    model: Any,
    prompt: str,
    layer: int,
    vectors: torch.Tensor,
    max_new_tokens: int = 20,
    prompt_only: bool = False,
    **_: Any,
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only)


def _prompt_in_front(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, *args: Any, **kwargs: Any
) -> list[str]:
    return [prompt + new for new in steering.steered_generate(model, prompt, layer, vectors, *args, **kwargs)]


EXERCISE = Exercise(
    id="5.4",
    title="Write with it",
    minutes=15,
    points=3,
    difficulty=2,
    reference=steering.steered_generate,
    shows="Each new token is one more run of the model, and each of them was steered.",
    hints=(
        Hint(
            "every step",
            "In `with model.generate(...) as tracer:`, a loop `for _ in tracer.iter[:]:` runs its body in each step. "
            "Step 0 runs the prompt, each later step one token; `tracer.iter[:1]` is step 0 alone. Without a loop you "
            "are in step 0 only.",
        ),
        Hint(
            "the frame",
            """\
A generation may end early, and then an open loop ends with it, and with everything after it in the same block. \
So the result gets a block of its own:

```
with model.generate(max_new_tokens=n, do_sample=False) as tracer:
    with tracer.invoke([ids] * len(vectors)):
        for _ in tracer.iter[:]:
            ...
    with tracer.invoke():
        written = tracer.result.save()
```""",
        ),
    ),
    draw=_prompts_with_vectors,
    axes=("row",),
    mistakes=(
        Mistake(
            "kwargs dropped",
            _kwargs_dropped,
            "kwargs never reach generate: pass them on, model.generate(..., **kwargs).",
        ),
        Mistake(
            "added only at the prompt",
            _only_at_prompt,
            "The vector was added in step 0 only, which runs the prompt: loop over tracer.iter[:] to be in every step.",
        ),
        Mistake("flag ignored", _flag_ignored, "With prompt_only the new tokens must be left alone: iter[:1]."),
        Mistake(
            "added only at new tokens",
            _only_new_tokens,
            "The prompt was not steered: the loop must begin with step 0, which runs it.",
        ),
        Mistake(
            "last position only",
            _only_last_positions,
            "The vector was added at the last position of each step only: step 0 has all the prompt's positions.",
        ),
        Mistake(
            "one vector for all rows",
            _first_vector_for_all,
            "Every row got the first vector: vectors[:, None] gives each row its own, at all positions.",
        ),
        Mistake("prompt in front", _prompt_in_front, "The prompt is still in front: only the new text was asked for."),
    ),
)
