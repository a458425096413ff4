"""Wrong answers to the exercises of lesson 5."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.steering import concept_direction, steered_generate
from tests.wrong_answers import Wrong


def stream(model, prompt, layer):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        out = place.output.save()
    return out[0]


def many(prompts):
    return [prompts] if isinstance(prompts, str) else prompts


# 5.1


def negative_minus_positive(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return torch.stack(n).mean(0) - torch.stack(p).mean(0)


def reads_layer_input(model, positive, negative, layer):
    parts = anatomy(model)
    sides = []
    for prompts in (positive, negative):
        with model.trace(prompts):
            x = parts.layers[layer].input[:, -1].save()
        sides.append(x.mean(0))
    return sides[0] - sides[1]


def averages_positions(model, positive, negative, layer):
    p = [stream(model, prompt, layer).mean(0) for prompt in many(positive)]
    n = [stream(model, prompt, layer).mean(0) for prompt in many(negative)]
    return sum(p) / len(p) - sum(n) / len(n)


def takes_row_zero(model, positive, negative, layer):
    return stream(model, many(positive)[0], layer)[-1] - stream(model, many(negative)[0], layer)[-1]


def sums_prompts(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return sum(p) - sum(n)


def normalises(model, positive, negative, layer):
    p = [stream(model, prompt, layer)[-1] for prompt in many(positive)]
    n = [stream(model, prompt, layer)[-1] for prompt in many(negative)]
    return torch.nn.functional.normalize(torch.stack(p).mean(0) - torch.stack(n).mean(0), dim=0)


def keeps_batch_axis(model, positive, negative, layer):
    place = anatomy(model).layers[layer]
    with model.trace(positive):
        a = place.output[:, -1].save()
    with model.trace(negative):
        b = place.output[:, -1].save()
    return a.mean(0, keepdim=True) - b.mean(0, keepdim=True)


# 5.2


def binds_a_name(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        out = place.output
        out = out + vector
        logits = model.output.logits[0, -1].save()
    return logits


def hooked(model, layer, change):
    return anatomy(model).layers[layer]._module.register_forward_hook(lambda module, inputs, output: change(output))


def adds_to_input(model, prompt, layer, vector):
    block = anatomy(model).layers[layer]._module
    hook = block.register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0] + vector, *args[1:]), kwargs), with_kwargs=True
    )
    logits = model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1]
    hook.remove()
    return logits


def adds_at_last_position(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        place.output[0, -1] += vector
        logits = model.output.logits[0, -1].save()
    return logits


def overwrites(model, prompt, layer, vector):
    place = anatomy(model).layers[layer]
    with model.trace(prompt):
        place.output[:] = vector
        logits = model.output.logits[0, -1].save()
    return logits


def leaves_hook(model, prompt, layer, vector):
    hooked(model, layer, lambda output: output + vector)
    return model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1]


# 5.3


def negative_over_positive(logits, positive, negative):
    p = logits.softmax(-1)
    return (p[..., negative].sum(-1) / p[..., positive].sum(-1)).log()


def compares_mean_logits(logits, positive, negative):
    return logits[..., positive].mean(-1) - logits[..., negative].mean(-1)


def averages_probabilities(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].mean(-1).log() - p[..., negative].mean(-1).log()


def gives_odds(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].sum(-1) / p[..., negative].sum(-1)


def subtracts_probabilities(logits, positive, negative):
    p = logits.softmax(-1)
    return p[..., positive].sum(-1) - p[..., negative].sum(-1)


# 5.4


def generate(model, prompt, layer, vectors, n, change):
    """transformers' generate; change(output, step) is what the layer puts out instead."""
    ids = torch.tensor([model.tokenizer(prompt)["input_ids"]] * len(vectors))
    step = [-1]

    def on_step(output):
        step[0] += 1
        return change(output, step[0])

    hook = hooked(model, layer, on_step)
    try:
        out = model._module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False)
    finally:
        hook.remove()
    return model.tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)


