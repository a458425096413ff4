"""Which tokens a text is to a model."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Any

from course_utils.model.errors import ModelError
from course_utils.model.guard import EMPTY, context_of, refuse_length

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedTokenizerBase


def token_ids(model: TransformersModel, text: str) -> list[int]:
    """The ids of a text's tokens, in order, with whatever the model's tokenizer puts in front (Gemma: ``<bos>``).

    Raises:
        ValueError: it is no text, has no tokens, or more than the model's window.
    """
    ids = list(_tokenizer_of(model)(as_text(text))["input_ids"])
    refuse_length(len(ids), context_of(model.config))
    return ids


def token_id(model: TransformersModel, token: str) -> int:
    """The id of a text that is one token: " Paris", with the space that belongs to it.

    Raises:
        ValueError: it is no text, or not exactly one token. The message shows the pieces.
    """
    ids = _tokenizer_of(model)(as_text(token), add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = " + ".join(repr(model.tokenizer.decode([piece])) for piece in ids) or "nothing"
        raise ValueError(f"{token!r} is {pieces} in this model's vocabulary; give a text that is exactly one token.")
    return ids[0]


def _tokenizer_of(model: Any) -> Any:
    found = getattr(model, "tokenizer", None)
    if found is None:
        raise ValueError(f"A model with a tokenizer was expected, from load_model(); {type(model).__name__} came.")
    return found


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


def expect_texts(model: TransformersModel) -> None:
    """From now on have a model's runs, and its tokenizer, say in one sentence that something is no text, where they
    would end in an error from deep inside.

    Nothing else about the tokenizer changes: it is saved, copied and packed as what it was.
    """
    _let_read_texts_alone(model.tokenizer)

    # Methods, so that a copied model has its own.
    def trace(model: Any, *inputs: Any, **options: Any) -> Any:
        if inputs and (inputs[0] is None or inputs[0] == []):  # to nnsight that is no input yet
            as_texts(inputs[0])
        return type(model).trace(model, *inputs, **options)

    def preprocess(pipeline: Any, prompt: Any, *others: Any, **options: Any) -> Any:
        if not hasattr(prompt, "messages"):  # transformers' Chat
            as_text(prompt)
        return type(pipeline).preprocess(pipeline, prompt, *others, **options)

    pipeline: Any = model.pipeline
    pipeline.preprocess = types.MethodType(preprocess, pipeline)
    model.__dict__["trace"] = types.MethodType(trace, model)


def _let_read_texts_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    plain: Any = type(tokenizer)
    if getattr(plain, "_expects_texts", False):
        return

    class Reader(plain):
        _expects_texts = True

        def __call__(self, text: Any = None, *others: Any, **options: Any) -> Any:
            if text is not None or not options.get("text_target"):
                _refuse_no_texts(text)
            return super().__call__(text, *others, **options)

        def __reduce_ex__(self, protocol: Any) -> Any:
            return (plain.__new__, (plain,), *super().__reduce_ex__(protocol)[2:])

    Reader.__name__, Reader.__qualname__, Reader.__module__ = plain.__name__, plain.__qualname__, plain.__module__
    tokenizer.__class__ = Reader


def _refuse_no_texts(texts: Any) -> None:
    """Raise ValueError unless this is a text, or a list of texts, or of lists of words."""
    if not isinstance(texts, list | tuple):
        as_text(texts)
        return
    if not texts:
        raise ValueError(EMPTY)
    for one in texts:
        _refuse_no_texts(one)


def as_texts(texts: object) -> list[str]:
    """One text or several, as a list.

    Raises:
        ValueError: there is none, or something is no text.
    """
    given = [texts] if isinstance(texts, str) else list(texts) if isinstance(texts, Iterable) else []
    if not given or isinstance(texts, bytes):
        raise ValueError(f"A text or a list of texts was expected; {_said(texts)} came.")
    return [as_text(one) for one in given]


def _said(given: object) -> str:
    empty = isinstance(given, Sized) and not len(given)
    return f"an empty {type(given).__name__}" if empty else type(given).__name__


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
