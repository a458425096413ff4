"""Where a model can come from: one class for each source, which knows what it can be asked for and what it refuses.

    ReleaseSource   one of the course's own models, in a package of a registry      file=
    TinySource      random weights, made in memory                                  seed=
    FolderSource    a transformers model in a local folder
    HubSource       a model on the Hugging Face hub                                 revision=
    RemoteSource    the same, run on NDIF: no weights on this machine               revision=

All load to a `dtype`, and all but the last to a `device`. What a source has no use for it refuses, with the reason: an
option that is silently ignored misleads. :func:`find_source` tells from a name which source is meant.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from course_utils.model import hub
from course_utils.model.classes import auto_class, can_continue_text, reads_text_alone
from course_utils.model.errors import ModelError
from course_utils.model.messages import did_you_mean, quiet_transformers
from course_utils.model.options import as_device
from course_utils.model.releases import RELEASES
from course_utils.model.tiny import TINY_MODELS
from course_utils.model.weights import weights_folder
from course_utils.model.wrapping import remote_class, wrap

if TYPE_CHECKING:
    import torch
    from nnsight import TransformersModel
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    Device = str | torch.device | None
    Rehearsal = Literal[False, "local"]

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Loaded:
    """A model, and how to get its weights once more: a function of the dtype, or None where they are not here."""

    model: TransformersModel
    weights_again: Callable[[torch.dtype], PreTrainedModel] | None


@dataclass(frozen=True)
class Source(ABC):
    """A source of one model.

    Here every option is refused, with the reason; a class that has a use for one overrides its method.
    """

    name: str
    cannot_go_remote: ClassVar[str] = ""  # the sentence that says why, for a source that cannot
    is_tiny: ClassVar[bool] = False

    def with_revision(self, revision: str) -> Self:
        """The same model at a branch, tag or commit."""
        raise ModelError(f"revision={revision!r} needs a hub id; {self.name!r} has no revisions.")

    def with_seed(self, seed: int) -> Self:
        """The same architecture with other random weights."""
        raise ModelError(f"seed={seed} is for the tiny random models; the weights of {self.name!r} are not random.")

    def with_file(self, file: str | os.PathLike[str]) -> Self:
        """The same model out of a file that is here already."""
        raise ModelError(f"file= is for {' and '.join(RELEASES)}; {self.name!r} does not come from a file.")

    def on_ndif(self) -> Source:
        """The same model, run on NDIF."""
        raise ModelError(
            f"{self.cannot_go_remote.format(name=self.name)} Name one that it serves, such as "
            "load_model('meta-llama/Llama-3.1-8B', remote=True), or leave remote out."
        )

    @abstractmethod
    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """The model, ready to trace; remote="local" rehearses remote runs. ModelError where it cannot be had."""


@dataclass(frozen=True)
class TinySource(Source):
    """Random weights, drawn from a seed."""

    cannot_go_remote: ClassVar[str] = (
        "{name!r} cannot go remote: it is random weights made in memory, and NDIF runs models by their hub id."
    )
    is_tiny: ClassVar[bool] = True
    seed: int = 0

    def with_seed(self, seed: int) -> Self:
        """The same architecture with other random weights."""
        return replace(self, seed=seed)

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """On the CPU unless another device is named: a GPU gains nothing for something so small."""
        from course_utils.model.tiny import build_tiny, tiny_tokenizer

        module = build_tiny(self.name, self.seed).to(device=as_device("cpu" if device is None else device), dtype=dtype)
        return Loaded(wrap(module, tiny_tokenizer(), remote), lambda dtype: build_tiny(self.name, self.seed))


@dataclass(frozen=True)
class ReleaseSource(Source):
    """One of the course's own models, from a package registry or from its file."""

    cannot_go_remote: ClassVar[str] = (
        "{name!r} cannot go remote: it is a file from a package, and NDIF runs models by their hub id."
    )
    file: str | os.PathLike[str] | None = None

    def with_file(self, file: str | os.PathLike[str]) -> Self:
        """The same model out of a GGUF, or a wheel with it, that is here already."""
        return replace(self, file=file)

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """In float32 unless asked otherwise: that is what the lessons' figures were measured in."""
        import torch
        from transformers import PreTrainedTokenizerFast

        folder = weights_folder(RELEASES[self.name], self.file)
        with quiet_transformers():
            # AutoTokenizer would find the same class, after two seconds of imports.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
            module = _read_weights(folder, dtype or torch.float32, local_files_only=True)
        module.name_or_path = self.name  # rather than the cache folder, which is nobody's concern
        model = wrap(module.to(as_device(device)), tokenizer, remote)
        return Loaded(model, lambda dtype: _read_weights(folder, dtype, local_files_only=True))


