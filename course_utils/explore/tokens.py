"""How a text is cut into tokens (lesson 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from course_utils.explore.asking import asking
from course_utils.model.prompts import as_text, token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View
from course_utils.tokens import settled_surprisals, split_tokens

if TYPE_CHECKING:
    from nnsight import TransformersModel


def pieces(model: TransformersModel, text: str) -> list[str]:
    """The tokens of a text as texts."""
    return [token for _, token in split_tokens(model, text)]


def tokens(model: TransformersModel, text: str, others: Mapping[str, Any] | None = None) -> View:
    """How a text is cut into tokens, and each of its beginnings; with each token's surprisal after the whole text's.

    Args:
        others: more transformers tokenizers by name, to stand beside the model's own.

    Raises:
        ValueError: the text is empty, or a tokenizer changes it, so that its tokens do not join to it.
    """
    as_text(text)
    own = "this model"
    tokenizers = {own: model.tokenizer, **(others or {})}
    beginnings = [text[:length] for length in range(1, len(text) + 1)]
    cuts = {
        name: [
            [(id, token_bytes(tokenizer, id)) for id in tokenizer(beginning, add_special_tokens=False)["input_ids"]]
            for beginning in beginnings
        ]
        for name, tokenizer in tokenizers.items()
    }
    plain = token_ids(model, text) == [id for id, _ in cuts[own][-1]] if text else False  # nothing was put in front
    bits = {own: settled_surprisals(model, text)} if plain else None
    view = views.tokens(text, cuts, bits)
    return asking(view, lambda other: tokens(model, other, others))


def token_bytes(tokenizer: Any, id: int) -> bytes:
    """The bytes that a token stands for: also of one that is only a part of a character.

    Byte-level tokenizers (GPT-2 and most since) write each byte as a character of their own; SentencePiece writes a
    space as a low line, and a lone byte as <0x..>.
    """
    piece = tokenizer.convert_ids_to_tokens(id)
    if id in tokenizer.added_tokens_decoder:
        return piece.encode()
    if "ByteLevel" in repr(tokenizer.backend_tokenizer.decoder):
        return bytes(BYTES[character] for character in piece)
    if len(piece) == 6 and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _byte_alphabet() -> dict[str, int]:
    """The characters of byte-level tokenizers: printable Latin-1 stands for itself, the others follow from 256 on, as
    in GPT-2's `bytes_to_unicode` (https://github.com/openai/gpt-2/blob/master/src/encoder.py).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES = _byte_alphabet()
