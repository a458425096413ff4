"""Exercise 6.9: break the claim that the strongest head tells the heads above it something."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.drawing import tiny
from course_utils.exercises.patching.answers import NAMES
from course_utils.exercises.patching.changes import change_for_value
from course_utils.exercises.patching.drawing import TINY_SIZES, default_pair, models, pair, sizes
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id

Heads = Sequence[tuple[int, int]]


def _pairs_and_two_sets_of_heads(rng: random.Random) -> list[Case]:
    """Most heads of a few layers patched, many of those above held, so that in each model much is passed on and much of
    it is held. One layer has heads of both sets.
    """
    cases = []
    for label, model in models(rng):
        drawn, (n_layers, n_heads, _) = pair(rng), sizes(model)
        middle, depth = 2 * n_layers // 3, max(2, n_layers // 7)
        below = [(layer, head) for layer in range(middle - depth, middle) for head in range(n_heads)]
        heads = rng.sample(below, len(below) * 3 // 4)
        above = [(layer, head) for layer in range(middle - 1, n_layers) for head in range(n_heads)]
        above = [place for place in above if place not in heads]
        held = rng.sample(above, min(24, len(above) // 2))
        cases.append(Case(label, (model, drawn.clean, drawn.corrupted, heads, held, drawn.answers)))
    drawn, model = default_pair(), tiny(rng, "tiny-gpt2")
    n_layers, n_heads, _ = TINY_SIZES
    first, above = [(0, head) for head in range(n_heads)], [(n_layers - 1, head) for head in range(n_heads)]
    return [
        *cases,
        Case("the last layer held, answers left out", (model, drawn.clean, drawn.corrupted, first, above)),
        Case("no head held", (model, drawn.clean, drawn.corrupted, first, [])),
        Case("no head patched", (model, drawn.clean, drawn.corrupted, [], above)),
    ]


# What learners do instead.


def _left_free(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, clean, corrupted, heads, answers)


def _from_clean(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_together(model, clean, corrupted, [*heads, *held], answers)


def _swapped_runs(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_and_hold(model, corrupted, clean, heads, held, answers)


def _swapped_sets(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return patching.patch_and_hold(model, clean, corrupted, held, heads, answers)


def _silenced(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return _run(model, clean, corrupted, heads, held, answers, scale=0.0)


def _last_position(
    model: Any, clean: str, corrupted: str, heads: Heads, held: Heads, answers: tuple[str, str] = NAMES
) -> float:
    return _run(model, clean, corrupted, heads, held, answers, positions=slice(-1, None))


def _run(
    model: Any,
    clean: str,
    corrupted: str,
    heads: Heads,
    held: Heads,
    answers: tuple[str, str],
    *,
    positions: slice = slice(None),
    scale: float = 1.0,
) -> float:
    """`patch_and_hold`, but the held heads only at some positions, and at so much of their output."""
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    theirs, own = patching.head_outputs(model, clean), patching.head_outputs(model, corrupted)
    with model.trace(corrupted):
        for layer, head in sorted([*heads, *held]):
            if (layer, head) in heads:
                parts.heads(layer)[0, :, head] = theirs[layer, :, head]
            else:
                parts.heads(layer)[0, positions, head] = own[layer, positions, head] * scale
        last: torch.Tensor = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


EXERCISE = Exercise(
    id="6.9",
    title="Break our claim",
    minutes=20,
    points=4,
    difficulty=3,
    reference=patching.patch_and_hold,
    shows="A head passes something on only if another reads it: hold the readers, and see what is left of its effect.",
    hints=(
        Hint(
            "what is held",
            "A held head goes on as if nothing had been patched: it puts out what it puts out in the corrupted run. "
            "So you need two runs' outputs: `head_outputs(model, clean)` for the patched heads, "
            "`head_outputs(model, corrupted)` for the held ones.",
        ),
        Hint(
            "one run, in order",
            "It is `patch_together` with two sources. A trace meets the layers in order: sort all the heads together, "
            "`sorted([*heads, *held])`, and ask of each which set it is from.",
        ),
    ),
    draw=_pairs_and_two_sets_of_heads,
    mistakes=(
        Mistake(
            "held heads left free",
            _left_free,
            "Nothing is held here: a head that reads a patched one puts out something else than in the untouched "
            "corrupted run. Write its output from that run over it.",
        ),
        Mistake(
            "held heads from the clean run",
            _from_clean,
            "The held heads come from the clean run, which patches them too. Held means: as in the untouched "
            "corrupted run.",
        ),
        Mistake(
            "held heads silenced",
            _silenced,
            "The held heads are set to 0, which takes away all that they do. Held means: as in the untouched "
            "corrupted run, no more and no less.",
        ),
        Mistake(
            "held at the last position only",
            _last_position,
            "The held heads are held at the last position only, and free at the others; hold their whole output.",
        ),
        Mistake(
            "the two sets swapped",
            _swapped_sets,
            "The two sets have changed places: `heads` come from the clean run, and `held` from the corrupted one.",
        ),
        Mistake(
            "clean and corrupted swapped",
            _swapped_runs,
            "Clean and corrupted are swapped: the run that goes on is the corrupted one.",
        ),
        change_for_value(patching.patch_and_hold),
    ),
)
