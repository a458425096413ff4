"""Exercise 7.8: break the claim that a circuit which is faithful on average explains the task."""

from __future__ import annotations

import random

import torch

from course_utils import circuits
from course_utils.exercises.circuits.drawing import table
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake

# The share of each pair, and how far it is from its corrupted to its clean run: against the clean run and past it, a
# pair whose clean run is the lower one, and neither the logits won nor those missing in the order of the shares.
# No share is near a bound (0.5 and 0.8): there a rounding error would decide.
_PAIRS = [(-0.15, 6.0), (-0.45, 5.0), (0.12, 12.0), (0.22, 1.0), (0.32, -6.0), (0.42, 12.0), (0.65, 7.0), (1.7, 6.0)]
_MORE = [0.05 * step + 0.02 for step in (*range(8), 11, 12, 13, *range(17, 30))]


def _runs(rng: random.Random) -> list[Case]:
    eight = _in_any_order(rng, _PAIRS)
    sixteen = _in_any_order(rng, [*_PAIRS, *((share, 7.0) for share in rng.sample(_MORE, 8))])
    kept, clean = torch.tensor([1.5, 1.0, 0.5]), torch.full((3,), 2.0)
    return [
        Case("eight pairs", eight),
        Case("sixteen pairs", sixteen),
        Case("eight pairs, with another bound", (*eight, 0.8)),
        Case("eight pairs, none below the bound", (*eight, -1.0)),
        Case("a pair right at the bound", (kept, clean, torch.zeros(3))),
    ]


def _in_any_order(
    rng: random.Random, pairs: list[tuple[float, float]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """kept, clean and corrupted of pairs with about these shares and ways."""
    order = rng.sample(pairs, len(pairs))
    # The pair that went further the wrong way comes later, so that it shows if the two are taken for alike.
    first, second = sorted(order.index(pair) for pair in _PAIRS[:2])
    order[first], order[second] = _PAIRS[:2]
    corrupted = -3 + table(rng, len(pairs))
    shares = torch.tensor([share + rng.uniform(-0.01, 0.01) for share, _ in order])
    ways = torch.tensor([way * rng.uniform(0.9, 1.1) for _, way in order])
    return corrupted + shares * ways, corrupted + ways, corrupted


# What learners do instead.


def _best_first(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    return circuits.unexplained(kept, clean, corrupted, least)[::-1]


def _in_place(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    return sorted(circuits.unexplained(kept, clean, corrupted, least))


def _explained(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    worst = circuits.unexplained(kept, clean, corrupted, least)
    order = ((kept - corrupted) / (clean - corrupted)).argsort(stable=True).tolist()
    return [pair for pair in order if pair not in worst]


def _of_the_mean(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    shares = (kept - corrupted) / (clean.mean() - corrupted.mean())
    return [pair for pair in shares.argsort(stable=True).tolist() if shares[pair] < least]


def _below(shares: torch.Tensor, order: torch.Tensor, least: float) -> list[int]:
    return [pair for pair in order.tolist() if shares[pair] < least]


def _unsigned(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    shares = ((kept - corrupted) / (clean - corrupted)).abs()
    return _below(shares, shares.argsort(stable=True), least)


def _clamped(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    shares = ((kept - corrupted) / (clean - corrupted)).clamp(0, 1)
    return _below(shares, shares.argsort(stable=True), least)


def _in_logits(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    shares = (kept - corrupted) / (clean - corrupted)
    return _below(shares, (kept - corrupted).argsort(stable=True), least)


def _always_half(kept: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor, least: float = 0.5) -> list[int]:
    return circuits.unexplained(kept, clean, corrupted)


EXERCISE = Exercise(
    id="7.8",
    title="Break our claim",
    minutes=15,
    points=3,
    difficulty=2,
    reference=circuits.unexplained,
    shows="A mean over prompts can hide those of which a circuit explains little: say how many there are.",
    hints=(
        Hint("each pair by itself", "A pair's share is (kept - corrupted) / (clean - corrupted), without a mean."),
        Hint(
            "the worst first",
            "`argsort` gives the pairs from the smallest share up; keep those below `least`, as a list of numbers.",
        ),
    ),
    draw=_runs,
    axes=("place",),
    mistakes=(
        Mistake("best first", _best_first, "The order is turned: the pair of which least is explained comes first."),
        Mistake(
            "in the order of the pairs",
            _in_place,
            "These are the right pairs, in the order of their numbers: sort them by their share.",
        ),
        Mistake(
            "those that are explained", _explained, "These are the pairs that are explained; the others were asked for."
        ),
        Mistake(
            "without its sign",
            _unsigned,
            "A pair on which the circuit goes the other way has a share below 0, and is the worst: leave the sign.",
        ),
        Mistake(
            "cut off at 0 and 1",
            _clamped,
            "Shares below 0 are cut off here, and all alike. One that lies further below 0 is worse.",
        ),
        Mistake(
            "sorted by logits",
            _in_logits,
            "These are the right pairs, sorted by the logits that the circuit won. Sort by the share: each pair has "
            "another way to go.",
        ),
        Mistake("always at a half", _always_half, "The bound is always 0.5 here: take `least`."),
        Mistake(
            "share of the mean",
            _of_the_mean,
            "Each pair is divided by the mean over all pairs. Its own way from corrupted to clean is what it is a "
            "share of.",
        ),
    ),
)
