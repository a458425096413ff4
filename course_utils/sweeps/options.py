"""What a sweep may be asked for: every option that several sweeps have, said once.

A call is as short as ``patch_heads(model, clean, corrupted, answers)``; whatever it says beyond that is one of these
options, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

import torch

from course_utils.sweeps.growing_batch import Shortcuts

Prompt = str | torch.Tensor
Prompts = Prompt | Sequence[str] | Sequence[torch.Tensor]
"""A text, or token ids (position,); or a list of either, for a result with one table for each."""

Answers = tuple[str, str] | tuple[int, int] | Sequence[tuple[str, str]] | Sequence[tuple[int, int]]
"""Two texts of one token each, or two token ids; or one such pair for each pair of prompts."""

Metric = Callable[[torch.Tensor], torch.Tensor]
"""A function of the last position's logits, (batch, vocabulary) to (batch,). Its rows are independent runs, and it may
be called with any number of them.
"""

MEMORY_MB = 1024.0


class SweepError(ValueError):
    """A sweep was asked for something that does not exist; the message names it."""


# What is asked.


class Measured(TypedDict, total=False):
    """What is read off the end of a run.

    Attributes:
        metric: used instead of `answers`; see :data:`Metric`.
    """

    metric: Metric | None


class Positioned(Measured, total=False):
    """What is read off the end of a run, `metric` as in :class:`Measured`, and where in the prompt it is changed.

    Attributes:
        positions: of the prompt that is patched, counted from 0, or from the end if negative. A head's output, or what
            a path's sender writes, is changed at all of them together; a sweep over positions has a column for each.
            Not given: all; where two prompts differ in length those that both have, counted from the end.
    """

    positions: int | Sequence[int] | None


class Question(Positioned, total=False):
    """What is asked of each layer, whether the answer is exact or an approximation: `metric` and `positions` as in
    :class:`Positioned`.

    Attributes:
        layers: which ones, counted from 0, or from the end if negative; all, if not given. The result keeps this order.
    """

    layers: int | Sequence[int] | None


# What it may cost.


class Bounded(TypedDict, total=False):
    """What many runs may take, and what they show meanwhile.

    Attributes:
        memory_mb: a bound, in MB, on the memory taken on top of the model, 1024 if not given; runs are cut into
            batches that keep to it.
        progress: a bar always (True), never (False), or from the third second on (None, as if not given).
    """

    memory_mb: float
    progress: bool | None


class Shortened(Bounded, total=False):
    """What many runs may take, `memory_mb` and `progress` as in :class:`Bounded`, and how they may be made shorter.

    Attributes:
        shortcuts: which of :class:`Shortcuts` may be taken; all, if not given. The result does not depend on it.
    """

    shortcuts: Shortcuts


class SweepOptions(Question, Shortened, total=False):
    """What is asked, `metric`, `positions` and `layers` as in :class:`Question`, and what it may cost, `memory_mb`,
    `progress` and `shortcuts` as in :class:`Shortened`.
    """
