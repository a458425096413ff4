"""Exercise 3.7: memory that is taken once."""

from __future__ import annotations

import random
from typing import Any

import torch

from course_utils.exercises.kv_cache.store_scenarios import ENDS, OTHER_SHAPE, RecordedStore
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import PreallocatedCache

ROOM = 8  # positions that a cache has room for
Pair = tuple[torch.Tensor, torch.Tensor]

# How an answer is used.


def _cases(rng: random.Random) -> list[Case]:
    cases = [
        Case(end, (end, rng.randint(texts, 3), rng.randint(2, 4), rng.randint(2, 6), rng.randrange(1, 100_000)))
        for end in ENDS
        for texts in [2 if end == OTHER_SHAPE else 1]  # one alone is another shape only where there are several
    ]
    end = next(iter(ENDS))
    return [*cases, Case(f"{end}, one text and one head of width 1", (end, 1, 1, 1, rng.randrange(1, 100_000)))]


def _use(answer: Any, end: str, batch: int, n_heads: int, head_width: int, seed: int) -> dict[str, Any]:
    run = RecordedStore(answer(batch, n_heads, ROOM, head_width), (batch, n_heads, head_width), seed)
    run.append("3 positions", 3)
    run.append("2 more", 2)
    ENDS[end](run)
    return run.steps | {"the memory stays where it is": len(run.places) == 1}


# What learners do instead: a cache of fixed size with one step taken wrongly.


class _Store:
    """A cache of fixed size in small steps, right where the classes below do not change it."""

    def __init__(self, batch: int, n_heads: int, max_positions: int, head_width: int) -> None:
        self.keys, self.values = torch.zeros(2, batch, n_heads, max_positions, head_width)
        self.size = 0

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> Pair:
        self.compare(keys, values)
        start = self.start(keys.shape[2])
        end = start + keys.shape[2]
        self.keys[:, :, start:end], self.values[:, :, start:end] = keys, values
        self.size = end
        return self.keys[:, :, : self.size], self.values[:, :, : self.size]

    def compare(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values with each other, and with the memory."""
        fitting = self.keys[:, :, :1].expand(-1, -1, keys.shape[2], -1).shape
        if keys.shape != fitting or values.shape != fitting:
            raise ValueError("another shape")

    def start(self, n_new: int) -> int:
        """Where new positions go."""
        if self.is_full(n_new):
            raise ValueError("no room")
        return self.size

    def is_full(self, n_new: int) -> bool:
        return self.size + n_new > self.keys.shape[2]

    def crop(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError("not so many")
        self.size = size


class _Grows(_Store):
    def append(self, keys: torch.Tensor, values: torch.Tensor) -> Pair:
        self.keys = torch.cat([self.keys[:, :, : self.size], keys], dim=2)
        self.values = torch.cat([self.values[:, :, : self.size], values], dim=2)
        self.size += keys.shape[2]
        return self.keys, self.values


class _Copies(_Store):
    def append(self, keys: torch.Tensor, values: torch.Tensor) -> Pair:
        held_keys, held_values = super().append(keys, values)
        return held_keys.clone(), held_values.clone()


class _UnusedRoomToo(_Store):
    def append(self, keys: torch.Tensor, values: torch.Tensor) -> Pair:
        super().append(keys, values)
        return self.keys, self.values


class _WritesFromStart(_Store):
    def start(self, n_new: int) -> int:
        return 0


class _OnlyNew(_Store):
    def append(self, keys: torch.Tensor, values: torch.Tensor) -> Pair:
        super().append(keys, values)
        return keys, values


class _StartsAgainWhenFull(_Store):
    def start(self, n_new: int) -> int:
        return 0 if self.is_full(n_new) else self.size


class _CropsToAnything(_Store):
    def crop(self, size: int) -> None:
        self.size = size


class _TakesAnyShape(_Store):
    def compare(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        pass


class _CropTakesOff(_Store):
    def crop(self, size: int) -> None:
        self.size -= size


EXERCISE = Exercise(
    id="3.7",
    title="Memory that is taken once",
    minutes=15,
    points=3,
    difficulty=2,
    reference=PreallocatedCache,
    drive=_use,
    draw=_cases,
    shows="Nothing that was held was copied: the new positions were written beside it.",
    hints=(
        Hint(
            "where to write",
            "`self.size` says how much is used. The new positions go to `self.keys[:, :, self.size : self.size + "
            "new]`. Look first whether there is room.",
        ),
        Hint(
            "views",
            "A slice copies nothing: return `self.keys[:, :, :self.size]` without `clone`. Going back is one "
            "assignment to `self.size`.",
        ),
    ),
    mistakes=(
        Mistake(
            "grows by concatenation",
            _Grows,
            "The cache grew by concatenation, which copies all that is held and knows no limit: write into the memory "
            "that is there.",
        ),
        Mistake(
            "copies returned",
            _Copies,
            "What came back are copies: return slices, which are views of the same memory.",
        ),
        Mistake(
            "unused room returned",
            _UnusedRoomToo,
            "The room that is not used yet came back too: cut at the number of positions held.",
        ),
        Mistake(
            "written from the start",
            _WritesFromStart,
            "New positions are written over the first ones: start at self.size.",
        ),
        Mistake(
            "only the new ones returned",
            _OnlyNew,
            "Return all that is held, not only what is new.",
        ),
        Mistake(
            "full, it starts again",
            _StartsAgainWhenFull,
            "When there is no room left, it starts from the front and loses the text: raise ValueError, and change "
            "nothing.",
        ),
        Mistake(
            "crop to more than is held",
            _CropsToAnything,
            "crop went to a size that was never held, so what lies there would be read as keys: raise ValueError.",
        ),
        Mistake(
            "any shape taken",
            _TakesAnyShape,
            "Keys and values of another shape were taken, or refused by torch: compare the shapes first, and raise "
            "ValueError.",
        ),
        Mistake(
            "crop takes off",
            _CropTakesOff,
            "crop(size) keeps that many positions; you took that many off.",
        ),
    ),
)