@dataclass(frozen=True)
class FolderSource(Source):
    """A transformers model in a local folder. Nothing is asked of the hub."""

    cannot_go_remote: ClassVar[str] = (
        "{name!r} cannot go remote: it is a local folder, and NDIF runs models by their hub id."
    )

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """In the dtype that its weights are stored in unless asked otherwise."""
        folder = Path(self.name).expanduser()
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"The folder {folder} holds an adapter (adapter_config.json); the model with and without it are two "
                "models. Merge them with peft's merge_and_unload(), save the result, and load that folder."
            )
        if not (folder / "config.json").is_file():
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
            raise ModelError(f"The folder {folder} holds no model: config.json was looked for, and {found} was found.")
        files = _Files(str(folder), revision=None, local=True)
        return files.load(dtype, device, remote)


@dataclass(frozen=True)
class HubSource(Source):
    """A model on the Hugging Face hub, or in the hub's cache on this machine."""

    revision: str | None = None

    def with_revision(self, revision: str) -> Self:
        """The same model at a branch, tag or commit."""
        return replace(self, revision=revision)

    def on_ndif(self) -> RemoteSource:
        """The same model, run on NDIF."""
        return RemoteSource(self.name, self.revision)

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """In the dtype that its weights are stored in unless asked otherwise."""
        files = _Files(self.name, self.revision, local=not hub.can_be_reached())
        return files.load(dtype, device, remote)


@dataclass(frozen=True)
class RemoteSource(Source):
    """A model of the hub that runs on NDIF: here are its configuration and tokenizer only."""

    revision: str | None = None

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        """The model without weights, whose traces go to NDIF."""
        if device is not None:
            raise ModelError(
                f"device={str(device)!r} is for a model on this machine; NDIF places {self.name!r} itself. Leave "
                "device out, or remote."
            )
        files = _Files(self.name, self.revision, local=not hub.can_be_reached())
        with hub.plain_errors(self.name, files.local):
            config, tokenizer, _ = files.read_all_but_weights()
            if not reads_text_alone(config):
                raise ModelError(
                    f"{self.name!r} is the text side of a model that also sees or hears ({config.model_type}), which "
                    "the course runs on this machine only. Leave remote out, or name a model of text alone."
                )
            model = remote_class()(
                self.name,
                task="text-generation",
                revision=self.revision,
                config=config,
                tokenizer=tokenizer,
                attn_implementation="eager",
                **({"dtype": dtype} if dtype is not None else {}),
            )
            model.run_remote = True
        return Loaded(model, None)


# --- which one is meant -----------------------------------------------------------------------------------------------


def find_source(name: str) -> Source:
    """The source that a name means; ModelError where it means nothing."""
    if name in TINY_MODELS:
        return TinySource(name)
    if name in RELEASES:
        return ReleaseSource(name)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return FolderSource(name)
    if path.is_file():
        raise ModelError(
            f"{name!r} is a file. A folder with config.json and safetensors was expected; a GGUF or a wheel of the "
            "course's own model goes into load_model(file=...)."
        )
    if name.startswith((".", "~", "/", os.sep)) or "\\" in name or name.count("/") > 1:
        raise ModelError(f"There is no folder {name!r}. A folder with a transformers model, or a name, was expected.")
    known = [*TINY_MODELS, *RELEASES]
    close = [own for own in known if name and own.startswith(name.lower())]
    close += difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.75)
    # The hub's ids without an owner are few and old. A near miss of one of our names is not meant for the hub.
    if "/" not in name and (close or name.startswith("tiny")):
        raise ModelError(
            f"There is no model {name!r}. {did_you_mean(close)}The course's own models: {', '.join(known)}. "
            "A model of the hub is named owner/name."
        )
    if not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be a model's name: letters, digits, '-', '_' and '.', with one '/' between owner and "
            f"name, were expected, as in 'Qwen/Qwen2.5-3B-Instruct'. The course's own models: {', '.join(known)}."
        )
    return HubSource(name)


