"""Right answers to exercise 5.5: ways to keep what was set, and to put it in while a text is written."""

from __future__ import annotations

import contextlib
import functools
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from course_utils.steering import clear_hooks, concept_direction, steered_generate, traceable
from tests.right_answers.plain_runs import hooked, ids_of


def tell():
    warnings.warn("There is no steering; the text is the model's own.", stacklevel=3)


class HookWhileItWrites:
    def __init__(self, model, tokenizer=None):
        self.model = traceable(model, tokenizer)
        self.remove_steering()

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        direction = concept_direction(self.model, positive_prompt, negative_prompt, layer)
        self.set = layer, strength * direction
        return self

    def remove_steering(self):
        self.set = None

    def force_clear_all_hooks(self):
        self.remove_steering()
        return clear_hooks(self.model)

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if self.set is None:
            tell()
            return self.write(prompt, max_new_tokens, **kwargs)
        layer, vector = self.set
        with hooked(anatomy(self.model).layers[layer]._module, lambda output: output + vector):
            return self.write(prompt, max_new_tokens, **kwargs)

    def write(self, prompt, max_new_tokens, **kwargs):
        ids = ids_of(self.model, prompt)
        how = {"do_sample": False, "max_new_tokens": max_new_tokens, "attention_mask": torch.ones_like(ids), **kwargs}
        new = self.model._module.generate(ids, **how)[0, ids.shape[1] :]
        return prompt + self.model.tokenizer.decode(new, skip_special_tokens=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.remove_steering()
        return False


class KeepsItsArguments(HookWhileItWrites):
    """The direction is made when a text is written, from the prompts that were set."""

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        self.set = {"positive": positive_prompt, "negative": negative_prompt, "layer": layer}
        self.strength = strength
        return self

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        vector = torch.zeros(1, anatomy(self.model).width)
        if self.set:
            vector = self.strength * concept_direction(self.model, **self.set)[None]
        else:
            tell()
        layer = self.set["layer"] if self.set else 0
        return prompt + steered_generate(self.model, prompt, layer, vector, max_new_tokens, **kwargs)[0]


class VectorsOfAllLayers(HookWhileItWrites):
    """(layer, width), nearly all of it zeros."""

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        parts, self.set = anatomy(self.model), True
        self.vectors = torch.zeros(parts.n_layers, parts.width)
        for sign, side in ((strength, positive_prompt), (-strength, negative_prompt)):
            texts = [side] if isinstance(side, str) else side
            for text in texts:
                self.vectors[layer] += sign * residual_stream(self.model, text)[layer + 1, -1] / len(texts)
        return self

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if not self.set:
            tell()
            return self.write(prompt, max_new_tokens, **kwargs)
        with contextlib.ExitStack() as stack:
            for layer, vector in zip(anatomy(self.model).layers, self.vectors, strict=True):
                stack.enter_context(hooked(layer._module, functools.partial(torch.add, vector)))
            return self.write(prompt, max_new_tokens, **kwargs)


class ContextManagerOfPython(contextlib.AbstractContextManager):
    def __init__(self, model, tokenizer=None):
        self.traced = traceable(model, tokenizer)
        self.vector = None

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        direction = concept_direction(self.traced, positive_prompt, negative_prompt, layer)
        self.layer, self.vector = layer, direction.mul(strength)
        return self

    def remove_steering(self):
        self.vector = None

    def force_clear_all_hooks(self):
        self.vector, n = None, 0
        for module in self.traced._module.modules():
            for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
                mine = [key for key, hook in hooks.items() if not (hook.__module__ or "").startswith("transformers.")]
                n += len(mine)
                for key in mine:
                    hooks.pop(key)
        return n

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if self.vector is None:
            tell()
        layer = self.layer if self.vector is not None else 0
        vector = self.vector if self.vector is not None else torch.zeros(anatomy(self.traced).width)
        (text,) = steered_generate(
            self.traced, prompt, layer, vector.unsqueeze(0), max_new_tokens=max_new_tokens, **kwargs
        )
        return f"{prompt}{text}"

    def __exit__(self, *error):
        self.remove_steering()


@dataclass
class DataClass:
    model: Any
    tokenizer: Any = None
    settings: dict[str, Any] = field(default_factory=dict)

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        own = concept_direction(self._traced, positive_prompt, negative_prompt, layer)
        self.settings = {"layer": layer, "vectors": torch.stack([strength * own])}
        return self

    @property
    def _traced(self):
        return traceable(self.model, self.tokenizer)

    def remove_steering(self):
        self.settings.clear()

    def force_clear_all_hooks(self):
        self.settings.clear()
        return clear_hooks(self._traced)

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if not self.settings:
            warnings.warn("Nothing is set.", UserWarning, stacklevel=2)
        settings = self.settings or {"layer": 0, "vectors": torch.zeros(1, anatomy(self._traced).width)}
        return "".join(
            [prompt, *steered_generate(self._traced, prompt, max_new_tokens=max_new_tokens, **settings, **kwargs)]
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.settings = {}


class UnitVectorAndLength(HookWhileItWrites):
    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        direction = concept_direction(self.model, positive_prompt, negative_prompt, layer).double()
        self.unit, self.length = direction / direction.norm(), strength * direction.norm()
        self.set = layer, (self.unit * self.length).float()
        return self


RIGHT = [
    HookWhileItWrites,
    KeepsItsArguments,
    VectorsOfAllLayers,
    ContextManagerOfPython,
    DataClass,
    UnitVectorAndLength,
]
