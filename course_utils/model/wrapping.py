"""From a transformers model to an nnsight model that can be traced, here or on NDIF."""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING, Any, Literal

from course_utils.model.errors import ModelError

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_IN_NO_TRACE = {f"course_utils.{name}" for name in ("cli", "colab", "exercises", "grading", "notebooks", "pictures")}


def wrap(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    remote: Literal[False, "local"] = False,
    revision: str | None = None,
) -> TransformersModel:
    """An nnsight model around a loaded one, in evaluation mode and without gradients of the parameters, whose tokenizer
    puts nothing behind a text, and whose runs keep to the rules of :mod:`guard`.

    With remote="local" every trace is packed and unpacked as if it went to NDIF.
    """
    import nnsight

    from course_utils.model.guard import guard
    from course_utils.model.messages import quiet_transformers
    from course_utils.model.prompts import add_no_end, expect_texts

    register_package()
    module.eval().requires_grad_(False)
    guard(module)
    add_no_end(tokenizer)
    # Else the pipeline inside moves the model to what it thinks the best device.
    place = {} if getattr(module, "hf_device_map", None) else {"device": module.device}
    build = remote_class() if remote else nnsight.TransformersModel
    with quiet_transformers():  # its text pipeline does not know the models that also see, and runs them
        model = build(module, task="text-generation", tokenizer=tokenizer, revision=revision, **place)
    expect_texts(model)
    model.__dict__["_course_ready"] = True
    if remote:
        model.run_remote = remote
    return model


def as_traced(model: Any) -> TransformersModel:
    """A model as nnsight traces it: itself; or a plain transformers model, wrapped once and remembered, with the
    tokenizer that lies beside its weights. Wrapped, it is in evaluation mode and its parameters ask for no gradients.
    One that somebody wrapped without :func:`wrap` gets what is missing: no gradients, and the rules of :mod:`guard`.

    Raises:
        ValueError: it is no model, or its tokenizer is not on this machine.
    """
    from transformers import AutoTokenizer, PreTrainedModel

    if hasattr(model, "_module") and hasattr(model, "trace"):
        _adopt(model)
        return model
    if not isinstance(model, PreTrainedModel):
        raise ValueError(
            f"A model from load_model() was expected, or a transformers model; {type(model).__name__} came."
        )
    known = model.__dict__.get("_course_traced")
    if known is None:
        try:
            tokenizer = AutoTokenizer.from_pretrained(model.name_or_path, local_files_only=True)
        except Exception:
            raise ValueError(
                f"The tokenizer of this {type(model).__name__} was looked for at {model.name_or_path!r} and is not "
                "there. Load the model with load_model(), or give it its tokenizer: "
                "course_utils.model.wrapping.wrap(model, tokenizer)."
            ) from None
        known = model.__dict__["_course_traced"] = wrap(model, tokenizer)
    return known


def _adopt(model: Any) -> None:
    """See, once, to what :func:`wrap` sees to, on a model that somebody else gave to nnsight."""
    from transformers import PreTrainedModel

    from course_utils.model.guard import guard_wrapped
    from course_utils.model.prompts import add_no_end, expect_texts

    module = model._module
    here = isinstance(module, PreTrainedModel) and not any(one.is_meta for one in module.parameters())
    if "_course_ready" in model.__dict__ or not here:
        return
    module.requires_grad_(False)
    guard_wrapped(module)
    if getattr(model, "tokenizer", None) is not None and getattr(model, "pipeline", None) is not None:
        add_no_end(model.tokenizer)
        expect_texts(model)
    model.__dict__["_course_ready"] = True


@functools.lru_cache(maxsize=1)
def register_package() -> None:
    """Let traces that call this package's functions go remote: they are sent along, since NDIF does not have them.

    What no trace calls is left out. Marking hands its tasks to other machines with the same pickler, and there its
    modules are installed: sent along by value they would bring their locks, which cannot travel.
    """
    import nnsight

    import course_utils

    for part in pkgutil.iter_modules(course_utils.__path__, "course_utils."):
        if part.name not in _IN_NO_TRACE:
            nnsight.register(part.name)


@functools.lru_cache(maxsize=1)
def remote_class() -> Any:
    """A `TransformersModel` whose runs go remote unless they say otherwise.

    Made on demand, since nnsight is imported late.
    """
    import nnsight

    register_package()

    class RemoteModel(nnsight.TransformersModel):
        """An nnsight model that runs elsewhere: `run_remote` is the default of `remote=` in all its runs."""

        run_remote: bool | str = True

        def trace(self, *inputs: Any, remote: bool | str | None = None, **kwargs: Any) -> Any:
            """As `TransformersModel.trace`; `generate` and `pipe` come through here too."""
            return super().trace(*inputs, remote=self._where(remote), **kwargs)

        def session(self, *inputs: Any, remote: bool | str | None = None, **kwargs: Any) -> Any:
            """As `TransformersModel.session`."""
            return super().session(*inputs, remote=self._where(remote), **kwargs)

        def _where(self, remote: bool | str | None) -> bool | str:
            where = self.run_remote if remote is None else remote
            if where is True and not nnsight.CONFIG.API.APIKEY:
                raise ModelError(
                    "NDIF asks for a key: get one at https://login.ndif.us, then "
                    "nnsight.CONFIG.set_default_api_key('...'), once on this machine, or NDIF_API_KEY."
                )
            return where

        def _remote_backend(self, remote: bool | str, *how: Any) -> Any:
            backend = super()._remote_backend(remote, *how)
            if remote != "local":
                backend.__class__ = _saying_backend()
            return backend

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


@functools.lru_cache(maxsize=1)
def _saying_backend() -> Any:
    """Nnsight's way to NDIF, which says in one sentence that there is none."""
    from nnsight.intervention.backends.remote import RemoteBackend
    from websocket import WebSocketBadStatusException, WebSocketException

    class SayingBackend(RemoteBackend):
        def __call__(self, tracer: Any = None) -> Any:
            try:
                return super().__call__(tracer)
            except WebSocketBadStatusException as error:
                raise ModelError(
                    f"NDIF ({self.ws_host}) refuses with status {error.status_code}: is the key right? See "
                    "https://login.ndif.us."
                ) from error
            except (WebSocketException, OSError) as error:
                raise ModelError(
                    f"NDIF ({self.ws_host}) cannot be reached: {error}. A remote model needs a network; without one, "
                    "load it here, without remote=True."
                ) from error

    return SayingBackend


def _new_plain_model() -> TransformersModel:
    import nnsight

    return nnsight.TransformersModel.__new__(nnsight.TransformersModel)
