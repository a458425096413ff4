"""Exercise 5.5: a steerer whose vector is on the model only while it writes."""

from __future__ import annotations

import random
import warnings
from typing import Any, ClassVar, Self

from course_utils import steering
from course_utils.exercises.drawing import text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.steering.steerer_scenario import use_steerers
from course_utils.model.anatomy import anatomy
from course_utils.steering import LLMSteering


def _steerers(rng: random.Random) -> list[Case]:
    """Two contrasts for two steerers; the strengths are large, so that a text shows what was added to it.

    On tiny models alone: ten texts of the lesson's model, from the answer and again from the reference, take many
    seconds.
    """
    cases = []
    for model in tiny_pair(rng):
        layers = rng.sample(range(2), 2)  # a layer kept from the first call shows
        contrasts = tuple(_contrast(rng, layer, sign) for layer, sign in zip(layers, (1, -1), strict=True))
        cases.append(Case(told(model), (model, text(rng, 5), contrasts, 5)))
    return cases


def _contrast(rng: random.Random, layer: int, sign: int) -> tuple[Any, ...]:
    """The arguments of one call of set_steering: one prompt, a list or a tuple of two, a layer, a strength."""
    positive, negative = text(rng, 3), (text(rng, 4), text(rng, 3))
    return positive, negative if sign < 0 else list(negative), layer, sign * (3 + round(rng.random(), 2))


class _OneForAll(LLMSteering):
    """Keeps its vector in the class, where every steerer finds it."""

    in_the_class: ClassVar[dict[str, Any]] = {}

    def set_steering(self, *args: Any, **kwargs: Any) -> Any:
        super().set_steering(*args, **kwargs)
        self.in_the_class.update(vector=self.vector, layer=self.layer)
        return self

    def remove_steering(self) -> None:
        self.in_the_class.clear()

    def generate(self, *args: Any, **kwargs: Any) -> str:
        self.vector, self.layer = self.in_the_class.get("vector"), self.in_the_class.get("layer", 0)
        return super().generate(*args, **kwargs)


class _OnTheModel(LLMSteering):
    """Puts its vector on the model with a hook when it is set, as most code on the net does, so it is in every run."""

    handle: Any = None

    def set_steering(self, positive_prompt: Any, negative_prompt: Any, layer: int, strength: float = 1.0) -> Self:
        self.remove_steering()
        vector = strength * steering.concept_direction(self.model, positive_prompt, negative_prompt, layer)
        block = anatomy(self.model).layers[layer]._module
        self.handle = block.register_forward_hook(lambda module, inputs, output: output + vector)
        return self

    def remove_steering(self) -> None:
        if self.handle is not None:
            self.handle.remove()
            self.handle = None

    def force_clear_all_hooks(self) -> int:
        self.handle = None
        return steering.clear_hooks(self.model)  # its own among them

    def generate(self, *args: Any, **kwargs: Any) -> str:
        with warnings.catch_warnings():
            if self.handle is not None:
                warnings.simplefilter("ignore")  # the vector is on the model, and none is kept here
            return super().generate(*args, **kwargs)


class _NeverRemoved(LLMSteering):
    def remove_steering(self) -> None:
        pass

    def force_clear_all_hooks(self) -> int:
        self.vector = None
        return steering.clear_hooks(self.model)


class _BlockForgets(LLMSteering):
    def __exit__(self, *exception: object) -> None:
        pass


class _SwallowsExceptions(LLMSteering):
    def __exit__(self, *exception: object) -> bool:  # type: ignore[override]
        self.remove_steering()
        return True


class _FirstLayerKept(LLMSteering):
    first: int | None = None

    def set_steering(self, positive_prompt: Any, negative_prompt: Any, layer: int, strength: float = 1.0) -> Self:
        self.first = layer if self.first is None else self.first
        return super().set_steering(positive_prompt, negative_prompt, self.first, strength)


class _AddsUp(LLMSteering):
    def set_steering(self, positive_prompt: Any, negative_prompt: Any, layer: int, strength: float = 1.0) -> Self:
        before = self.vector
        super().set_steering(positive_prompt, negative_prompt, layer, strength)
        if before is not None and self.vector is not None:
            self.vector = before + self.vector
        return self


class _PromptOnly(LLMSteering):
    def generate(self, prompt: str, max_new_tokens: int = 50, **kwargs: Any) -> str:
        return super().generate(prompt, max_new_tokens, prompt_only=True, **kwargs)


class _OnlyOwnHooks(LLMSteering):
    def force_clear_all_hooks(self) -> int:
        self.remove_steering()
        return 0


class _NewTextOnly(LLMSteering):
    def generate(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        return super().generate(prompt, *args, **kwargs).removeprefix(prompt)


EXERCISE = Exercise(
    id="5.5",
    title="A steerer that leaves no trace",
    minutes=25,
    points=5,
    difficulty=3,
    reference=LLMSteering,
    drive=use_steerers,
    shows="Two steerers share a model and never meet, and nothing of them is left on it.",
    hints=(
        Hint(
            "where the vector lives",
            "In `self`, and nowhere else, until `generate` runs. Then there is nothing to clean up.",
        ),
        Hint(
            "the parts",
            "`set_steering` is 5.1 and `generate` is 5.4 with one row, `self.vector[None]`; no steering is a vector of "
            "zeros. `force_clear_all_hooks` goes over `self.model._module.modules()` and empties each `_forward_hooks` "
            "and `_forward_pre_hooks`.",
        ),
    ),
    draw=_steerers,
    mistakes=(
        Mistake(
            "exceptions swallowed",
            _SwallowsExceptions,
            "An exception in the block is lost: what __exit__ returns must not be True, so return nothing.",
        ),
        Mistake(
            "layer of the first call",
            _FirstLayerKept,
            "Set again at another layer, it still steers at the first one: what was set before is replaced.",
        ),
        Mistake(
            "one vector for all steerers",
            _OneForAll,
            "The steerers share one vector: keep it in self, set in __init__, and not in the class.",
        ),
        Mistake(
            "vector on the model",
            _OnTheModel,
            "A steerer put its vector on the model when it was set, so it is in the other one's text too: add it only "
            "while generate runs.",
        ),
        Mistake(
            "never removed",
            _NeverRemoved,
            "After remove_steering the text is still steered: forget the vector there.",
        ),
        Mistake("block does not remove", _BlockForgets, "__exit__ must remove the steering."),
        Mistake("strengths add up", _AddsUp, "Setting again added to what was there: set_steering replaces it."),
        Mistake(
            "added only at the prompt",
            _PromptOnly,
            "The new tokens were not steered: the vector belongs to every step of the generation.",
        ),
        Mistake(
            "only its own hooks",
            _OnlyOwnHooks,
            "force_clear_all_hooks must also remove what others left on the model: go over model._module.modules().",
        ),
        Mistake(
            "prompt missing",
            _NewTextOnly,
            "generate gives the prompt and the new text, not the new text alone.",
        ),
    ),
)
