"""Exercise 4.5: first in front, and there to stay."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import settled_depth


def _cases(rng: random.Random) -> list[Case]:
    """Few different ids, so that an answer leads, loses and leads again; one column of each kind in each table."""

    def column(depths: int) -> list[int]:
        settled = rng.randrange(3, depths - 2)
        answer, other, third = rng.sample(range(100, 1000), 3)
        early = [third, *(rng.choice((other, answer)) for _ in range(settled - 2)), other]
        early[rng.randrange(1, settled - 1)] = answer  # it leads once and loses again
        return early + [answer] * (depths - settled)

    tables = []
    for depths, positions in ((8, 5), (31, 9)):
        columns = [column(depths) for _ in range(positions - 1)]
        same, late = rng.sample(range(100, 1000), 2)
        columns.append([same] * depths)  # settled from the start
        columns.append([late, *[same] * (depths - 2), late])  # settled at the end alone
        tables.append(torch.tensor(columns).T.contiguous())
    tables.append(torch.tensor([rng.sample(range(100, 1000), 3)]))
    return [Case(f"a table of {len(table)} depths", (table,)) for table in tables]


# What learners do instead.


def _first_lead(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids == top_ids[-1]).long().argmax(dim=0)


def _disagreements(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids != top_ids[-1]).sum(dim=0)


def _last_disagreement(top_ids: torch.Tensor) -> torch.Tensor:
    return settled_depth(top_ids) - 1


def _how_long(top_ids: torch.Tensor) -> torch.Tensor:
    return len(top_ids) - settled_depth(top_ids)


def _first_repeat(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids[1:] == top_ids[:-1]).long().argmax(dim=0)


EXERCISE = Exercise(
    id="4.5",
    title="First in front, and there to stay",
    minutes=10,
    points=2,
    difficulty=2,
    reference=settled_depth,
    shows="To lead once is not to have decided: what counts is the depth after which nothing changes.",
    hints=(
        Hint(
            "what to compare",
            "`top_ids == top_ids[-1]`, (depth, position), is True where a depth agrees with the last one. You want "
            "the start of the last run of True in each column.",
        ),
        Hint(
            "without a loop",
            "Turn it over with `.flip(0)`; then `.long().cumprod(dim=0)` stays 1 until the first disagreement. Its "
            "sum is the length of the run.",
        ),
    ),
    draw=_cases,
    axes=("position",),
    mistakes=(
        Mistake(
            "first lead",
            _first_lead,
            "This is where the answer leads for the first time; it may lose again. Count back from the last depth.",
        ),
        Mistake(
            "disagreements counted",
            _disagreements,
            "This is the number of depths that disagree: not where the answer settles, if it led before and lost "
            "again.",
        ),
        Mistake(
            "one too early",
            _last_disagreement,
            "This is the last depth that disagrees: the answer settles one depth later.",
        ),
        Mistake(
            "counted from the end",
            _how_long,
            "This is for how many depths it has been settled: subtract from the number of depths.",
        ),
        Mistake(
            "first repeat",
            _first_repeat,
            "This is the first depth whose top token is also the next one's: it must be the last depth's, all the way.",
        ),
    ),
)
