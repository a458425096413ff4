"""What an answer leaves behind on a model, found and taken away: hooks, changed weights, another mode."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.messages import say


def torch_module(value: Any) -> torch.nn.Module | None:
    """The torch module that ``value`` is or wraps; None if it is no model."""
    module = value if isinstance(value, torch.nn.Module) else getattr(value, "_module", None)
    return module if isinstance(module, torch.nn.Module) else None


def fingerprint(model: Any) -> tuple[list[float], bool]:
    """A fingerprint of a model's weights, and its mode.

    Version counters see every write but those through ``.data``; the sum of a sample sees those that matter there.
    (The sum of all weights of a real model takes longer than the run that is checked.)
    """
    module = torch_module(model)
    assert module is not None
    weights = [parameter for parameter in module.parameters() if not parameter.is_meta]
    with torch.no_grad():
        samples = [float(weight.detach().flatten()[:: 1 + weight.numel() // 4096].sum()) for weight in weights]
    return [*samples, float(sum(weight._version for weight in weights))], module.training


def clean_up(models: list[Any], before: list[tuple[list[float], bool]]) -> str:
    """Clean the models of what the answer left on them; a sentence about what it was, or ""."""
    from course_utils.model.loading import restore_weights

    harm = ""
    for model, (weights, training) in zip(models, before, strict=True):
        module = torch_module(model)
        assert module is not None
        for name, part in module.named_modules():
            for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):
                # transformers leaves its own behind when asked for hidden states or attentions, and counts on finding
                # them again.
                left = [key for key, hook in hooks.items() if not (hook.__module__ or "").startswith("transformers.")]
                for key in left:
                    del hooks[key]
                    harm = say(messages.HOOK_LEFT, part=name) if name else messages.HOOK_LEFT_ON_MODEL
        if fingerprint(model)[0] != weights and module is not model:
            restore_weights(model)
            harm = messages.WEIGHTS_CHANGED
        if module.training != training:
            module.train(training)
            harm = harm or messages.MODE_CHANGED
    return harm
