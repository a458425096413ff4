"""A lesson of a teacher's own, small enough for tests: three exercises, the last of which builds on the first."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils.exercises import Case, Exercise, Hint, Mistake, Model, register


def standardise(values: torch.Tensor) -> torch.Tensor:
    """Shift and scale values (n,) to mean 0 and standard deviation 1 (the population's)."""
    centred = values - values.mean()
    return centred / centred.pow(2).mean().sqrt()


def last_logits(model: Any, prompt: str) -> torch.Tensor:
    """The logits after the last token of the prompt: (vocabulary,)."""
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()
    return logits


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Pearson's correlation of a (n,) and b (n,), a Python number."""
    return float((standardise(a) * standardise(b)).mean())


def _sample_deviation(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean()) / values.std()


def _not_centred(values: torch.Tensor) -> torch.Tensor:
    return values / values.std(correction=0)


def _first_position(model: Any, prompt: str) -> torch.Tensor:
    with model.trace(prompt):
        logits = model.output.logits[0, 0].save()
    return logits


def _covariance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - a.mean()) * (b - b.mean())).mean())


def _vectors(rng: random.Random, count: int, length: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return [3 + 2 * torch.randn(length, generator=generator) for _ in range(count)]


def _draw_vectors(count: int) -> Any:
    def draw(rng: random.Random) -> list[Case]:
        return [Case(f"{length} random numbers", tuple(_vectors(rng, count, length))) for length in (5, 40)]

    return draw


def _draw_prompts(rng: random.Random) -> list[Case]:
    words = ["one", "two", "three", "red", "green", "blue"]
    seed = rng.randrange(1000)
    return [
        Case(f"a random {name}", (Model(name, seed), " ".join(rng.sample(words, 4))))
        for name in ("tiny-llama", "tiny-gpt2")
    ]


register(
    Exercise(
        id="m.1",
        title="Standardise",
        minutes=5,
        points=3,
        difficulty=1,
        reference=standardise,
        shows="Mean 0, deviation 1.",
        hints=(Hint("one", "Subtract first."), Hint("two", "Divide by the root of the mean square.")),
        draw=_draw_vectors(1),
        mistakes=(
            Mistake("sample deviation", _sample_deviation, "This divides by the sample's deviation (n - 1)."),
            Mistake("not centred", _not_centred, "The mean is still in it."),
        ),
        axes=("entry",),
    ),
    Exercise(
        id="m.2",
        title="The last logits",
        minutes=5,
        points=3,
        difficulty=1,
        reference=last_logits,
        shows="One trace is enough.",
        hints=(Hint("one", "Trace."), Hint("two", "The last position.")),
        draw=_draw_prompts,
        mistakes=(Mistake("first position", _first_position, "These are the logits after the first token."),),
        axes=("token",),
    ),
    Exercise(
        id="m.3",
        title="Correlate",
        minutes=5,
        points=4,
        difficulty=2,
        reference=correlation,
        shows="A correlation is a mean product.",
        hints=(Hint("one", "Standardise both."), Hint("two", "Then the mean product.")),
        draw=_draw_vectors(2),
        mistakes=(Mistake("covariance", _covariance, "This is the covariance: it is not scaled."),),
    ),
)
