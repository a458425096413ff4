"""The Hugging Face hub: whether it can be reached, and what its errors mean."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from pathlib import Path

from course_utils.model.errors import ModelError
from course_utils.model.messages import did_you_mean
from course_utils.model.releases import RELEASES
from course_utils.model.tiny import TINY_MODELS

_SECONDS = 5.0  # how long the hub may take to answer before it counts as out of reach


def can_be_reached() -> bool:
    """Whether the hub answers, asked once and briefly: huggingface_hub itself tries for 23 seconds.

    Where it does not, what is in the hub's local cache can still be loaded.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.is_offline_mode():
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    except Exception:  # whatever the HTTP library of the day raises: proxy, name, time-out, certificate
        return False
    return True


@contextlib.contextmanager
def plain_errors(name: str, local: bool) -> Iterator[None]:
    """Turn what transformers raises while it loads `name` into one plain sentence.

    local: whether only this machine was searched.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # of any kind: what is wrong in a model's files fails anywhere
        # transformers wraps the hub's errors into an OSError, and each release of huggingface_hub keeps their classes
        # somewhere else: their names, anywhere in the chain of causes, are what stays.
        kinds = {type(link).__name__ for link in _chain(error)}
        said = _explain(name, local, kinds, str(error).strip() or type(error).__name__)
        # torch's own words to a foreign pickle are how to switch its protection off.
        raise ModelError(said) from None if "UnpicklingError" in kinds else error


def _explain(name: str, local: bool, kinds: set[str], text: str) -> str:
    from huggingface_hub import constants

    said = text.splitlines()[0]
    if "trust_remote_code" in text or "custom code" in text:
        return f"{name!r} comes with code of its own that has to run to load it, and this course never runs such code."
    if "UnpicklingError" in kinds:
        return (
            f"The weights of {name!r} are a pickle that cannot be read as tensors alone: it is damaged, or holds code, "
            "which this course never runs. Take a copy of the model in safetensors."
        )
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
        private = f"The hub has no model {name!r}, or it is private (then log in with `hf auth login`)."
        return f"{private} {did_you_mean(close)}".strip()
    return f"{name!r} cannot be loaded: {said}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
