"""Wrong answers to exercise 5.5, `LLMSteering`."""

from __future__ import annotations

import warnings

import torch

from course_utils.steering import clear_hooks, concept_direction, traceable
from tests.wrong_answers import Wrong
from tests.wrong_answers.steering.hooks import hooked


class Steerer:
    """A right one, for the wrong ones to spoil; the vector goes in with a hook while generate runs."""

    def __init__(self, model, tokenizer=None):
        self.model, self.what = traceable(model, tokenizer), None

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        self.what = layer, strength * concept_direction(self.model, positive_prompt, negative_prompt, layer)
        return self

    def remove_steering(self):
        self.what = None

    def force_clear_all_hooks(self):
        self.what = None
        return clear_hooks(self.model)

    def write(self, prompt, n, what, **kwargs):
        ids = self.model.tokenizer(prompt, return_tensors="pt")["input_ids"]
        hook = what and hooked(self.model, what[0], lambda output: output + what[1])
        try:
            out = self.model._module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False, **kwargs
            )
        finally:
            if hook:
                hook.remove()
        return prompt + self.model.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if self.what is None:
            warnings.warn("nothing set")
        return self.write(prompt, max_new_tokens, self.what, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove_steering()


class ClassAttribute(Steerer):
    what = None

    def __init__(self, model, tokenizer=None):
        self.model = traceable(model, tokenizer)

    def set_steering(self, *args, **kwargs):
        super().set_steering(*args, **kwargs)
        ClassAttribute.what = self.what
        del self.what
        return self

    def remove_steering(self):
        ClassAttribute.what = None

    force_clear_all_hooks = Steerer.force_clear_all_hooks


class HookAtSetting(Steerer):
    def set_steering(self, *args, **kwargs):
        self.remove_steering()
        super().set_steering(*args, **kwargs)
        layer, vector = self.what
        self.hook = hooked(self.model, layer, lambda output: output + vector)
        return self

    def remove_steering(self):
        if self.what:
            self.hook.remove()
        self.what = None

    def generate(self, prompt, max_new_tokens=50, **kwargs):
        if self.what is None:
            warnings.warn("nothing set")
        return self.write(prompt, max_new_tokens, None, **kwargs)


class KeepsSteering(Steerer):
    def remove_steering(self):
        self.active = False


class EmptyExit(Steerer):
    def __exit__(self, *exception):
        return None


class Accumulates(Steerer):
    def set_steering(self, *args, **kwargs):
        old = self.what
        super().set_steering(*args, **kwargs)
        if old:
            self.what = self.what[0], self.what[1] + old[1]
        return self


class FirstStepOnly(Steerer):
    def write(self, prompt, n, what, **kwargs):
        if what is None:
            return super().write(prompt, n, None, **kwargs)
        layer, vector = what
        seen = []

        def change(output):
            seen.append(1)
            return output + vector if len(seen) == 1 else output

        hook = hooked(self.model, layer, change)
        try:
            return super().write(prompt, n, None, **kwargs)
        finally:
            hook.remove()


class ClearsNothing(Steerer):
    def force_clear_all_hooks(self):
        self.remove_steering()
        return 0


class DropsPrompt(Steerer):
    def write(self, prompt, n, what, **kwargs):
        return super().write(prompt, n, what, **kwargs)[len(prompt) :]


class DropsArguments(Steerer):
    def generate(self, prompt, max_new_tokens=50, **kwargs):
        return self.write(prompt, max_new_tokens, self.what)


class SwallowsErrors(Steerer):
    def __exit__(self, *exception):
        self.remove_steering()
        return True


class FirstLayerForEver(Steerer):
    layer = None

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        if self.layer is None:
            self.layer = layer
        return super().set_steering(positive_prompt, negative_prompt, self.layer, strength)


class HookLeftAfterError(Steerer):
    def write(self, prompt, n, what, **kwargs):
        hook = what and hooked(self.model, what[0], lambda output: output + what[1])
        text = super().write(prompt, n, None, **kwargs)
        if hook:
            hook.remove()
        return text


class AlwaysWarns(Steerer):
    def generate(self, prompt, max_new_tokens=50, **kwargs):
        warnings.warn("is anything set?")
        return self.write(prompt, max_new_tokens, self.what, **kwargs)


class ForgetsWhatIsNotThere(Steerer):
    def set_steering(self, *args, **kwargs):
        self.active = True
        return super().set_steering(*args, **kwargs)

    def remove_steering(self):
        self.what = None
        del self.active


class ClearsOnlyOthers(Steerer):
    def force_clear_all_hooks(self):
        return clear_hooks(self.model)


class ClearsForwardHooks(Steerer):
    def force_clear_all_hooks(self):
        self.what, count = None, 0
        for module in self.model._module.modules():
            count += len(module._forward_hooks)
            module._forward_hooks.clear()
        return count


class BeginsAnew(Steerer):
    def __enter__(self):
        self.remove_steering()
        return self


WRONG = [
    Wrong("5.5", SwallowsErrors, "exceptions swallowed"),
    Wrong("5.5", FirstLayerForEver, "layer of the first call"),
    Wrong("5.5", ClassAttribute, "one vector for all steerers"),
    Wrong("5.5", HookAtSetting, "vector on the model"),
    Wrong("5.5", KeepsSteering, "never removed"),
    Wrong("5.5", EmptyExit, "block does not remove"),
    Wrong("5.5", Accumulates, "strengths add up"),
    Wrong("5.5", FirstStepOnly, "added only at the prompt"),
    Wrong("5.5", ClearsNothing, "only its own hooks"),
    Wrong("5.5", DropsPrompt, "prompt missing"),
    Wrong("5.5", DropsArguments, says="generate passed its streamer on"),
    Wrong("5.5", HookLeftAfterError, says="On "),
    Wrong("5.5", AlwaysWarns, says="'with steering set it warns of the same'"),
    Wrong("5.5", ForgetsWhatIsNotThere, says="has no attribute 'active'"),
    Wrong("5.5", ClearsOnlyOthers, says="'after force_clear_all_hooks it writes'"),
    Wrong("5.5", ClearsForwardHooks, says="'hooks that force_clear_all_hooks found'"),
    Wrong("5.5", BeginsAnew, says="'set before its block, in the block it writes'"),
]
