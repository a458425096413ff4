"""Exercise 4.1: read the model's mind, layer by layer."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.drawing import one_token, text, tiny
from course_utils.exercises.logit_lens.prompts import on_prompts
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import logit_lens
from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream

if TYPE_CHECKING:
    from nnsight import TransformersModel

Entries = list[dict[str, Any]]


def _cases(rng: random.Random) -> list[Case]:
    cases = [Case(case.label, case.args, {"top_k": rng.randint(3, 6)}) for case in on_prompts(rng)]
    bare = Case("a tiny random llama with normalize=False", cases[0].args, {"top_k": 4, "normalize": False})
    model = tiny(rng, "tiny-gpt2")
    ends = replace(tiny(rng, "tiny-llama"), end_bias=40.0)
    return [
        *cases,
        bare,
        Case("a prompt that ends in a space, top_k and normalize left out", (model, f"{text(rng, 4)} ")),
        Case("one token and top_k = 1", (model, one_token(rng)), {"top_k": 1}),
        Case("a model that expects the end of the text", (ends, text(rng, 5))),
    ]


# What learners do instead.


def _entries(model: TransformersModel, logits: torch.Tensor, top_k: int) -> Entries:
    """The answer that logits (depth, vocabulary) give."""
    values, ids = logits.topk(top_k)
    return [
        {"top_tokens": [model.tokenizer.decode([i]) for i in row.tolist()], "top_token_logits": scores}
        for row, scores in zip(ids, values, strict=True)
    ]


def _read(model: TransformersModel, stream: torch.Tensor, normalize: bool) -> torch.Tensor:
    """The logits (depth, vocabulary) of vectors (depth, width)."""
    parts = anatomy(model)
    return parts.logits(parts.normalise(stream) if normalize else stream)


def _never_normed(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return logit_lens(model, prompt, top_k, normalize=False)


def _always_normed(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return logit_lens(model, prompt, top_k)


def _normed_twice(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    stream = residual_stream(model, prompt)[:, -1].clone()
    stream[-1] = anatomy(model).normalise(stream[-1])
    return _entries(model, _read(model, stream, normalize), top_k)


def _first_position(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return _entries(model, _read(model, residual_stream(model, prompt)[:, 0], normalize), top_k)


def _one_layer_late(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    entries = logit_lens(model, prompt, top_k, normalize)
    return [*entries[1:], entries[-1]]


def _one_layer_early(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    entries = logit_lens(model, prompt, top_k, normalize)
    return [entries[0], *entries[:-1]]


def _bare_embedding(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    parts = anatomy(model)
    with model.trace(prompt):
        embedding = parts.embedding.output[0, -1].save()
    stream = torch.cat([embedding[None], residual_stream(model, prompt)[1:, -1]])
    return _entries(model, _read(model, stream, normalize), top_k)


def _probabilities(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    logits = _read(model, residual_stream(model, prompt)[:, -1], normalize)
    return _entries(model, logits.softmax(dim=-1), top_k)


def _without_special_tokens(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    logits = _read(model, residual_stream(model, prompt)[:, -1], normalize)
    decode = partial(model.tokenizer.decode, skip_special_tokens=True)
    return [
        {**entry, "top_tokens": [decode([i]) for i in row.tolist()]}
        for entry, row in zip(_entries(model, logits, top_k), logits.topk(top_k).indices, strict=True)
    ]


def _least_first(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return [
        {name: values[::-1] for name, values in entry.items()} for entry in logit_lens(model, prompt, top_k, normalize)
    ]


EXERCISE = Exercise(
    id="4.1",
    title="Read the model's mind, layer by layer",
    minutes=20,
    points=3,
    difficulty=2,
    reference=logit_lens,
    shows="Every depth can be made to speak the vocabulary; the last one says exactly what the model says.",
    hints=(
        Hint(
            "where to look",
            "One trace reads `parts.layers[0].input` and then each layer's output, in order. Only position -1 matters.",
        ),
        Hint(
            "the final norm",
            "The model never unembeds a bare residual: `parts.normalise(...)` stands between the last layer and "
            "`parts.logits(...)`.",
        ),
        Hint(
            "from the vectors to the words",
            "In the trace: `stream = torch.stack(vectors).save()`, shape (depth, width). After it: normalise, then "
            "`parts.logits(stream).topk(top_k)`, then `model.tokenizer.decode([i])` for each id.",
        ),
    ),
    draw=_cases,
    axes=("depth", "rank"),
    mistakes=(
        Mistake(
            "no final norm",
            _never_normed,
            "This is the lens without the final norm: the model normalises the residual before it unembeds it.",
        ),
        Mistake(
            "normalize ignored",
            _always_normed,
            "Your lens normalises even when normalize=False asks for the bare residual.",
        ),
        Mistake(
            "last depth normed twice",
            _normed_twice,
            "The last depth went through the final norm twice. (The last entry of transformers' output_hidden_states "
            "has it already.)",
        ),
        Mistake(
            "first position",
            _first_position,
            "This is read at the first position: what comes after the prompt is predicted at the last one, -1.",
        ),
        Mistake(
            "one layer late",
            _one_layer_late,
            "Your entry l is layer l's output, and the embedding is missing: entry 0 is the embedding, entry l + 1 "
            "layer l's output.",
        ),
        Mistake(
            "one layer early",
            _one_layer_early,
            "Your entry l + 1 is what layer l reads (.input): it should be what layer l puts out (.output).",
        ),
        Mistake(
            "embedding before positions",
            _bare_embedding,
            "Entry 0 is the output of the token embedding; the stream starts with what the first layer reads, "
            "parts.layers[0].input, which in this model has more in it.",
        ),
        Mistake(
            "probabilities",
            _probabilities,
            "These are probabilities: the logits were asked for, before any softmax.",
        ),
        Mistake(
            "special tokens left out",
            _without_special_tokens,
            "A special token, such as the one that ends a text, is an empty text in your list: decode it without "
            "skip_special_tokens.",
        ),
        Mistake("least probable first", _least_first, "The order is reversed: the most probable comes first."),
    ),
)
