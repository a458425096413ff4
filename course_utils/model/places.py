"""The places that a lesson names, on whatever model it runs.

The lessons were written for SmolLM2-135M-Instruct, and speak of its layer 16, its head 23.3 and its token " break".
Another model has other places. A lesson asks for them::

    at = places(model)
    stream[at.depth(15)]                 # depth 15; in a model of 12 layers depth 6
    layer, head = at.head(23, 3)         # head 23.3; in a model of 12 layers of 4 heads head 9.3

On SmolLM2-135M-Instruct each answer is what was asked for. Elsewhere it is the place at the same share of the depth,
which is where to begin to look, and no claim that the same happens there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.model.anatomy import anatomy
from course_utils.model.wrapping import as_traced

if TYPE_CHECKING:
    import torch
    from nnsight import TransformersModel

LESSONS_MODEL = "SmolLM2-135M-Instruct"
_LAYERS, _HEADS, _WIDTH, _VOCABULARY = 30, 9, 576, 49_152  # of the lessons' model


@dataclass(frozen=True)
class Places:
    """Where the lessons' places are in one model; get it with :func:`places`."""

    model: TransformersModel

    @property
    def at_home(self) -> bool:
        """Whether the model has the sizes of the lessons' own, so that the text's numbers can be its."""
        parts = anatomy(self.model)
        sizes = parts.n_layers, parts.n_heads, parts.width, parts.vocabulary
        return sizes == (_LAYERS, _HEADS, _WIDTH, _VOCABULARY)

    def layer(self, number: int) -> int:
        """The layer at the share of the depth at which layer `number` of the lessons' model is, 0 to 29.

        The first is the first, the last the last.

        Raises:
            ValueError: the lessons' model has no such layer.
        """
        if not 0 <= number < _LAYERS:
            raise ValueError(f"{LESSONS_MODEL} has no layer {number}: give one of its layers, 0 to {_LAYERS - 1}.")
        return round(number * (anatomy(self.model).n_layers - 1) / (_LAYERS - 1))

    def layers(self, *numbers: int) -> list[int]:
        """:meth:`layer` of each, in order, none of them twice: where a model has few layers, several are one."""
        return list(dict.fromkeys(map(self.layer, numbers)))

    def depth(self, number: int) -> int:
        """The depth of the residual stream, 0 to 30 in the lessons' model: what :meth:`layer` of `number` - 1 puts out.

        0 is the embedding, everywhere.
        """
        return 0 if number == 0 else self.layer(number - 1) + 1

    def depths(self, *numbers: int) -> list[int]:
        """:meth:`depth` of each, in order, none of them twice."""
        return list(dict.fromkeys(map(self.depth, numbers)))

    def head(self, layer: int, head: int) -> tuple[int, int]:
        """(layer, head): the layer that has heads and is nearest to what :meth:`layer` gives.

        Where there is no such head, it is counted on from 0 again.
        """
        parts = anatomy(self.model)
        here = min(parts.head_layers, key=lambda one: abs(one - self.layer(layer)))
        return here, head % parts.head_counts[here]

    def heads(self, *heads: tuple[int, int], by: torch.Tensor | None = None) -> list[tuple[int, int]]:
        """:meth:`head` of each (layer, head) pair, in order, none of them twice.

        With `by`, a table (layer, head) of what was measured in this model: elsewhere than at home, as many heads as
        were named, those with the largest absolute value in the table, lower layers first.
        """
        if by is None or self.at_home:
            return list(dict.fromkeys(self.head(layer, head) for layer, head in heads))
        n_heads = by.shape[1]
        sizes = by.abs().nan_to_num(-1.0).flatten()  # NaN stands where a layer has no heads
        strongest = sizes.topk(min(len(heads), int((sizes >= 0).sum()))).indices.tolist()
        return [(place // n_heads, place % n_heads) for place in sorted(strongest)]

    def token(self, text: str) -> str:
        """The text if it is one token of this model, else its first token: " bre" where " break" is " bre" + "ak".

        Raises:
            ValueError: the text has no tokens, or its first token cannot be written as a text.
        """
        ids = self.model.tokenizer(text, add_special_tokens=False)["input_ids"]
        first = self.model.tokenizer.decode(ids[:1])
        if self.model.tokenizer(first, add_special_tokens=False)["input_ids"] != ids[:1] or not ids:
            raise ValueError(f"{text!r}: its first token in this vocabulary is no text of its own. Give another.")
        return first


def places(model: TransformersModel) -> Places:
    """The lessons' places in `model`. On another model than theirs one line says what that means for the text."""
    model = as_traced(model)
    found = Places(model)
    if not found.at_home:
        name = model._module.name_or_path or "another model"
        print(
            f"The text's numbers are those of {LESSONS_MODEL}. This is {name}: where a cell names a layer, "
            "it takes the one at the same share of the depth."
        )
    return found
