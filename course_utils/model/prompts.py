"""Which tokens a text is to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnsight import TransformersModel


def token_ids(model: TransformersModel, text: str) -> list[int]:
    """The ids of a text's tokens, in order, with whatever the model's tokenizer puts in front (Gemma: ``<bos>``).

    Raises:
        ValueError: the text has no tokens, or more than the model's window.
    """
    ids = list(model.tokenizer(text)["input_ids"])
    if not ids:
        raise ValueError("The text is empty: a model needs at least one token to say what comes next.")
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if window and len(ids) > window:
        raise ValueError(f"The text has {len(ids)} tokens, more than this model's window of {window}: shorten it.")
    return ids


def token_id(model: TransformersModel, token: str) -> int:
    """The id of a text that is one token: " Paris", with the space that belongs to it.

    Raises:
        ValueError: it is not exactly one token. The message shows the pieces.
    """
    ids = model.tokenizer(token, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = " + ".join(repr(model.tokenizer.decode([piece])) for piece in ids) or "nothing"
        raise ValueError(f"{token!r} is {pieces} in this model's vocabulary; give a text that is exactly one token.")
    return ids[0]
