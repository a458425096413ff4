"""What a cache of fixed size is taken through in exercise 3.7: what it gives back, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch


class RecordedStore:
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
        if not isinstance(held, tuple | list) or len(held) != 2:
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


def _one_more(run: RecordedStore) -> None:
    run.append("1 more", 1)


def _back_and_on(run: RecordedStore) -> None:
    run.store.crop(4)
    run.append("3 more, after going back to 4", 3)


def _more_than_room(run: RecordedStore) -> None:
    try:
        run.append("4 more", 4)
        run.steps["4 positions into room for 3"] = "taken"
    except ValueError:
        run.steps["4 positions into room for 3"] = "refused"
    run.append("3 more", 3)


def _crop_at_its_ends(run: RecordedStore) -> None:
    run.refused("going on to 6 of the 5 held", lambda: run.store.crop(6))
    run.refused("going back to -1", lambda: run.store.crop(-1))
    run.store.crop(5)
    run.append("1 more", 1)
    run.store.crop(0)
    run.append("2, after going back to none", 2)


def _what_does_not_fit(run: RecordedStore) -> None:
    batch, n_heads, head_width = run.sizes
    fits = torch.ones(batch, n_heads, 2, head_width)
    for name, other in {
        "a head more": torch.ones(batch, n_heads + 1, 2, head_width),
        "a batch of more": torch.ones(batch + 1, n_heads, 2, head_width),
        "numbers more": torch.ones(batch, n_heads, 2, head_width + 1),
        "one text alone": torch.ones(1, n_heads, 2, head_width),
        "heads of width 1": torch.ones(batch, n_heads, 2, 1),
        "one head alone": torch.ones(batch, 1, 2, head_width),
        "two axes alone": torch.ones(2, head_width),
        "one position": torch.ones(batch, n_heads, 1, head_width),
    }.items():
        run.refused(f"values with {name}", partial(run.store.append, fits, other))
        run.refused(f"keys with {name}", partial(run.store.append, other, fits))
        if name != "one position":
            run.refused(f"both with {name}", partial(run.store.append, other, other))
    run.refused("3 more, which fit", lambda: run.append("3 more", 3))


OTHER_SHAPE = "keys and values of another shape"

ENDS: dict[str, Callable[[RecordedStore], None]] = {
    "three appends": _one_more,
    "going back and appending": _back_and_on,
    "more than there is room for": _more_than_room,
    "going back as far as it goes": _crop_at_its_ends,
    OTHER_SHAPE: _what_does_not_fit,
}
"""By the case's label, what follows two appends of 3 and 2 positions."""
