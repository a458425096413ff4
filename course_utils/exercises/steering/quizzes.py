"""Lesson 5's questions with answers to choose from."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.steering import (
    BAD_WORDS,
    GLAD,
    GOOD_WORDS,
    SAD,
    concept_direction,
    odds_shift,
    slerp,
    steered_logits,
    stream_norms,
    word_ids,
)

MOVIE = "I think that this movie is"
LAYER = 16


def _shift(model: Any, vectors: torch.Tensor) -> list[float]:
    good, bad = word_ids(model, GOOD_WORDS), word_ids(model, BAD_WORDS)
    return [float(one) for one in odds_shift(model, MOVIE, LAYER, vectors, good, bad)]


def _weights_stay(model: Any) -> tuple[bool, str]:
    with model.trace(MOVIE):
        before = model.output.logits[0, -1].save()
    steered_logits(model, MOVIE, LAYER, concept_direction(model, GLAD, SAD, LAYER))
    with model.trace(MOVIE):
        after = model.output.logits[0, -1].save()
    same = bool(torch.allclose(before, after, atol=1e-4))
    return same, f"after a steered run the model predicts as before: {same}."


def _random_too(model: Any) -> tuple[bool, str]:
    glad = concept_direction(model, GLAD, SAD, LAYER)
    noise = torch.randn(8, len(glad), generator=torch.Generator().manual_seed(1)).to(glad)
    moved = _shift(model, noise / noise.norm(dim=-1, keepdim=True) * glad.norm())
    largest = max(moved, key=abs)
    return abs(largest) > 0.3, f"of eight random directions of that length one moves the log-odds by {largest:+.1f}."


def _sink(model: Any) -> tuple[bool, str]:
    love, glad = concept_direction(model, "Love", "Hate", LAYER), concept_direction(model, GLAD, SAD, LAYER)
    times = float(love.norm() / glad.norm())
    return times > 20, f"'Love' minus 'Hate' is {times:,.0f} times as long as the direction of the sentences."


def _arc(model: Any) -> tuple[bool, str]:
    one, other = torch.eye(8)[:2]
    lengths = [float(vector.norm()) for vector in (one + other, (one + other) / 2, slerp(one, other, 0.5))]
    told = f"sum {lengths[0]:.2f}, mean {lengths[1]:.2f}, middle of the arc {lengths[2]:.2f}."
    return lengths[2] > lengths[1], told


def _against_stream(model: Any) -> tuple[bool, str]:
    norms = stream_norms(model, GLAD).median(dim=1).values
    early, late = (float(40 / norms[layer]) for layer in (LAYER, -1))
    return late < early / 2, f"40 is {early:.0%} of the stream's length at layer {LAYER}, and {late:.0%} at the last."


QUIZZES = (
    Quiz("5.a", "Why subtract the mean of sad sentences, and not just take the mean of glad ones?", (
        Option("to make the vector shorter", "It does become shorter. What matters is what goes: all that the two sets "
               "share, such as their grammar and the stream's common directions."),
        Option("what both sets share cancels", "What is left is what tells them apart, gladness and accidents.",
               right=True),
        Option("sad sentences are the model's default", "There is no default in it. Any contrast would do that differs "
               "in the concept alone."),
    )),
    Quiz("5.b", "After a steered run, what has changed in the model?", (
        Option("its weights", "Steering writes to activations, and these are gone after the run.", tries=_weights_stay),
        Option("nothing", "The next run without the vector is what it was.", right=True, tries=_weights_stay),
        Option("its memory of the last texts", "A model has none between runs.", tries=_weights_stay),
    )),
    Quiz("5.c", "The glad direction moves the log-odds by 3. What must be asked first?", (
        Option("whether the text reads well", "That comes too. But first one asks what any vector of that length does.",
               tries=_random_too),
        Option("what other directions of the same length do", "Without a control a number says little: random "
               "directions move it as well.", right=True, tries=_random_too),
        Option("nothing: the effect is there", "There is an effect of any large enough push.", tries=_random_too),
    )),
    Quiz("5.d", "Why is 'Love' minus 'Hate' a bad direction?", (
        Option("the words are too weak", "They are strong words. The trouble is where they stand: at the first "
               "position, and one of them is two tokens.", tries=_sink),
        Option("it holds the sink of the first token", "It is the difference of a first and a second position, and "
               "only then of love and hate.", right=True, tries=_sink),
        Option("a direction needs many layers", "One layer is enough for a direction. It needs sentences that differ "
               "in the concept and not in position."),
    )),
    Quiz("5.e", "Two mixtures of two directions are compared: their sum and their mean. What is compared?", (
        Option("two ways to combine concepts", "They point the same way. They differ in length only.", tries=_arc),
        Option("two strengths", "The sum is twice the mean: compare mixtures at equal length.", right=True, tries=_arc),
        Option("a strong and a precise one", "Nothing makes a mean more precise than a sum: the direction is one.",
               tries=_arc),
    )),
    Quiz("5.f", "A vector of length 40 is added at layer 16, or at the last layer. Is that the same push?", (
        Option("yes, 40 is 40", "Layers normalise what they read: what counts is the length against the stream's, and "
               "that grows with depth.", tries=_against_stream),
        Option("no: it counts against the length of the stream there", "Give strengths as parts of that length.",
               right=True, tries=_against_stream),
        Option("no: later layers are more important", "Fewer layers are left to react, that is true. But first of all "
               "the same length is a smaller part of a longer stream.", tries=_against_stream),
    )),
)  # fmt: skip
