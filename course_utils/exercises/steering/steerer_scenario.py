"""What a learner's steerer is taken through in exercise 5.5, and what is written down on the way."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

from course_utils.model.anatomy import anatomy

if TYPE_CHECKING:
    from nnsight import TransformersModel


class _Stops:
    """A streamer, which generate tells of each new token, that ends the run at the second."""

    def __init__(self) -> None:
        self.seen = 0

    def put(self, value: Any) -> None:
        self.seen += 1
        if self.seen == 2:
            raise InterruptedError

    def end(self) -> None:
        pass


def use_steerers(answer: Any, model: TransformersModel, prompt: str, contrasts: Any, n: int) -> dict[str, Any]:
    """What two steerers on one model write, and what is left of them afterwards."""
    written: dict[str, Any] = {}
    first = answer(model)
    written["set_steering returns the steerer"] = first.set_steering(*contrasts[0]) is first
    second = answer(model)
    written["before anything is set it writes"] = second.generate(prompt, max_new_tokens=n)
    second.set_steering(*contrasts[1][:3], strength=contrasts[1][3])
    written["the first of two steerers writes"] = first.generate(prompt, max_new_tokens=n)
    first.set_steering(*contrasts[1])
    written["set again it writes"] = first.generate(prompt, max_new_tokens=n)
    stops = _Stops()
    with contextlib.suppress(InterruptedError):
        first.generate(prompt, max_new_tokens=n, streamer=stops)
    written["generate passed its streamer on"] = stops.seen > 0
    first.set_steering(*contrasts[0][:3])
    written["with strength left out it writes"] = first.generate(prompt, max_new_tokens=n)
    second.remove_steering()
    written["after remove_steering it writes"], warned = _listen(second, prompt, n)
    written["with no steering set it warns"] = bool(warned)
    _, warned_too = _listen(first, prompt, n)
    written["with steering set it warns of the same"] = bool(warned & warned_too)
    with answer(model):
        pass  # nothing was set, and nothing is there to be removed
    with answer(model) as third:
        third.set_steering(*contrasts[0])
    written["after its block it writes"] = third.generate(prompt, max_new_tokens=n)
    third.set_steering(*contrasts[1])
    written["an exception leaves its block"] = False
    try:
        with third:
            written["set before its block, in the block it writes"] = third.generate(prompt, max_new_tokens=n)
            raise LookupError
    except LookupError:
        written["an exception leaves its block"] = True
    written["after an exception in its block, max_new_tokens left out, it writes"] = third.generate(prompt)
    plain = answer(model._module, model.tokenizer)
    plain.set_steering(*contrasts[0])
    written["on a plain transformers model it writes"] = plain.generate(prompt, max_new_tokens=n)
    # Someone else's hooks: one doubles what the first layer puts out, one what the last norm reads.
    parts = anatomy(model)
    hooks = [
        parts.layers[0]._module.register_forward_hook(lambda module, inputs, output: 2 * output),
        parts.norm._module.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],)),
    ]
    try:
        fourth = answer(model).set_steering(*contrasts[0])
        written["hooks that force_clear_all_hooks found"] = fourth.force_clear_all_hooks()
        written["after force_clear_all_hooks it writes"] = fourth.generate(prompt, max_new_tokens=n)
    finally:
        for hook in hooks:
            hook.remove()
    return written


def _listen(steerer: Any, prompt: str, n: int) -> tuple[str, set[str]]:
    """What a steerer writes, and what it warns of meanwhile."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        text = steerer.generate(prompt, max_new_tokens=n)
    return text, {str(one.message) for one in told}
