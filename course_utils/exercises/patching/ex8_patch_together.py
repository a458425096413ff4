"""Exercise 6.8: several heads at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import TINY_SIZES, default_pair, models, pair, sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy


def _pairs_and_sets_of_heads(rng: random.Random) -> list[Case]:
    cases = []
    for label, model in models(rng):
        drawn, (n_layers, n_heads, _) = pair(rng), sizes(model)
        # Two heads of one layer and one of a layer below it, the later layer first. Each number is that of a layer and
        # of a head.
        both = range(min(n_layers, n_heads))
        below, above = sorted(rng.sample(both, 2))
        one, two = rng.sample([head for head in both if head != above], 2)
        other = rng.choice([head for head in both if head != below])
        heads = [(above, one), (below, other), (above, two)]
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, heads, drawn.answers)))
    drawn, model = default_pair(), tiny(rng, "tiny-gpt2")
    last = (TINY_SIZES[0] - 1, TINY_SIZES[1] - 1)
    return [
        *cases,
        Case("the first and the last head, answers left out", (model, drawn.clean, drawn.corrupted, [last, (0, 0)])),
        Case("no head", (model, drawn.clean, drawn.corrupted, [])),
    ]


# What learners do instead.


def _whole_layers(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    every = range(anatomy(model).n_heads)
    return patching.patch_together(
        model, clean, corrupted, [(layer, head) for layer, _ in heads for head in every], answers
    )


def _summed(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    before = patching.logit_difference(model, corrupted, answers)
    alone = [patching.patch_together(model, clean, corrupted, [head], answers) for head in heads]
    return before + sum(after - before for after in alone)


def _last_only(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, clean, corrupted, [heads[-1]], answers)


def _one_each(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, clean, corrupted, list(dict(heads).items()), answers)


def _swapped_runs(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, corrupted, clean, heads, answers)


def _swapped_indices(
    model: Any, clean: str, corrupted: str, heads: Sequence[tuple[int, int]], answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, clean, corrupted, [(head, layer) for layer, head in heads], answers)


EXERCISE = Exercise(
    id="6.8",
    title="Several heads at once",
    minutes=15,
    points=3,
    difficulty=2,
    reference=patching.patch_together,
    shows="Heads that act through one another do not add up: only patching them together tells what they do together.",
    hints=(
        Hint(
            "material",
            "`head_outputs(model, clean)` has every head that you could need. One trace of the corrupted prompt "
            "then writes them all.",
        ),
        Hint(
            "order",
            "A trace meets the layers in the order in which the model runs them: loop over `sorted(heads)`, and "
            "assign `parts.heads(layer)[0, :, head]` for each.",
        ),
    ),
    draw=_pairs_and_sets_of_heads,
    mistakes=(
        Mistake(
            "effects added up",
            _summed,
            "This adds the effects of one patch at a time. Later heads read what earlier ones wrote: patch all in "
            "the same run.",
        ),
        Mistake(
            "last head only",
            _last_only,
            "Only the last head of the list was patched: all of them belong into one run.",
        ),
        Mistake(
            "one head in each layer",
            _one_each,
            "Only one head of each layer was patched. A dictionary with the layer as key forgets the others.",
        ),
        Mistake(
            "whole layers",
            _whole_layers,
            "This patches every head of the layers that occur; patch only the heads that were given.",
        ),
        Mistake(
            "clean and corrupted swapped",
            _swapped_runs,
            "Clean and corrupted are swapped: the heads come from the clean run and go into the corrupted one.",
        ),
        Mistake(
            "layer and head swapped",
            _swapped_indices,
            "Layer and head have changed places: each pair is (layer, head).",
        ),
        change_for_value(patching.patch_together),
    ),
)
