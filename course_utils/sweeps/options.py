"""What a sweep may be asked for: every option that the sweeps have in common, said once.

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


class Question(TypedDict, total=False):
    """What is asked, whether the answer is exact or an approximation.

    Attributes:
        metric: used instead of `answers`; see :data:`Metric`.
        layers: which ones, counted from 0, or from the end if negative; all, if not given. The result keeps this order.
        positions: of the prompt that is patched, counted from 0, or from the end if negative. A sweep over heads
            changes each head at all of them together; a sweep over positions has a column for each. Not given: all;
            where two prompts differ in length those that both have, counted from the end.
    """

    metric: Metric | None
    layers: int | Sequence[int] | None
    positions: int | Sequence[int] | None


class SweepOptions(Question, total=False):
    """What is asked, as in :class:`Question`, and what it may cost.

    Attributes:
        memory_mb: a bound, in MB, on the memory taken on top of the model, 1024 if not given; patched runs are cut into
            traces that keep to it.
        progress: a bar always (True), never (False), or from the third second on (None, as if not given).
        shortcuts: which of :class:`Shortcuts` may be taken; all, if not given. The result does not depend on it.
    """

    memory_mb: float
    progress: bool | None
    shortcuts: Shortcuts
