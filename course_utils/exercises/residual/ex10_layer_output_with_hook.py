"""Exercise 2.10: the same with a plain hook."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.drawing import text, tiny, told
from course_utils.exercises.forms import FLOATS
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.residual.drawing import models
from course_utils.model.anatomy import anatomy
from course_utils.residual import layer_output_with_hook, residual_stream

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _on_layers(rng: random.Random) -> list[Case]:
    cases = []
    for model in models(rng):
        # Not the last layer of a tiny model (it has 3): the layer after it must exist for the mistake to have a value.
        layer = rng.randrange(2) if model.name else rng.randrange(anatomy(model.load()).n_layers - 2)
        cases.append(Case(f"{told(model)}, layer {layer}", (model, text(rng, 7), layer)))
    model = tiny(rng, "tiny-gpt2")
    return [
        *cases,
        Case("a run that fails", (model, text(rng, 5), 1), {"fails": True}),
        Case("a model that someone else listens to", (model, text(rng, 5), rng.randrange(3)), {"listened_to": True}),
        Case("the last layer", (model, text(rng, 5), 2)),
        *(Case(f"layer {layer} of 0 to 2", (model, text(rng, 5), layer), raises=True) for layer in (3, -1)),
    ]


def _use(
    answer: Any, model: TransformersModel, prompt: str, layer: int, fails: bool = False, listened_to: bool = False
) -> Any:
    if listened_to:
        heard: list[int] = []
        parts = anatomy(model)
        layer_itself, norm = parts.layers[layer]._module, parts.norm._module
        handles = [
            layer_itself.register_forward_hook(lambda *_: heard.append(1)),
            norm.register_forward_hook(lambda *_: heard.append(2)),
            norm.register_forward_pre_hook(lambda *_: heard.append(3)),
        ]
        try:
            answer(model, prompt, layer)
            heard.clear()
            model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"])
        finally:
            for handle in handles:
                handle.remove()
        return "the others' hooks are still there" if len(heard) == len(handles) else "others' hooks are gone"
    if not fails:
        return answer(model, prompt, layer)
    # Behind all layers, so that the answer's own hook is in place by then. What it leaves is seen by whoever runs this.
    handle = anatomy(model).norm._module.register_forward_pre_hook(_fail)
    with contextlib.suppress(Exception):
        answer(model, prompt, layer)
    handle.remove()
    return "the run has failed"


def _fail(module: Any, inputs: Any) -> None:
    raise RuntimeError("This run fails, to see what is left of it.")


# What learners do instead.


def _layer_before(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    return residual_stream(model, prompt)[layer]


def _layer_after(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    return residual_stream(model, prompt)[layer + 2]


def _attention_only(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        found = parts.attentions[layer].output[0][0].save()
    return found


def _mlp_only(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        found = parts.mlps[layer].output[0].save()
    return found


def _hidden_state(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    stream[-1] = anatomy(model).normalise(stream[-1])
    return stream[layer + 1]


def _all_removed(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    anatomy(model).layers[layer]._module._forward_hooks.clear()
    return residual_stream(model, prompt)[layer + 1]


def _hook_left(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    anatomy(model).layers[layer]._module.register_forward_hook(lambda *_: None)
    return residual_stream(model, prompt)[layer + 1]


EXERCISE = Exercise(
    id="2.10",
    title="The same with a plain hook",
    minutes=15,
    points=3,
    difficulty=2,
    reference=layer_output_with_hook,
    shows="A trace and a hook read the same numbers; the trace also cleans up after itself.",
    hints=(
        Hint(
            "where to look",
            "`module.register_forward_hook(keep)` calls `keep(module, inputs, output)` after each run of the "
            "module, and returns a handle.",
        ),
        Hint(
            "which module?",
            "The torch module of layer l is `anatomy(model).layers[l]._module`; the whole model is "
            "`model._module`, called with `input_ids`.",
        ),
        Hint(
            "whatever happens",
            "Put the run into `try:` and `handle.remove()` into `finally:`, so that no hook stays behind when "
            "the run fails.",
        ),
    ),
    drive=_use,
    returns=FLOATS,
    draw=_on_layers,
    axes=("position", "dimension"),
    mistakes=(
        Mistake(
            "the last hidden state",
            _hidden_state,
            "This is the last entry of output_hidden_states, which has gone through the final norm: take what the "
            "layer itself puts out.",
        ),
        Mistake(
            "layer's input",
            _layer_before,
            "This is what the layer reads. A forward hook gets (module, inputs, output): keep the output.",
        ),
        Mistake("one layer too far", _layer_after, "This is the output of the layer after it: layers count from 0."),
        Mistake(
            "attention only", _attention_only, "This is what the layer's attention puts out: hook the whole layer."
        ),
        Mistake("MLP only", _mlp_only, "This is what the layer's MLP puts out: hook the whole layer."),
        Mistake(
            "everyone's hooks removed",
            _all_removed,
            "You clear hooks that are not yours: of this layer, or of other parts of the model. Remove your own only: "
            "by the handle that you got.",
        ),
        Mistake(
            "hook left behind",
            _hook_left,
            "It would run at every later call of the model. Remove it also when the run fails: in a `finally`.",
        ),
    ),
)
