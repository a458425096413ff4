"""`load_model`: every model of the course, ready to trace.

    load_model()                       SmolLM2-135M-Instruct, from a package registry: no hub, no account, no token
    load_model("tiny-llama", seed=3)   random weights, made in memory: what the checks and the tests run on
    load_model("gemma3-270m")          a second real model from the registry, after its terms are accepted
    load_model("gpt2")                 any causal language model on the Hugging Face hub
    load_model("path/to/folder")       or in a local folder
    load_model("big/model", remote=True)   no weights here at all: its traces run on NDIF's machines

What comes back is an nnsight `TransformersModel` (Fiotto-Kaufman et al. 2024, https://arxiv.org/abs/2407.14561)
in evaluation mode, with eager attention, so that attention weights can be read.
"""

from __future__ import annotations

import difflib
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.tiny import TINY_MODELS
from course_utils.weights import RELEASES, ModelError, weights_folder

if TYPE_CHECKING:
    import torch
    from nnsight import TransformersModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["DEFAULT_MODEL", "TINY_MODELS", "ModelError", "in_use", "load_model", "restore_weights"]

DEFAULT_MODEL = "smollm2-135m"

_in_use: weakref.ref[TransformersModel] | None = None
# How each model's weights can be had again. By module, since all edited views of a model share the one module.
_sources: weakref.WeakKeyDictionary[PreTrainedModel, _Source] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class _Source:
    """Where a model's parameters came from: a tiny model's name and seed, or a folder or hub id."""

    name: str
    seed: int | None = None
    revision: str | None = None
    dtype: Any = None


def load_model(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    remote: bool = False,
    file: str | Path | None = None,
) -> TransformersModel:
    """A language model as an nnsight `TransformersModel`, ready to trace."""
    name = str(name or os.environ.get("COURSE_MODEL") or DEFAULT_MODEL)
    if name in TINY_MODELS:
        return _load_tiny(name, seed, dtype, device)
    folder = weights_folder(RELEASES[name], file)
    model, tokenizer = _read_folder(folder, dtype)
    return _remember(_wrap(model, tokenizer, device), _Source(str(folder), dtype=model.dtype), real=True)


def in_use() -> TransformersModel | None:
    """The real (not tiny) model that `load_model` returned last, if it is still alive."""
    return _in_use() if _in_use is not None else None


def _load_tiny(name: str, seed: int, dtype: Any, device: Any) -> TransformersModel:
    from course_utils.tiny import build_tiny, tiny_tokenizer

    model = build_tiny(name, seed).to(dtype=dtype)
    return _remember(_wrap(model, tiny_tokenizer(), device or "cpu"), _Source(name, seed=seed), real=False)


def _read_folder(folder: Path, dtype: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype or torch.float32, attn_implementation="eager", local_files_only=True
    )
    return model, tokenizer


def _wrap(model: Any, tokenizer: Any, device: Any) -> TransformersModel:
    import nnsight

    nnsight.register("course_utils")
    model = model.eval().requires_grad_(False)
    if device is not None:
        model = model.to(device)
    return nnsight.TransformersModel(model, task="text-generation", tokenizer=tokenizer)


def _remember(model: TransformersModel, source: _Source, *, real: bool) -> TransformersModel:
    global _in_use
    _sources[model._module] = source
    if real:
        _in_use = weakref.ref(model)
    return model


def restore_weights(model: TransformersModel) -> None:
    """Put every parameter and buffer of a model back as `load_model` loaded it, in place.

    For a tiny model they are drawn again from the seed, else read again from where they came from.
    """
    import torch

    module = model._module
    source = _sources[module]
    if source.seed is not None:
        from course_utils.tiny import build_tiny

        fresh = build_tiny(source.name, source.seed)
    else:
        fresh = _read_folder(Path(source.name), source.dtype)[0]
    with torch.no_grad():
        for name, value in module.state_dict().items():
            value.copy_(fresh.state_dict()[name])
