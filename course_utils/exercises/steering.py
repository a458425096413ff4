"""The exercises of lesson 5, steering: their inputs, and what each wrong answer is told."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch

from course_utils import steering
from course_utils.exercises.drawing import text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.steering import LLMSteering

if TYPE_CHECKING:
    from nnsight import TransformersModel

INPUT_NOT_OUTPUT = (
    "This is what the layer reads, its input: at layer l means here what layer l puts out, parts.layers[l].output."
)


def _models(rng: random.Random) -> list[Model]:
    return [*tiny_pair(rng), Model()]


def _layer(rng: random.Random, model: Model) -> int:
    """Any layer but the last, after which positions no longer meet, so that a vector at one of them could not be told from all."""
    return rng.randrange(2) if model.name else rng.randrange(4, 20)


def _random_vectors(rng: random.Random, model: Model, *shape: int) -> torch.Tensor:
    """Random vectors about as long as the model's residuals."""
    width, size = (64, 3.0) if model.name else (576, 4.0)
    return torch.randn(*shape, width, generator=torch.Generator().manual_seed(rng.randrange(2**31))) * size


# 5.1 concept_direction


def _pairs(rng: random.Random) -> list[Case]:
    cases = []
    for model in _models(rng):
        positive = [text(rng, rng.randint(2, 6)) for _ in range(3)]
        negative = [text(rng, rng.randint(2, 6)) for _ in range(2)]
        cases.append(Case(told(model), (model, positive, negative, _layer(rng, model))))
    single = tiny_pair(rng)[0]
    return [*cases, Case("one prompt on each side", (single, text(rng, 3), text(rng, 5), _layer(rng, single)))]


