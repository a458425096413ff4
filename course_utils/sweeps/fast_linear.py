"""The processor's faster matrix product, where PyTorch has two.

On a CPU `torch.nn.functional.linear` in float32 goes to the library that this PyTorch was built with, mostly Intel's
MKL. The same build also has oneDNN, which makes the code for its products when it sees the processor. On some
processors oneDNN is about twice as fast (measured on an AMD EPYC with AVX-512). Which one wins is measured once in a
process, in a few milliseconds. Both are exact to float32's rounding; only the order of the sums differs.

    with fast_linear():
        ...                      # linear layers (and GPT-2's Conv1D) go to the faster one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# oneDNN has to win clearly, or the usual way stays.
_MUST_WIN = 1.15


@contextmanager
def fast_linear(enabled: bool = True) -> Iterator[None]:
    """Within the block, send float32 linear layers on the CPU to oneDNN, if that is faster on this processor.

    For inference only: while gradients are recorded, and for other devices and types, nothing changes.
    """
    if enabled and onednn_wins():
        with _OneDNN():
            yield
    else:
        yield


# Once: measured anew, a close race could end otherwise, and two sweeps of one process would differ in the last digits.
@lru_cache(maxsize=1)
def onednn_wins() -> bool:
    """Whether oneDNN multiplies clearly faster than `linear` on this processor; measured once."""
    product = _product()
    if product is None:
        return False
    # As many tokens as a sweep's batch has in its lower layers, and the shape of a small model's MLP: on a product of a
    # few rows what is measured is the call. A generator of its own, so that asking for speed moves nobody's random
    # numbers.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 576, generator=generator)
    weight = torch.randn(1536, 576, generator=generator)
    usual: Callable[[], torch.Tensor] = lambda: torch.nn.functional.linear(x, weight)  # noqa: E731
    other: Callable[[], torch.Tensor] = lambda: product(x, weight, None)  # noqa: E731
    try:
        # The operator is not public: should a later PyTorch give its arguments another meaning, it is left alone. This
        # first call also makes oneDNN's code for the shape, which must not be in the times.
        if not torch.allclose(usual(), other(), atol=1e-2):
            return False
    except RuntimeError:  # there, but not for this processor
        return False
    # Alternating, best of several: another process must not decide this.
    pairs = [(_seconds(usual), _seconds(other)) for _ in range(5)]
    return min(a for a, _ in pairs) > _MUST_WIN * min(b for _, b in pairs)


def _seconds(run: Callable[[], torch.Tensor]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _product() -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor] | None:
    """The operator x @ weight.T + bias of oneDNN that `torch.compile` uses on CPUs; None where this build has none."""
    if not torch.backends.mkldnn.is_available():
        return None
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operator is None:
        return None
    return lambda x, weight, bias: operator(x, weight, bias, "none", [], "")


def _suits(*tensors: torch.Tensor | None) -> bool:
    """Whether the other product may take these.

    It has no backward: where gradients are recorded they would end at it, with a warning at most. And a subclass of a
    tensor (quantised, say, or a stand-in without data) means something of its own by a product.
    """
    some = [tensor for tensor in tensors if tensor is not None]
    return not torch.is_grad_enabled() and all(
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and tensor.numel() > 0
        for tensor in some
    )


class _OneDNN(TorchFunctionMode):
    """Looks at each call of a torch function while it is active, whichever module makes it.

    So no module is changed or replaced, nnsight's view of them stays, and an error inside leaves nothing behind.
    """

    def __init__(self) -> None:
        super().__init__()
        product = _product()
        assert product is not None
        self.product = product

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.nn.functional.linear and not kwargs:
            x, weight, bias = (*args, None)[:3]
            if _suits(x, weight, bias) and weight.ndim == 2:
                return self.product(x, weight, bias)
        if func is torch.addmm and not kwargs and len(args) == 3:  # GPT-2 keeps its matrices the other way round
            bias, x, weight = args
            if _suits(x, weight, bias) and bias.ndim == 1:
                return self.product(x, weight.T, bias)
        return func(*args, **(kwargs or {}))
