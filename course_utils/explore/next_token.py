# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""What may come after a prompt (lesson 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.explore.asking import asking
from course_utils.model.prompts import token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel

NAMED = 200  # tokens that the next-token view knows by name


def next_token(model: TransformersModel, prompt: str) -> View:
    """What may come after a prompt, the whole vocabulary of it, under temperature, top-k and top-p.

    Raises:
        ValueError: the prompt is empty.
    """
    with model.trace([token_ids(model, prompt)]):
        logits = model.output.logits[0, -1].save()  # (vocabulary,)
    best = logits.topk(min(NAMED, len(logits))).indices.tolist()
    view = views.next_token(prompt, logits, [model.tokenizer.decode([id]) for id in best])
    return asking(view, lambda text: next_token(model, text))
