"""Which tokens a text is to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.model.errors import ModelError
from course_utils.model.guard import context_of, refuse_length

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedTokenizerBase


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


def add_no_end(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer put nothing behind a text: a prompt is to be gone on with, and what comes next would be read
    behind its end. What it puts in front (``<bos>``) stays, and so do all other tokens.

    Raises:
        ModelError: it puts something behind, and this kind of tokenizer cannot be told not to.
    """
    front, behind = _around(tokenizer)
    if not behind:
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        from tokenizers.processors import TemplateProcessing

        names = [str(tokenizer.convert_ids_to_tokens(id)) for id in front]
        backend.post_processor = TemplateProcessing(
            single=[*names, "$A"], pair=[*names, "$A", "$B:1"], special_tokens=list(zip(names, front, strict=True))
        )
    if _around(tokenizer) != (front, []):
        raise ModelError(
            f"The tokenizer puts {tokenizer.decode(behind)!r} behind each text, and cannot be told not to: what comes "
            "next would be read behind it. Name another model."
        )


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts in front of a text and behind it."""
    whole, bare = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (True, False))
    start = next((at for at in range(len(whole) - len(bare) + 1) if whole[at : at + len(bare)] == bare), 0)
    return whole[:start], whole[start + len(bare) :]


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
