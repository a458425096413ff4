"""Which tokens a text is to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.model.guard import context_of, refuse_length

if TYPE_CHECKING:
    from nnsight import TransformersModel


def token_ids(model: TransformersModel, text: str) -> list[int]:
    """The ids of a text's tokens, in order, with whatever the model's tokenizer puts in front (Gemma: ``<bos>``).

    Raises:
        ValueError: it is no text, has no tokens, or more than the model's window.
    """
    ids = list(model.tokenizer(as_text(text))["input_ids"])
    refuse_length(len(ids), context_of(model.config))
    return ids


def token_id(model: TransformersModel, token: str) -> int:
    """The id of a text that is one token: " Paris", with the space that belongs to it.

    Raises:
        ValueError: it is no text, or not exactly one token. The message shows the pieces.
    """
    ids = model.tokenizer(as_text(token), add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = " + ".join(repr(model.tokenizer.decode([piece])) for piece in ids) or "nothing"
        raise ValueError(f"{token!r} is {pieces} in this model's vocabulary; give a text that is exactly one token.")
    return ids[0]


def as_text(text: object) -> str:
    """``text`` itself.

    Raises:
        ValueError: it is no text, or holds half a surrogate pair, which stands for no character.
    """
    if not isinstance(text, str):
        raise ValueError(f"A text was expected, such as 'The Eiffel Tower is in'; {type(text).__name__} came.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"The text holds {half!r}, which is half a character; leave it out.") from None
    return text