# --- what transformers reads ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Files:
    """The files of a model that transformers finds, in a folder or on the hub.

    local: nothing is asked of the hub; what is not on this machine is not there.
    """

    name: str
    revision: str | None
    local: bool

    def load(self, dtype: torch.dtype | None, device: Device, remote: Rehearsal) -> Loaded:
        with hub.plain_errors(self.name, self.local):
            config, tokenizer, commit = self.read_all_but_weights()
            build = auto_class(config)
            place = "auto" if device == "auto" else as_device(device)  # accelerate places the layers for "auto"
            module = _read_weights(
                self.name,
                dtype or "auto",
                build,
                device_map=None if str(place) == "cpu" else place,
                revision=commit,
                local_files_only=self.local,
            )
        model = wrap(module, tokenizer, remote, self.revision)
        # From this machine in any case: the files have just been read, and the hub need not be asked again.
        return Loaded(
            model, lambda dtype: _read_weights(self.name, dtype, build, revision=commit, local_files_only=True)
        )

    def read_all_but_weights(self) -> tuple[PretrainedConfig, PreTrainedTokenizerBase, str | None]:
        """The configuration, the tokenizer, and the commit that both are from."""
        from transformers import AutoConfig, AutoTokenizer

        where: dict[str, Any] = {"local_files_only": self.local, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(self.name, revision=self.revision, **where)
        _refuse_other_architectures(config, self.name)
        # The commit that the configuration came from, so that a branch that moves meanwhile cannot mix two versions.
        commit = getattr(config, "_commit_hash", None) or self.revision
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name, revision=commit, **where)
        except Exception as error:
            if not Path(self.name).is_dir():
                raise
            raise ModelError(_what_ails_the_tokenizer(Path(self.name), error)) from error
        return config, tokenizer, commit


def _read_weights(name: str | Path, dtype: torch.dtype | str, build: Any = None, **where: Any) -> PreTrainedModel:
    """The module with all of its weights, read by `build` (by default transformers' class for causal language models);
    ModelError where some are missing, or have no place.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_transformers():  # what it would report is told below
        module, found = (build or AutoModelForCausalLM).from_pretrained(
            name,
            dtype=dtype,
            attn_implementation="eager",
            # The fast way to run experts has no float64.
            **({"experts_implementation": "eager"} if dtype == torch.float64 else {}),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            **where,
        )
    mismatched = (key if isinstance(key, str) else key[0] for key in found["mismatched_keys"])
    missing = sorted({*found["missing_keys"], *mismatched})
    if missing:  # transformers draws these at random, and goes on
        raise ModelError(
            f"The weights of {str(name)!r} are not complete: {len(missing)} are missing or of another shape, the first "
            f"is {missing[0]}. Fetch the model again, or name another."
        )
    own = {_without_layer(key) for key in module.state_dict()}
    beyond = sorted(key for key in found["unexpected_keys"] if _without_layer(key) in own)
    if beyond:
        raise ModelError(
            f"The weights of {str(name)!r} are of more layers than its config.json says: {len(beyond)} have no place "
            f"in the model, the first is {beyond[0]}. Put num_hidden_layers right, or fetch the model again."
        )
    return module


def _without_layer(key: str) -> str:
    """A parameter's name with a star for each number in it."""
    return re.sub(r"\b\d+\b", "*", key)


def _what_ails_the_tokenizer(folder: Path, error: Exception) -> str:
    names = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
    there = [name for name in names if (folder / name).is_file()]
    for name in there:
        if name.endswith(".json"):
            try:
                json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as broken:
                return f"{folder / name} is damaged ({broken}): the model's tokenizer cannot be read. Fetch it again."
    if not {*there} - {"tokenizer_config.json"}:
        return f"The folder {folder} holds no tokenizer: tokenizer.json was looked for. Put the model's own there."
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"The tokenizer in {folder} ({', '.join(there)}) cannot be read: {said}. Fetch it again."


def _refuse_other_architectures(config: PretrainedConfig, name: str) -> None:
    """Raise ModelError unless `config` is of a decoder-only language model, which is what the course is about."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = config.model_type
    instead = "The course needs a decoder-only language model, such as load_model() or load_model('gpt2')."
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{name!r} is an encoder-decoder model ({kind}). {instead}")
    # BERT and its relatives can be configured as decoders, so transformers lists them under both.
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        raise ModelError(f"{name!r} is an encoder-only model ({kind}). {instead}")
    if not can_continue_text(config):
        raise ModelError(f"{name!r} is not a language model that transformers can generate with ({kind}). {instead}")
