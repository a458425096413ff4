"""What holds for every run of a model, whichever function or trace asks for it: looked at as the run begins.

A run that breaks one of these rules would end in an error from deep inside, or go on and show wrong numbers:

- there is at least one token in each row, and no token beyond the vocabulary;
- no text is longer than the model was made for, what a cache holds included;
- the model is in evaluation mode, since dropout makes each run another;
- rotary frequencies that follow the length of the text are right for all of it.
"""

from __future__ import annotations

import functools
import types
import weakref
from typing import Any

import torch

_GUARDED: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
_CONTAINERS = (torch.nn.ModuleList, torch.nn.ModuleDict)
EMPTY = "The text is empty: a model needs at least one token to say what comes next."


def guard(module: torch.nn.Module) -> None:
    """From now on hold every run of ``module``, a transformers model, against the rules. Call it before nnsight wraps
    it; on one that is wrapped, or whose ``forward`` is not its class's, it changes nothing.

    A run that breaks one raises ValueError with the rule and what to do. This is no hook: a lesson has its readers
    count and clear those.
    """
    if "forward" in module.__dict__:
        return

    # A method, so that nnsight keeps its function and hands it the module, and a copied module runs on its own weights.
    @functools.wraps(type(module).forward)
    def guarded(module: torch.nn.Module, *inputs: Any, **options: Any) -> Any:
        _before_run(module, inputs, options)
        return type(module).forward(module, *inputs, **options)

    module.forward = types.MethodType(guarded, module)
    _GUARDED.add(module)


def guard_wrapped(module: torch.nn.Module) -> None:
    """The same for a model that nnsight has already wrapped, whose ``forward`` is nnsight's: by a hook. Once."""
    if module not in _GUARDED:
        module.register_forward_pre_hook(_before_run, with_kwargs=True)
        _GUARDED.add(module)


def context_of(config: Any) -> int | None:
    """The longest input in tokens that a model was made for, None if its configuration does not say."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def refuse_length(count: int, context: int | None) -> None:
    """Raise ValueError for a text of ``count`` tokens that has none, or more than ``context``."""
    if count == 0:
        raise ValueError(EMPTY)
    if context is not None and count > context:
        raise ValueError(f"The text has {count} tokens, more than this model's window of {context}: shorten it.")


def refuse_tokens(ids: torch.Tensor, vocabulary: int) -> None:
    """Raise ValueError if one of these token ids, of any shape, is not one of 0 to ``vocabulary`` - 1."""
    unknown = ids[(ids < 0) | (ids >= vocabulary)]
    if len(unknown):
        raise ValueError(f"Token {int(unknown[0])} does not exist; the vocabulary has {vocabulary}, from 0.")


def _before_run(module: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
    # A list of modules does nothing in training: a shortened one is made anew, and starts in it.
    if any(part.training for part in module.modules() if not isinstance(part, _CONTAINERS)):
        raise ValueError(
            "The model is in training mode, where dropout makes each run another: put it back with "
            "model.eval() (of an nnsight model, model._module.eval())."
        )
    ids = inputs[0] if inputs else options.get("input_ids")
    given = options.get("inputs_embeds") if ids is None else ids
    if not isinstance(given, torch.Tensor) or given.is_meta or given.ndim < 2:
        return  # a run without data, which only asks for shapes; or none that transformers would take
    names = ("past_key_values", "cache")  # before and since transformers 5.24
    cache = next((options[name] for name in names if options.get(name) is not None), None)
    mask: Any = options.get("attention_mask")
    held = int(cache.get_seq_length()) if cache is not None else 0
    length = held + given.shape[1] if given.shape[1] else 0
    refuse_length(length, context_of(module.config))
    padded = isinstance(mask, torch.Tensor) and mask.ndim == 2
    lengths = mask.sum(-1) if padded else None
    if lengths is not None and not bool(lengths.all()):
        raise ValueError(EMPTY)
    if ids is not None:
        refuse_tokens(ids, module.get_input_embeddings().weight.shape[0])
    _refuse_mixed_frequencies(module.config, length, held, lengths)
    if options.get("position_ids") is None:
        _forget_pictures(module)


def _forget_pictures(module: Any) -> None:
    """Let a run over text count its own positions: a model that sees (Qwen-VL) keeps how far the pictures of its last
    generation moved them, for each row of that batch, and would add it to whatever continues a cache.
    """
    part: Any
    for part in (module, getattr(module, "model", None)):
        if getattr(part, "rope_deltas", None) is not None:
            part.rope_deltas = None


def _refuse_mixed_frequencies(config: Any, length: int, held: int, lengths: torch.Tensor | None) -> None:
    """Raise ValueError where a text's rotary frequencies would be those that belong to a longer or a shorter one.

    LongRoPE (Ding et al. 2024, https://arxiv.org/abs/2402.13753) has one set for texts that fit the window of the first
    training, another for longer ones, and transformers picks one for a whole batch. Dynamic scaling changes nothing up
    to ``max_position_embeddings``, and beyond it no text is run.
    """
    config = config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [each for each in (rope, *rope.values()) if isinstance(each, dict)]  # one set, or one for each layer type
    long = [each for each in kinds if each.get("rope_type") == "longrope"]
    for first in {int(each["original_max_position_embeddings"]) for each in long}:
        if length <= first:
            continue
        turned = f"This model turns its positions otherwise in texts of more than {first} tokens"
        if lengths is not None and int(lengths.min()) <= first < int(lengths.max()):
            raise ValueError(f"{turned}, and in a batch all alike: run shorter and longer texts apart.")
        if 0 < held <= first:
            raise ValueError(f"{turned}; the cache holds {held} turned for a shorter one: run the whole text.")