def writes_once(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    place = anatomy(model).layers[layer]
    ids = model.tokenizer(prompt)["input_ids"]
    with model.generate([ids] * len(vectors), max_new_tokens=max_new_tokens, do_sample=False) as tracer:
        place.output = place.output + vectors[:, None]
        out = tracer.result.save()
    return model.tokenizer.batch_decode(out[:, len(ids) :], skip_special_tokens=True)


def always_everywhere(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(model, prompt, layer, vectors, max_new_tokens, lambda output, step: output + vectors[:, None])


def steers_new_tokens(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output + vectors[:, None] if step and not prompt_only else output,
    )  # fmt: skip


def steers_last_position(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    def change(output, step):
        if step == 0 or not prompt_only:
            output = output.clone()
            output[:, -1] += vectors
        return output

    return generate(model, prompt, layer, vectors, max_new_tokens, change)


def uses_first_vector(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output if step and prompt_only else output + vectors[0],
    )  # fmt: skip


def decodes_everything(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    texts = generate(
        model, prompt, layer, vectors, max_new_tokens,
        lambda output, step: output if step and prompt_only else output + vectors[:, None],
    )  # fmt: skip
    return [prompt + text for text in texts]


def gives_one_text(model, prompt, layer, vectors, max_new_tokens=20, prompt_only=False):
    return steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only)[0]


# 5.5


class Steerer:
    """A right one, for the wrong ones to spoil; the vector goes in with a hook while generate runs."""

    def __init__(self, model, tokenizer=None):
        self.model, self.what = model, None

    def set_steering(self, positive_prompt, negative_prompt, layer, strength=1.0):
        self.what = layer, strength * concept_direction(self.model, positive_prompt, negative_prompt, layer)

    def remove_steering(self):
        self.what = None

    def force_clear_all_hooks(self):
        self.what = None
        for module in self.model._module.modules():
            module._forward_hooks.clear()

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
        return self.write(prompt, max_new_tokens, self.what, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove_steering()


class ClassAttribute(Steerer):
    what = None

    def __init__(self, model, tokenizer=None):
        self.model = model

    def set_steering(self, *args, **kwargs):
        super().set_steering(*args, **kwargs)
        ClassAttribute.what = self.what
        del self.what

    def remove_steering(self):
        ClassAttribute.what = None

    force_clear_all_hooks = Steerer.force_clear_all_hooks


class HookAtSetting(Steerer):
    def set_steering(self, *args, **kwargs):
        self.remove_steering()
        super().set_steering(*args, **kwargs)
        layer, vector = self.what
        self.hook = hooked(self.model, layer, lambda output: output + vector)

    def remove_steering(self):
        if self.what:
            self.hook.remove()
        self.what = None

    def generate(self, prompt, max_new_tokens=50, **kwargs):
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


class DropsPrompt(Steerer):
    def write(self, prompt, n, what, **kwargs):
        return super().write(prompt, n, what, **kwargs)[len(prompt) :]


class DropsArguments(Steerer):
    def generate(self, prompt, max_new_tokens=50, **kwargs):
        return self.write(prompt, max_new_tokens, self.what)


class HookLeftAfterError(Steerer):
    def write(self, prompt, n, what, **kwargs):
        hook = what and hooked(self.model, what[0], lambda output: output + what[1])
        text = super().write(prompt, n, None, **kwargs)
        if hook:
            hook.remove()
        return text


# 5.6


def loops(model, prompt, layer, direction, strengths):
    rows = []
    for strength in strengths:
        hook = hooked(model, layer, lambda output: output + strength * direction)
        rows.append(model._module(model.tokenizer(prompt, return_tensors="pt")["input_ids"]).logits[0, -1])
        hook.remove()
    return torch.stack(rows)


def in_one_batch(model, prompt, strengths, layer, change):
    hook = hooked(model, layer, change)
    ids = model.tokenizer([prompt] * len(strengths), return_tensors="pt")["input_ids"]
    try:
        return model._module(ids).logits[:, -1]
    finally:
        hook.remove()


def sweeps_last_position(model, prompt, layer, direction, strengths):
    def change(output):
        output = output.clone()
        for row, strength in enumerate(strengths):
            output[row, -1] += strength * direction
        return output

    return in_one_batch(model, prompt, strengths, layer, change)


def sweeps_unit_vector(model, prompt, layer, direction, strengths):
    added = torch.tensor(strengths).view(-1, 1, 1) * direction / direction.norm()
    return in_one_batch(model, prompt, strengths, layer, lambda output: output + added)


def adds_to_the_row_before(model, prompt, layer, direction, strengths):
    def change(output):
        rows, current = [], output[:1]
        for strength in strengths:
            current = current + strength * direction
            rows.append(current)
        return torch.cat(rows)

    return in_one_batch(model, prompt, strengths, layer, change)


def forgets_middle_axis(model, prompt, layer, direction, strengths):
    added = torch.tensor(strengths)[:, None] * direction
    return in_one_batch(model, prompt, strengths, layer, lambda output: output + added)


# 5.7


def lerp(first, second, t):
    return torch.lerp(first, second, t)


def normalised_lerp(first, second, t):
    line = torch.lerp(first / first.norm(), second / second.norm(), t)
    return line / line.norm() * torch.lerp(first.norm(), second.norm(), t)


def rotation(first, second, t):
    """The right direction by another formula: first, turned towards the part of second that is orthogonal to it."""
    a, b = first / first.norm(), second / second.norm()
    angle = torch.arccos(a @ b)
    other = (b - (a @ b) * a) / (b - (a @ b) * a).norm()
    return torch.cos(t * angle) * a + torch.sin(t * angle) * other


def runs_backwards(first, second, t):
    return rotation(first, second, 1 - t) * torch.lerp(second.norm(), first.norm(), t)


def forgets_length(first, second, t):
    return rotation(first, second, t)


def weighs_whole_vectors(first, second, t):
    omega = torch.arccos(torch.cosine_similarity(first, second, dim=0))
    return (torch.sin((1 - t) * omega) * first + torch.sin(t * omega) * second) / torch.sin(omega)


# 5.8


def projects_without_unit(residual, direction):
    return residual - torch.einsum("...w,w->...", residual, direction).unsqueeze(-1) * direction


def divides_once(residual, direction):
    return residual - (residual * direction).sum(-1, keepdim=True) / direction.norm() * direction


def takes_it_off(residual, direction):
    return residual - direction


def takes_unit_off(residual, direction):
    return residual - torch.nn.functional.normalize(direction, dim=0)


def gives_projection(residual, direction):
    return (residual * direction).sum(-1, keepdim=True) / (direction @ direction) * direction


WRONG = [
    Wrong("5.1", negative_minus_positive, "sides swapped"),
    Wrong("5.1", reads_layer_input, "input of the layer"),
    Wrong("5.1", averages_positions, "mean over positions"),
    Wrong("5.1", takes_row_zero, "first prompt only"),
    Wrong("5.1", sums_prompts, "sum of prompts"),
    Wrong("5.1", normalises, "made unit length"),
    Wrong("5.1", keeps_batch_axis, says="shape"),
    Wrong("5.2", binds_a_name, "not written back"),
    Wrong("5.2", adds_to_input, "added to the input"),
    Wrong("5.2", adds_at_last_position, "last position only"),
    Wrong("5.2", overwrites, "replaced"),
    Wrong("5.2", leaves_hook, says="left a hook behind"),
    Wrong("5.3", negative_over_positive, "sides swapped"),
    Wrong("5.3", compares_mean_logits, "mean of logits"),
    Wrong("5.3", averages_probabilities, "mean probability"),
    Wrong("5.3", gives_odds, "no logarithm"),
    Wrong("5.3", subtracts_probabilities, "difference of probabilities"),
    Wrong("5.4", writes_once, "added only at the prompt"),
    Wrong("5.4", always_everywhere, "flag ignored"),
    Wrong("5.4", steers_new_tokens, "added only at new tokens"),
    Wrong("5.4", steers_last_position, "last position only"),
    Wrong("5.4", uses_first_vector, "one vector for all rows"),
    Wrong("5.4", decodes_everything, "prompt in front"),
    Wrong("5.4", gives_one_text, says="list"),
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
    Wrong("5.6", loops, "one run for each strength"),
    Wrong("5.6", sweeps_last_position, "last position only"),
    Wrong("5.6", sweeps_unit_vector, "made unit length"),
    Wrong("5.6", adds_to_the_row_before, "strengths add up"),
    Wrong("5.6", forgets_middle_axis, says="raised RuntimeError"),
    Wrong("5.7", lerp, "straight line"),
    Wrong("5.7", normalised_lerp, "straight line, stretched"),
    Wrong("5.7", runs_backwards, "ends swapped"),
    Wrong("5.7", forgets_length, "unit length"),
    Wrong("5.7", weighs_whole_vectors, "arc of the whole vectors"),
    Wrong("5.8", projects_without_unit, "length forgotten"),
    Wrong("5.8", divides_once, "length divided once"),
    Wrong("5.8", takes_it_off, "direction subtracted"),
    Wrong("5.8", takes_unit_off, "unit direction subtracted"),
    Wrong("5.8", gives_projection, "the other part"),
]
