"""One token through one layer, by hand: each step's numbers, norms and shapes (lesson 2)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils.pictures.plots import Picture, Values, bars
from course_utils.pictures.views.packing import checked
from course_utils.pictures.views.view import View

NUMBERS = 12  # the first so many of a step are shown


@dataclass(frozen=True)
class Step:
    """One step of the computation.

    Attributes:
        name: what came out.
        formula: how, in a line of code.
        values: the numbers, of any shape.
        says: what happens here, in a sentence or two.
    """

    name: str
    formula: str
    values: Values
    says: str = ""


def by_hand(steps: Sequence[Step], title: str = "One token through one layer") -> View:
    """The steps one after the other: what goes in, what is computed, and how long the vector is.

    Raises:
        ValueError: there is no step, or one has no numbers or one that is not finite.
    """
    if not steps:
        raise ValueError("There is no step to show; give at least one.")
    data: dict[str, Any] = {"title": title, "steps": [_step_data(step) for step in steps]}
    return View("by_hand", data, _words(data), functools.partial(_still, data))


def _step_data(step: Step) -> dict[str, Any]:
    shape = np.shape(step.values.detach().cpu() if hasattr(step.values, "detach") else step.values)
    table = checked(step.values, f"The step {step.name!r}", shape)
    if not table.size:
        raise ValueError(f"The step {step.name!r} has no numbers.")
    return {
        "name": step.name,
        "formula": step.formula,
        "says": step.says,
        "shape": list(shape),
        "norm": _short(float(np.sqrt((table**2).sum()))),
        "least": _short(float(table.min())),
        "greatest": _short(float(table.max())),
        "numbers": [_short(float(value)) for value in table.ravel()[:NUMBERS]],
    }


def _short(value: float) -> float:
    """To three digits that count, and none after the third decimal."""
    if value == 0:
        return 0.0
    return round(value, min(3, 2 - math.floor(math.log10(abs(value))))) + 0.0


def _words(data: dict[str, Any]) -> str:
    steps = data["steps"]
    said = "; ".join(
        f"{step['name']} {'×'.join(map(str, step['shape'])) or '1'}, norm {step['norm']:g}" for step in steps
    )
    return f"{data['title']}, {len(steps)} steps: {said}."


def _still(data: dict[str, Any]) -> Picture:
    names = [f"{number} {step['name']}" for number, step in enumerate(data["steps"], 1)]
    return bars(names, [step["norm"] for step in data["steps"]], data["title"], "norm")
