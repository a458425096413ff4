"""Ways through a model without nnsight, which many right answers take: transformers' own call, PyTorch's hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils.model.anatomy import anatomy, first_of


def ids_of(model: Any, text: str) -> torch.Tensor:
    """(1, position)."""
    return model.tokenizer(text, return_tensors="pt")["input_ids"]


def plain(model: Any, ids: torch.Tensor, **how: Any) -> Any:
    """What transformers gives for ids (batch, position)."""
    with torch.no_grad():
        return model._module(input_ids=ids, **how)


@contextlib.contextmanager
def hooked(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """In the block, what ``change`` makes of a module's output takes its place; None leaves it."""

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        new = change(first_of(output))
        return new if new is None or not isinstance(output, tuple) else (new, *output[1:])

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def hooked_before(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """The same of what a module reads, its first argument."""

    def hook(module: torch.nn.Module, args: Any, kwargs: Any) -> Any:
        name = None if args else "hidden_states"
        new = change(kwargs[name] if name else args[0])
        if new is None:
            return None
        return ((), {**kwargs, name: new}) if name else ((new, *args[1:]), kwargs)

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def stream_by_hooks(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The stream (depth, batch, position, width)."""
    layers = [layer._module for layer in anatomy(model).layers]
    depths: list[torch.Tensor] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(hooked_before(layers[0], depths.append))
        for layer in layers:
            stack.enter_context(hooked(layer, depths.append))
        plain(model, ids)
    return torch.stack(depths)