def _read_last(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.output[0].save()
    return residual[-1]


def _read_mean(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.output[0].save()
    return residual.mean(dim=0)


def _read_input(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    output = anatomy(model).layers[layer]
    with model.trace(prompt):
        residual = output.input[0].save()
    return residual[-1]


def _contrast(
    read: Callable[..., torch.Tensor], average: Callable[[torch.Tensor], torch.Tensor] = lambda rows: rows.mean(dim=0)
) -> Callable[..., torch.Tensor]:
    def direction(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
        sides = [
            average(torch.stack([read(model, prompt, layer) for prompt in steering.as_list(prompts)]))
            for prompts in (positive, negative)
        ]
        return sides[0] - sides[1]

    return direction


def _sides_swapped(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
    return -steering.concept_direction(model, positive, negative, layer)


def _unit_direction(model: Any, positive: Any, negative: Any, layer: int) -> torch.Tensor:
    direction = steering.concept_direction(model, positive, negative, layer)
    return direction / direction.norm()


# 5.2 steered_logits


def _prompts_with_vector(rng: random.Random) -> list[Case]:
    return [
        Case(told(model), (model, text(rng, 6), _layer(rng, model), _random_vectors(rng, model)))
        for model in _models(rng)
    ]


def _not_written_back(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    return steering.steered_logits(model, prompt, layer, 0 * vector)


def _added_to_input(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    read = anatomy(model).layers[layer]
    with model.trace(prompt):
        read.input = read.input + vector
        logits = model.output.logits[0, -1].save()
    return logits


def _added_last(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    return _with_last_position(model, [token_ids(model, prompt)], layer, vector[None])[0]


def _with_last_position(model: Any, rows: list[list[int]], layer: int, vectors: torch.Tensor) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace(rows):
        stream = steered.output.clone()
        stream[:, -1] = stream[:, -1] + vectors
        steered.output = stream
        logits = model.output.logits[:, -1].save()
    return logits


def _replaced(model: Any, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    steered = anatomy(model).layers[layer]
    with model.trace(prompt):
        steered.output = vector.expand_as(steered.output)
        logits = model.output.logits[0, -1].save()
    return logits


# 5.3 log_odds


def _logits_with_lists(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def case(label: str, *shape: int) -> Case:
        ids = rng.sample(range(shape[-1]), 7)
        return Case(label, (torch.randn(*shape, generator=source) * 3, ids[:4], ids[4:]))

    return [case("one row of 30 logits", 30), case("5 rows of 200 logits", 5, 200)]


def _odds_swapped(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return -steering.log_odds(logits, positive, negative)


def _mean_logits(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return logits[..., list(positive)].mean(dim=-1) - logits[..., list(negative)].mean(dim=-1)


def _mean_probability(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.softmax(dim=-1)
    return (p[..., list(positive)].mean(dim=-1) / p[..., list(negative)].mean(dim=-1)).log()


def _no_logarithm(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    return steering.log_odds(logits, positive, negative).exp()


def _probability_difference(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    p = logits.softmax(dim=-1)
    return p[..., list(positive)].sum(dim=-1) - p[..., list(negative)].sum(dim=-1)


# 5.4 steered_generate


def _prompts_with_vectors(rng: random.Random) -> list[Case]:
    llama, gpt2, real = _models(rng)

    def args(model: Model, rows: int) -> tuple[Any, ...]:
        return model, text(rng, 5), _layer(rng, model), _random_vectors(rng, model, rows)

    return [
        Case(told(llama), args(llama, 3), {"max_new_tokens": 6}),
        Case(f"{told(gpt2)}, the prompt only", args(gpt2, 3), {"max_new_tokens": 6, "prompt_only": True}),
        Case(told(real), args(real, 2), {"max_new_tokens": 4}),
    ]


def _generated(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, n: int, steps: Callable[[Any], Any], last: bool = False
) -> list[str]:
    """What generate writes with the vectors added in some of its steps; with `last`, at the last position only."""
    steered = anatomy(model).layers[layer]
    ids = token_ids(model, prompt)
    with model.generate(max_new_tokens=n, do_sample=False) as tracer:
        with tracer.invoke([ids] * len(vectors)):
            for _ in steps(tracer):
                stream = steered.output.clone()
                stream[:, -1 if last else 0 :] += vectors[:, None]
                steered.output = stream
        with tracer.invoke():
            written = tracer.result.save()
    return model.tokenizer.batch_decode(written[:, len(ids) :], skip_special_tokens=True)


def _only_at_prompt(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, **_: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors, max_new_tokens, prompt_only=True)


def _flag_ignored(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, **_: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors, max_new_tokens)


def _only_new_tokens(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, prompt_only: bool = False
) -> list[str]:
    if prompt_only:
        return steering.steered_generate(model, prompt, layer, 0 * vectors, max_new_tokens)
    return _generated(model, prompt, layer, vectors, max_new_tokens, lambda tracer: tracer.iter[1:])


def _only_last_positions(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, max_new_tokens: int = 20, prompt_only: bool = False
) -> list[str]:
    def steps(tracer: Any) -> Any:
        return tracer.iter[:1] if prompt_only else tracer.iter[:]

    return _generated(model, prompt, layer, vectors, max_new_tokens, steps, last=True)


def _first_vector_for_all(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, *args: Any, **kwargs: Any
) -> list[str]:
    return steering.steered_generate(model, prompt, layer, vectors[:1].expand_as(vectors), *args, **kwargs)


def _prompt_in_front(
    model: Any, prompt: str, layer: int, vectors: torch.Tensor, *args: Any, **kwargs: Any
) -> list[str]:
    return [prompt + new for new in steering.steered_generate(model, prompt, layer, vectors, *args, **kwargs)]


# 5.5 LLMSteering


def _steerers(rng: random.Random) -> list[Case]:
    """Two contrasts for two steerers; the strengths are large, so that a text shows what was added to it.

    On tiny models alone: six texts of the lesson's model, from the answer and again from the reference, take many seconds.
    """
    cases = []
    for model in tiny_pair(rng):
        contrasts = tuple(
            (text(rng, 3), [text(rng, 4), text(rng, 3)], _layer(rng, model), sign * (3 + round(rng.random(), 2)))
            for sign in (1, -1)
        )
        cases.append(Case(told(model), (model, text(rng, 5), contrasts, 5)))
    return cases


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


def _use_steerers(answer: Any, model: TransformersModel, prompt: str, contrasts: Any, n: int) -> dict[str, Any]:
    """What two steerers on one model write, and what is left of them afterwards."""
    written: dict[str, Any] = {}
    first = answer(model)
    first.set_steering(*contrasts[0])
    second = answer(model)
    second.set_steering(*contrasts[1][:3], strength=contrasts[1][3])
    written["the first of two steerers writes"] = first.generate(prompt, max_new_tokens=n)
    first.set_steering(*contrasts[1])
    written["set again it writes"] = first.generate(prompt, max_new_tokens=n)
    stops = _Stops()
    with contextlib.suppress(InterruptedError):
        first.generate(prompt, max_new_tokens=n, streamer=stops)
    written["generate passed its streamer on"] = stops.seen > 0
    second.remove_steering()
    written["after remove_steering it writes"] = second.generate(prompt, max_new_tokens=n)
    with answer(model) as third:
        third.set_steering(*contrasts[0])
    written["after its block it writes"] = third.generate(prompt, max_new_tokens=n)
    # Someone else's hook, which doubles what the first layer puts out.
    hook = anatomy(model).layers[0]._module.register_forward_hook(lambda module, inputs, output: 2 * output)
    try:
        fourth = answer(model)
        fourth.force_clear_all_hooks()
        written["after force_clear_all_hooks it writes"] = fourth.generate(prompt, max_new_tokens=n)
    finally:
        hook.remove()
    return written


_SHARED: dict[str, Any] = {}


class _OneForAll(LLMSteering):
    """Keeps its vector in the class, where every steerer finds it."""

    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        super().__init__(model, tokenizer)
        _SHARED.clear()

    def set_steering(self, *args: Any, **kwargs: Any) -> Any:
        super().set_steering(*args, **kwargs)
        _SHARED.update(vector=self.vector, layer=self.layer)

    def remove_steering(self) -> None:
        _SHARED.clear()

    def generate(self, *args: Any, **kwargs: Any) -> str:
        self.vector, self.layer = _SHARED.get("vector"), _SHARED.get("layer", 0)
        return super().generate(*args, **kwargs)


class _OnTheModel(LLMSteering):
    """Puts its vector on the model with a hook when it is set, as most code on the net does, so that it is in every run."""

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


class _NeverRemoved(LLMSteering):
    def remove_steering(self) -> None:
        pass


class _BlockForgets(LLMSteering):
    def __exit__(self, *exception: object) -> None:
        pass


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


# 5.6 strength_sweep


def _sweeps(rng: random.Random) -> list[Case]:
    cases = []
    for model in _models(rng):
        strengths = [round(rng.uniform(0.2, 1.2) * sign, 2) for sign in (-1, 1, 1)]
        args = (model, text(rng, 6), _layer(rng, model), _random_vectors(rng, model), strengths)
        cases.append(Case(told(model), args))
    return cases


def _count_runs(answer: Any, model: TransformersModel, *args: Any) -> dict[str, Any]:
    """The learner's logits, and how often the model ran for them."""
    runs: list[int] = []
    counter = anatomy(model).norm._module.register_forward_pre_hook(lambda module, inputs: runs.append(1))
    try:
        logits = answer(model, *args)
    finally:
        counter.remove()
    return {"logits": logits, "forward passes": len(runs)}


def _one_by_one(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return torch.stack([steering.steered_logits(model, prompt, layer, strength * direction) for strength in strengths])


def _unit_sweep(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return steering.strength_sweep(model, prompt, layer, direction / direction.norm(), strengths)


def _accumulated(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    return steering.strength_sweep(model, prompt, layer, direction, torch.tensor(strengths).cumsum(0).tolist())


def _last_position_sweep(
    model: Any, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    vectors = torch.tensor(strengths)[:, None] * direction
    return _with_last_position(model, [token_ids(model, prompt)] * len(strengths), layer, vectors)


# 5.7 slerp


def _two_vectors(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))
    return [
        Case(
            f"two vectors of width {width}",
            (torch.randn(width, generator=source), 3 * torch.randn(width, generator=source), rng.choice((0.25, 0.3, 0.6, 0.8))),
        )
        for width in (3, 64)
    ]  # fmt: skip


def _straight(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return (1 - t) * first + t * second


def _straight_at_length(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    line = (1 - t) * first / first.norm() + t * second / second.norm()
    return ((1 - t) * first.norm() + t * second.norm()) * line / line.norm()


def _arc_swapped(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return steering.slerp(second, first, t)


def _unit_arc(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return steering.slerp(first / first.norm(), second / second.norm(), t)


def _arc_of_whole_vectors(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    angle = torch.acos((first @ second / first.norm() / second.norm()).clamp(-1, 1))
    return (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * second) / torch.sin(angle)


# 5.8 remove_direction


def _streams_with_direction(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def case(label: str, *shape: int) -> Case:
        direction = torch.randn(shape[-1], generator=source) * rng.uniform(1.5, 3)
        return Case(label, (torch.randn(*shape, generator=source) * 4 + direction / 2, direction))

    return [case("one vector of width 8", 8), case("a stream of shape (2, 5, 64)", 2, 5, 64)]


def _length_forgotten(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - (residual @ direction)[..., None] * direction


def _length_once(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - (residual @ direction / direction.norm())[..., None] * direction


def _subtracted(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - direction


def _unit_subtracted(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - direction / direction.norm()


def _part_kept(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return residual - steering.remove_direction(residual, direction)


EXERCISES = [
    Exercise(
        id="5.1",
        title="A direction for a concept",
        minutes=10,
        points=2,
        difficulty=1,
        reference=steering.concept_direction,
        shows="What the sentences share cancels, and what remains points from one concept to the other.",
        hints=(
            "model.trace(prompts) takes a list and pads it on the left: parts.layers[layer].output[:, -1] is each prompt's last token.",
            "Save that for each side in a trace of its own, take the mean over the prompts, and subtract negative from positive.",
        ),
        draw=_pairs,
        axes=("width",),
        mistakes=(
            Mistake(
                "sides swapped", _sides_swapped, "The sign is reversed: the direction points from negative to positive."
            ),
            Mistake("input of the layer", _contrast(_read_input), INPUT_NOT_OUTPUT),
            Mistake(
                "mean over positions",
                _contrast(_read_mean),
                "This is the mean over all positions: only the last token has read the whole prompt, so take its residual.",
            ),
            Mistake(
                "first prompt only",
                _contrast(_read_last, lambda rows: rows[0]),
                "This is the difference of the first two prompts only: row 0 is one prompt, the mean is over all rows.",
            ),
            Mistake(
                "sum of prompts",
                _contrast(_read_last, lambda rows: rows.sum(dim=0)),
                "This is the sum over the prompts: the two sides may have different numbers of them, so take the mean.",
            ),
            Mistake(
                "made unit length",
                _unit_direction,
                "This is divided by its length: the difference itself was asked for, whose length means something.",
            ),
        ),
    ),
    Exercise(
        id="5.2",
        title="Add it while the model runs",
        minutes=10,
        points=2,
        difficulty=1,
        reference=steering.steered_logits,
        shows="One vector, added in one place, reaches every layer above it; the weights never changed.",
        hints=(
            "A trace can write as well as read: assign to parts.layers[layer].output inside it.",
            "parts.layers[layer].output = parts.layers[layer].output + vector; then save model.output.logits[0, -1].",
        ),
        draw=_prompts_with_vector,
        axes=("vocabulary",),
        mistakes=(
            Mistake(
                "not written back",
                _not_written_back,
                "These are the model's own logits: nothing was added. A name bound to a sum does not change the run; assign the sum to "
                "the layer's output.",
            ),
            Mistake("added to the input", _added_to_input, INPUT_NOT_OUTPUT),
            Mistake(
                "last position only",
                _added_last,
                "The vector was added at the last position only: it belongs at every one.",
            ),
            Mistake(
                "replaced",
                _replaced,
                "The residual was replaced by the vector, and the prompt with it: add to what is there.",
            ),
        ),
    ),
    Exercise(
        id="5.3",
        title="A measure in place of taste",
        minutes=10,
        points=2,
        difficulty=2,
        reference=steering.log_odds,
        shows="One number says how far the model leans, and 0 is even.",
        hints=(
            "Add the probabilities of each list, and take the logarithm of their quotient.",
            "softmax divides all probabilities by the same number, which cancels: logits[..., ids].logsumexp(dim=-1), one minus the other.",
        ),
        draw=_logits_with_lists,
        axes=("row",),
        mistakes=(
            Mistake("sides swapped", _odds_swapped, "The sign is reversed: positive is above the line."),
            Mistake(
                "mean of logits",
                _mean_logits,
                "This is a difference of mean logits, in which a word that is all but impossible counts as much as a likely one: add "
                "probabilities instead.",
            ),
            Mistake(
                "mean probability",
                _mean_probability,
                "This is the mean probability of a list's words: the probability that any of them comes is their sum.",
            ),
            Mistake("no logarithm", _no_logarithm, "These are the odds: their natural logarithm was asked for."),
            Mistake(
                "difference of probabilities",
                _probability_difference,
                "This is a difference of probabilities, near 0 whenever both are small: take the logarithm of their quotient.",
            ),
        ),
    ),
    Exercise(
        id="5.4",
        title="Write with it",
        minutes=15,
        points=3,
        difficulty=2,
        reference=steering.steered_generate,
        shows="Each new token is one more run of the model, and each of them was steered.",
        hints=(
            "Step 0 of a generation runs the prompt, each later step one token. What you write without a loop happens in step 0 only.",
            "Inside `with model.generate(...) as tracer:` put `with tracer.invoke([ids] * len(vectors)):` and in it "
            "`for _ in tracer.iter[:]:` (iter[:1] for the prompt only). A second `with tracer.invoke():` saves tracer.result.",
        ),
        draw=_prompts_with_vectors,
        axes=("row",),
        mistakes=(
            Mistake(
                "added only at the prompt",
                _only_at_prompt,
                "The vector was added in step 0 only, which runs the prompt: loop over tracer.iter[:] to be in every step.",
            ),
            Mistake("flag ignored", _flag_ignored, "With prompt_only the new tokens must be left alone: iter[:1]."),
            Mistake(
                "added only at new tokens",
                _only_new_tokens,
                "The prompt was not steered: the loop must begin with step 0, which runs it.",
            ),
            Mistake(
                "last position only",
                _only_last_positions,
                "The vector was added at the last position of each step only: step 0 has all the prompt's positions.",
            ),
            Mistake(
                "one vector for all rows",
                _first_vector_for_all,
                "Every row got the first vector: vectors[:, None] gives each row its own, at all positions.",
            ),
            Mistake("prompt in front", _prompt_in_front, "The prompt is still in front: only the new text was asked for."),
        ),
    ),
    Exercise(
        id="5.5",
        title="A steerer that leaves no trace",
        minutes=25,
        points=5,
        difficulty=3,
        reference=LLMSteering,
        drive=_use_steerers,
        shows="Two steerers share a model and never meet, and nothing of them is left on it.",
        hints=(
            "Keep the vector and the layer in self. Nothing has to be put on the model before generate runs.",
            "generate can call steered_generate with self.vector[None]; a vector of zeros gives the model's own text. "
            "force_clear_all_hooks goes over model._module.modules() and empties _forward_hooks and _forward_pre_hooks.",
        ),
        draw=_steerers,
        mistakes=(
            Mistake(
                "one vector for all steerers",
                _OneForAll,
                "The steerers share one vector: keep it in self, set in __init__, and not in the class.",
            ),
            Mistake(
                "vector on the model",
                _OnTheModel,
                "A steerer put its vector on the model when it was set, so it is in the other one's text too: add it only while "
                "generate runs.",
            ),
            Mistake(
                "never removed", _NeverRemoved, "After remove_steering the text is still steered: forget the vector there."
            ),
            Mistake("block does not remove", _BlockForgets, "__exit__ must remove the steering."),
            Mistake(
                "strengths add up",
                _AddsUp,
                "Setting again added to what was there: set_steering replaces it.",
            ),
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
            Mistake("prompt missing", _NewTextOnly, "generate gives the prompt and the new text, not the new text alone."),
        ),
    ),
    Exercise(
        id="5.6",
        title="All strengths in one run",
        minutes=10,
        points=2,
        difficulty=2,
        reference=steering.strength_sweep,
        drive=_count_runs,
        shows="The rows of a batch do not see each other, so each can be an experiment of its own.",
        hints=(
            "Run the prompt as many times as there are strengths, in one batch: model.trace([ids] * n).",
            "strengths[:, None] * direction is (strength, width). With a middle axis it is added to each row at all positions.",
        ),
        draw=_sweeps,
        axes=("strength", "vocabulary"),
        mistakes=(
            Mistake(
                "one run for each strength",
                _one_by_one,
                "The logits are right, but the model ran once for each strength: put the prompt into one batch that many times.",
            ),
            Mistake(
                "last position only",
                _last_position_sweep,
                "The vector was added at the last position only: it belongs at every one.",
            ),
            Mistake(
                "made unit length",
                _unit_sweep,
                "The direction was divided by its length: row i adds strengths[i] times the direction as given.",
            ),
            Mistake(
                "strengths add up",
                _accumulated,
                "Each row has the strengths before it in it too: begin each from the same unsteered residual.",
            ),
        ),
    ),
    Exercise(
        id="5.7",
        title="Along the arc",
        minutes=15,
        points=3,
        difficulty=2,
        reference=steering.slerp,
        shows="On the arc neither the length nor the pace depends on how far apart the two are.",
        hints=(
            "Make both unit length; the angle between them is acos of their dot product.",
            "(sin((1 - t) * angle) * a + sin(t * angle) * b) / sin(angle), times the length (1 - t) * |first| + t * |second|.",
        ),
        draw=_two_vectors,
        axes=("width",),
        mistakes=(
            Mistake(
                "straight line",
                _straight,
                "This is the straight line between them, which cuts the corner: in the middle it is too short.",
            ),
            Mistake(
                "straight line, stretched",
                _straight_at_length,
                "The length is right, but this is the straight line stretched: the angle does not grow evenly. The weights are sines.",
            ),
            Mistake("ends swapped", _arc_swapped, "t = 0 must give the first vector, t = 1 the second."),
            Mistake(
                "unit length", _unit_arc, "The direction is right and the length is 1: give it its length back, between the two lengths."
            ),
            Mistake(
                "arc of the whole vectors",
                _arc_of_whole_vectors,
                "The sines weigh the vectors with their lengths, so the longer one pulls the direction: make them unit length first.",
            ),
        ),
    ),
    Exercise(
        id="5.8",
        title="Take a direction away",
        minutes=10,
        points=2,
        difficulty=1,
        reference=steering.remove_direction,
        shows="What is left is orthogonal to the direction: whatever was said along it can no longer be read.",
        hints=(
            "How much of the direction is in a vector? Its dot product with the direction at unit length.",
            "unit = direction / direction.norm(); residual - (residual @ unit)[..., None] * unit.",
        ),
        draw=_streams_with_direction,
        axes=("batch", "position", "width"),
        mistakes=(
            Mistake(
                "length forgotten",
                _length_forgotten,
                "The direction is not of unit length, so this removes its squared length too often: divide by its norm first.",
            ),
            Mistake(
                "length divided once",
                _length_once,
                "The direction occurs twice, in the dot product and in what is subtracted: both need it at unit length.",
            ),
            Mistake(
                "direction subtracted",
                _subtracted,
                "This subtracts the direction itself, the same everywhere: remove from each vector as much as it has of it.",
            ),
            Mistake(
                "unit direction subtracted",
                _unit_subtracted,
                "This subtracts the unit direction, the same everywhere: remove from each vector as much as it has of it.",
            ),
            Mistake("the other part", _part_kept, "This is the part along the direction: what is left without it was asked for."),
        ),
    ),
]  # fmt: skip
