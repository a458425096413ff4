"""What an answer leaves behind on a model, found and taken away.

A lesson's cells share one model. What the next cell would trip over is put back after every run of an answer: hooks,
weights, edits, and how the model and its tokenizer are set. Only what spoils other answers' values is told as harm; who
sets the tokenizer's padding side has a right to.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.modules import module as every_module

from course_utils.exercises import messages
from course_utils.exercises.messages import say

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_CAPTURING = "_output_capturing_hooks_installed"
_GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)


def torch_module(value: Any) -> torch.nn.Module | None:
    """The torch module that ``value`` is or wraps; None if it is no model."""
    module = value if isinstance(value, torch.nn.Module) else getattr(value, "_module", None)
    return module if isinstance(module, torch.nn.Module) else None


def fingerprint(module: torch.nn.Module) -> tuple[float, ...]:
    """A fingerprint of a module's weights.

    Version counters see every write but those through ``.data``; the sum of a sample sees those that matter there.
    (The sum of all weights of a real model takes longer than the run that is checked.)
    """
    weights = [weight for weight in module.parameters() if not weight.is_meta]
    with torch.no_grad():
        samples = [float(weight.detach().flatten()[:: 1 + weight.numel() // 4096].sum()) for weight in weights]
    # What was made in inference mode counts no versions.
    return (*samples, float(sum(0 if weight.is_inference() else weight._version for weight in weights)))


@dataclass(frozen=True)
class ModelState:
    """How a model is before an answer runs on it; :func:`put_back` brings it there again."""

    model: Any
    module: torch.nn.Module
    weights: tuple[float, ...]
    dtypes: tuple[torch.dtype, ...]
    trained: tuple[bool, ...]  # requires_grad of each parameter
    training: bool
    attention: str | None
    configs: tuple[tuple[Any, dict[str, Any]], ...]  # an object, and a copy of what it holds
    edits: tuple[tuple[Any, list[Any]], ...]  # nnsight's part of the model, and the edits on it
    forwards: dict[str, Any]  # by module, a forward that is not its class's: nnsight puts some there
    hooks: dict[tuple[str, str], dict[int, Any]]  # by module and kind, those of libraries: an answer may clear them
    capturing: frozenset[str]  # the modules on which transformers notes that it has put in its hooks


def state_of(model: Any) -> ModelState:
    """The state of a model, an nnsight one or a torch module, before an answer runs on it."""
    module = torch_module(model)
    assert module is not None
    parameters = list(module.parameters())
    tokenizer = getattr(model, "tokenizer", None)
    held = [getattr(module, "config", None), getattr(module, "generation_config", None), tokenizer]
    return ModelState(
        model=model,
        module=module,
        weights=fingerprint(module),
        dtypes=tuple(parameter.dtype for parameter in parameters),
        trained=tuple(parameter.requires_grad for parameter in parameters),
        training=module.training,
        attention=_attention(module),
        configs=tuple((thing, _plain(thing)) for thing in held if thing is not None),
        edits=tuple((part, list(part._edits)) for part in _envoys(model)),
        forwards={name: vars(part)["forward"] for name, part in module.named_modules() if "forward" in vars(part)},
        hooks={
            (name, kind): {key: hook for key, hook in getattr(part, kind, {}).items() if _is_of_a_library(hook)}
            for name, part in module.named_modules()
            for kind in _HOOKS
        },
        capturing=frozenset(name for name, part in module.named_modules() if _CAPTURING in vars(part)),
    )


def put_back(state: ModelState) -> str:
    """Clean the model of what an answer left on it; a sentence about what did harm, or ""."""
    harm = ""
    for part, edits in state.edits:
        if part._edits != edits:
            part._edits = edits
            harm = messages.EDIT_LEFT
    harm = _restore_hooks(state) or harm
    for name, part in state.module.named_modules():
        now, before = vars(part).get("forward"), state.forwards.get(name)
        if now is not before and not _is_of_a_library(now):
            if before is None:
                del part.forward
            else:
                part.forward = before
            harm = say(messages.FORWARD_REPLACED, part=name or messages.THE_MODEL)
    harm = _restore_weights(state) or harm
    if state.module.training != state.training:
        state.module.train(state.training)
        harm = harm or messages.MODE_CHANGED
    _restore_settings(state)
    return harm


def remove_global_hooks() -> str:
    """Take away hooks on every module of the process; a sentence about them, or ""."""
    found = [hooks for name in _GLOBAL_HOOKS if (hooks := getattr(every_module, name, None))]
    for hooks in found:
        hooks.clear()
    return messages.HOOK_ON_EVERY_MODULE if found else ""


def _restore_hooks(state: ModelState) -> str:
    harm = ""
    for name, part in state.module.named_modules():
        for kind in _HOOKS:
            hooks, before = getattr(part, kind, {}), state.hooks.get((name, kind), {})
            for key, hook in list(hooks.items()):
                if not _is_of_a_library(hook):
                    harm = say(messages.HOOK_LEFT, part=name) if name else messages.HOOK_LEFT_ON_MODEL
                elif key in before or not hook.__module__.startswith("transformers."):
                    continue
                del hooks[key]
            hooks.update(before)
        # When first asked for hidden states or attentions, transformers puts in hooks, notes that it has, and counts on
        # finding them again. So both are as before: an answer that clears hooks clears these too.
        if _CAPTURING in vars(part) and name not in state.capturing:
            delattr(part, _CAPTURING)
    for name, weight in state.module.named_parameters():
        if weight._backward_hooks:
            weight._backward_hooks.clear()
            harm = say(messages.HOOK_LEFT, part=name)
    return harm


def _is_of_a_library(hook: Any) -> bool:
    kept = ("transformers.", "accelerate.", "nnsight.", "course_utils.model.guard")
    return (getattr(hook, "__module__", None) or "").startswith(kept)


def _restore_weights(state: ModelState) -> str:
    from course_utils.model.loading import restore_weights

    harm = ""
    parameters = list(state.module.parameters())
    if tuple(parameter.dtype for parameter in parameters) != state.dtypes:
        for parameter, dtype in zip(parameters, state.dtypes, strict=False):
            parameter.data = parameter.data.to(dtype)
        harm = messages.DTYPE_CHANGED
    if (harm or fingerprint(state.module) != state.weights) and state.module is not state.model:
        restore_weights(state.model)
        harm = harm or messages.WEIGHTS_CHANGED
    for parameter, trained in zip(parameters, state.trained, strict=False):
        if parameter.requires_grad != trained:
            parameter.requires_grad_(trained)
        parameter.grad = None
    return harm


def _restore_settings(state: ModelState) -> None:
    if _attention(state.module) != state.attention and state.attention is not None:
        state.module.set_attn_implementation(state.attention)  # type: ignore[operator]
    for thing, before in state.configs:
        now = vars(thing)
        for name, value in before.items():
            if name not in now or not _same(now[name], value):
                now[name] = value
        for name in [name for name in now if name not in before and isinstance(now[name], bool | int | float | str)]:
            del now[name]


def _attention(module: torch.nn.Module) -> str | None:
    found = getattr(getattr(module, "config", None), "_attn_implementation", None)
    return found if isinstance(found, str) else None


def _plain(thing: Any) -> dict[str, Any]:
    """What an object holds of settings: numbers, texts, and lists and dictionaries of them."""
    plain = (bool, int, float, str, list, dict, tuple, type(None))
    return {name: copy.deepcopy(value) for name, value in vars(thing).items() if isinstance(value, plain)}


def _same(now: Any, before: Any) -> bool:
    return type(now) is type(before) and bool(now == before)


def _envoys(model: Any) -> list[Any]:
    """The parts of nnsight's model on which an edit can lie, the model itself first."""
    if not hasattr(model, "_edits"):
        return []
    return [model, *(part for part in model.modules() if hasattr(part, "_edits"))]
