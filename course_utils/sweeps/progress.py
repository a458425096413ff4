"""The bar that says how far a sweep is, the same for each kind of sweep."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

Bar = Any
"""A bar of tqdm, which has no types."""
SECONDS = 3
"""A sweep that is over before then shows no bar: in a lesson it would blink and be gone."""


def progress_bar(total: int, progress: bool | None, says: str = "") -> Bar:
    """A bar that ends at `total` runs and leaves nothing behind.

    Args:
        progress: as in :class:`~course_utils.sweeps.options.Bounded`.
        says: what stands in front of it, if that is known before the first run.
    """
    return tqdm(
        total=total,
        delay=0 if progress else SECONDS,
        disable=progress is False,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        desc=says,
    )
