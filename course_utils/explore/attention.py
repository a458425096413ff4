"""Where every head looks (lesson 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils import residual
from course_utils.explore.asking import asking
from course_utils.explore.tokens import pieces
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel


def attention(model: TransformersModel, prompt: str, start: tuple[int, int] = (0, 0)) -> View:
    """Where each token of a prompt looks, under every head of every layer.

    Args:
        start: the layer and head that are shown first.

    Raises:
        ValueError: the prompt is empty or too long for a view, or there is no such head.
    """
    parts = anatomy(model)
    patterns = residual.attention_patterns(model, token_ids(model, prompt))  # (layer, head, query, key)
    view = views.attention(patterns, pieces(model, prompt), parts.n_kv_heads, start)
    return asking(view, lambda text: attention(model, text, start))
