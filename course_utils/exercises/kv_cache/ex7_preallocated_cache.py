"""Exercise 3.7: memory that is taken once."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.kv_cache import PreallocatedCache

ROOM = 8  # positions that a cache has room for
Pair = tuple[torch.Tensor, torch.Tensor]

# How an answer is used.


class _Recorded:
    """A cache whose every step is written down, and where in memory it gave what it holds."""

    def __init__(self, store: Any, sizes: tuple[int, int, int], seed: int) -> None:
        self.store, self.sizes = store, sizes
        self.source = torch.Generator().manual_seed(seed)
        self.steps: dict[str, Any] = {}
        self.places: set[tuple[int, int]] = set()
        self.alive: list[Any] = []  # else freed memory could be given out again at the same address

    def append(self, name: str, n: int) -> None:
        batch, n_heads, head_width = self.sizes
        keys, values = (torch.randn(batch, n_heads, n, head_width, generator=self.source) for _ in range(2))
        held = self.store.append(keys, values)
        if not isinstance(held, tuple) or len(held) != 2:
            raise TypeError("append must return two tensors: all keys and all values that are held.")
        self.places.add((held[0].untyped_storage().data_ptr(), held[1].untyped_storage().data_ptr()))
        self.steps[name] = {"keys": held[0].clone(), "values": held[1].clone()}
        self.alive.append(held)

    def refused(self, name: str, call: Callable[[], Any]) -> None:
        """What becomes of a call that must raise a ValueError."""
        try:
            call()
            self.steps[name] = "taken"
        except ValueError:
            self.steps[name] = "ValueError"
        except Exception as error:
            self.steps[name] = type(error).__name__


def _one_more(run: _Recorded) -> None:
    run.append("1 more", 1)


def _back_and_on(run: _Recorded) -> None:
    run.store.crop(4)
    run.append("3 more, after going back to 4", 3)


def _more_than_room(run: _Recorded) -> None:
    try:
        run.append("4 more", 4)
        run.steps["4 positions into room for 3"] = "taken"
    except ValueError:
        run.steps["4 positions into room for 3"] = "refused"
    run.append("3 more", 3)


def _crop_at_its_ends(run: _Recorded) -> None:
    run.refused("going on to 6 of the 5 held", lambda: run.store.crop(6))
    run.refused("going back to -1", lambda: run.store.crop(-1))
    run.store.crop(5)
    run.append("1 more", 1)
    run.store.crop(0)
    run.append("2, after going back to none", 2)


def _what_does_not_fit(run: _Recorded) -> None:
    batch, n_heads, head_width = run.sizes
    fits = torch.ones(batch, n_heads, 2, head_width)
    for name, other in {
        "a head more": torch.ones(batch, n_heads + 1, 2, head_width),
        "a batch of more": torch.ones(batch + 1, n_heads, 2, head_width),
        "numbers more": torch.ones(batch, n_heads, 2, head_width + 1),
        "one position": torch.ones(batch, n_heads, 1, head_width),
    }.items():
        run.refused(f"values with {name}", partial(run.store.append, fits, other))
        run.refused(f"keys with {name}", partial(run.store.append, other, fits))
        if name != "one position":
            run.refused(f"both with {name}", partial(run.store.append, other, other))
    run.refused("3 more, which fit", lambda: run.append("3 more", 3))


ENDS: dict[str, Callable[[_Recorded], None]] = {
    "three appends": _one_more,
    "going back and appending": _back_and_on,
    "more than there is room for": _more_than_room,
    "going back as far as it goes": _crop_at_its_ends,
    "keys and values of another shape": _what_does_not_fit,
}
"""By the case's label, what follows two appends of 3 and 2 positions."""


def _cases(rng: random.Random) -> list[Case]:
    return [
        Case(end, (end, rng.randint(1, 3), rng.randint(2, 4), rng.randint(2, 6), rng.randrange(1, 100_000)))
        for end in ENDS
    ]


def _use(answer: Any, end: str, batch: int, n_heads: int, head_width: int, seed: int) -> dict[str, Any]:
    run = _Recorded(answer(batch, n_heads, ROOM, head_width), (batch, n_heads, head_width), seed)
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
