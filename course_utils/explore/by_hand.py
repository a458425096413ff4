# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""One token through one layer, step by step (lesson 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils import patching
from course_utils.explore.asking import asking, of_kind
from course_utils.explore.tokens import pieces
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.model.whole_numbers import whole_number
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel


def by_hand(
    model: TransformersModel, prompt: str, layer: int, position: int = -1, *, first: View | None = None
) -> View:
    """What comes into a layer at one token, what its heads find, what attention and MLP write, and what goes out.

    Args:
        first: a by-hand view of steps of one's own; it stands there until the fields are asked, and nothing runs.

    Raises:
        ValueError: the prompt is empty, there is no such layer or position, or ``first`` is another kind of view.
    """
    parts = anatomy(model)
    count = len(token_ids(model, prompt))
    patching.check_head(parts, layer, 0)
    if not -count <= whole_number(position, "position") < count:
        raise ValueError(f"There is no position {position}: the prompt has positions 0 to {count - 1}.")

    def ask(text: str, layer: str, position: str) -> View:
        return by_hand(model, text, _whole(layer, "Layer"), _whole(position, "Position"))

    fields = {"A prompt of your own": prompt, "Layer": str(layer), "Position (-1 is the last token)": str(position)}
    if first is not None:
        return asking(of_kind(first, "by_hand"), ask, fields)
    with model.trace(prompt):
        entered = parts.layers[layer].input[0, position].save()
        found = parts.heads(layer)[0, position].save()  # (head, head width)
        weights = parts.pattern(layer)[0, :, position].save()  # (head, key)
        attended = parts.attention_written(layer)[0, position].save()
        computed = parts.mlp_written(layer)[0, position].save()
        left = parts.layers[layer].output[0, position].save()
    token = pieces(model, prompt)[position]
    between = "x" if parts.parallel else "x + attention"
    steps = [
        views.Step("comes in", "x", entered, "The token's vector in the residual stream."),
        views.Step("attention weights", "softmax(q @ k.T / sqrt(head width))", weights, "Where each head looks."),
        views.Step("what the heads found", "weights @ v", found, "A mean of the values, for each head its own."),
        views.Step("attention writes", "found @ output.T", attended, "The heads mixed, in the stream's width."),
        views.Step("after attention", "x + attention", entered + attended, "The stream is a sum."),
        views.Step("the MLP writes", f"mlp(norm({between}))", computed, "Computed from this token alone."),
        views.Step("goes out", "x + attention + mlp", left, "What the next layer reads."),
    ]
    view = views.by_hand(steps, f"“{token.strip()}” through layer {layer}")
    return asking(view, ask, fields)


def _whole(text: str, field: str) -> int:
    """The whole number that was written into a field."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{field} is {text!r}; expected a whole number, such as 0.") from None
