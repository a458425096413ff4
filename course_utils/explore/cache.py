"""What is computed and what is read, token by token (lesson 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.explore.asking import asking
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View
from course_utils.tokens import greedy

if TYPE_CHECKING:
    from nnsight import TransformersModel


def cache(model: TransformersModel, prompt: str, n_new: int = 8, bytes_per_number: int = 4) -> View:
    """A prompt and the most probable tokens after it, step by step: what a cache spares, and what it holds.

    Raises:
        ValueError: the prompt is empty, or ``n_new`` is negative.
    """
    if n_new < 0:
        raise ValueError(f"n_new is {n_new}; expected 0 or more new tokens.")
    parts = anatomy(model)
    ids = token_ids(model, prompt)
    shown = [model.tokenizer.decode([id]) for id in [*ids, *greedy(model, prompt, n_new)]]
    view = views.cache(
        shown,
        prompt_length=len(ids),
        windows=parts.windows,
        heads=parts.n_heads,
        key_value_heads=parts.n_kv_heads,
        head_width=parts.head_width,
        bytes_per_number=bytes_per_number,
    )
    return asking(view, lambda text: cache(model, text, n_new, bytes_per_number))
