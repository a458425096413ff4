"""Steering: a direction for a concept, found by contrast, added to the residual stream while the model runs.

Run the model on prompts that have a property and on prompts that have its opposite, and subtract: what is left is a
vector. Add it at one layer, at every token, and the model writes as if the property were there. The weights stay as
they are.

The method is activation addition (Turner et al. 2023, arXiv:2308.10248) with the mean over several prompts as in
contrastive activation addition (Rimsky et al. 2024, arXiv:2312.06681). Removing a direction instead of adding it is
directional ablation (Arditi et al. 2024, arXiv:2406.11717).

"At layer l" always means what layer l puts out, ``parts.layers[l].output``: depth l + 1 of the residual stream. Layers
count from 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import nnsight
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.guard import guard
from course_utils.model.prompts import as_texts, token_id, token_ids
from course_utils.model.whole_numbers import place

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "BAD_WORDS",
    "GLAD",
    "GOOD_WORDS",
    "POLITE",
    "RUDE",
    "SAD",
    "LLMSteering",
    "Sweep",
    "concept_direction",
    "concept_directions",
    "contrast_directions",
    "log_odds",
    "not_glad_direction",
    "odds_shift",
    "remove_direction",
    "removed_log_odds",
    "slerp",
    "steered_generate",
    "steered_logits",
    "steered_residuals",
    "steering_sweep",
    "stream_norms",
    "strength_sweep",
    "word_ids",
]

Prompts = str | Sequence[str]
"""One prompt, or several that stand for the same thing."""


# The sentences and words of the lesson.

GLAD = (
    "I am so happy today",
    "What a wonderful surprise, I love it",
    "This is the best day of my life",
    "We laughed and danced with joy",
    "I feel great and full of hope",
)
SAD = (
    "I am so sad today",
    "What a terrible loss, I hate it",
    "This is the worst day of my life",
    "We cried and mourned in pain",
    "I feel awful and without hope",
)
POLITE = (
    "Could you please help me, if you have a moment?",
    "Thank you so much for your kind answer.",
    "I would be very grateful for your advice.",
    "Please excuse me, I am sorry to trouble you.",
    "It was a pleasure to meet you, dear friend.",
)
RUDE = (
    "Help me now, you idiot.",
    "Shut up, nobody asked you.",
    "Your advice is stupid and useless.",
    "Get out of my way, you fool.",
    "I hate you, you disgusting liar.",
)
GOOD_WORDS = (
    " good",
    " great",
    " wonderful",
    " amazing",
    " excellent",
    " fantastic",
    " brilliant",
    " beautiful",
    " delightful",
    " fun",
)
BAD_WORDS = (
    " bad",
    " terrible",
    " awful",
    " horrible",
    " boring",
    " sad",
    " disappointing",
    " poor",
    " dull",
    " painful",
)


# What the functions are given.


def checked_layer(model: TransformersModel, layer: int) -> int:
    """The layer, if the model has it.

    Raises:
        ValueError: it does not.
    """
    return place(layer, anatomy(model).n_layers, "layer")


def checked_vectors(model: TransformersModel, vectors: torch.Tensor, *axes: str) -> torch.Tensor:
    """The tensor, if it has these axes and then the model's width.

    Raises:
        ValueError: it is no tensor, of another shape, or not finite.
    """
    width = anatomy(model).width
    shape = ", ".join([*axes, f"width {width}"])
    if not isinstance(vectors, torch.Tensor):
        raise ValueError(f"A tensor ({shape}) was expected, not a {type(vectors).__name__}.")
    if vectors.ndim != len(axes) + 1 or vectors.shape[-1] != width or not vectors.numel():
        raise ValueError(f"The steering vector has shape {tuple(vectors.shape)}; expected ({shape}).")
    if not vectors.isfinite().all():
        raise ValueError("The steering vector holds NaN or infinity: look at what it was made from.")
    return vectors


def prompt_rows(model: TransformersModel, prompts: Prompts) -> list[list[int]]:
    """The token ids of each of one or more prompts: ``model.trace(rows)`` runs them as one batch, padded on the left.

    Raises:
        ValueError: there is no prompt, or one is empty or longer than the model's window.
    """
    return [token_ids(model, text) for text in as_texts(prompts)]


def word_ids(model: TransformersModel, words: Sequence[str]) -> list[int]:
    """The id of each word; give them as they stand in a text, with the space in front: ``[" good", " great"]``.

    Raises:
        ValueError: there are none, one is given twice, or one is not a single token. The message shows the pieces.
    """
    ids = [token_id(model, word) for word in as_texts(words)]
    if len(set(ids)) < len(ids):
        raise ValueError(f"A list of different words was expected, not {list(words)!r}.")
    return ids


# A direction.


def concept_direction(model: TransformersModel, positive: Prompts, negative: Prompts, layer: int) -> torch.Tensor:
    """The direction from one set of prompts to another: the difference of their mean last-token residuals.

    positive, negative: a prompt or a list of prompts. layer: the residual is what this layer puts out.
    Returns a tensor (width,). It points towards ``positive``.
    """
    output = anatomy(model).layers[checked_layer(model, layer)]
    means = []
    for prompts in (positive, negative):
        with model.trace(prompt_rows(model, prompts)):
            # The batch is padded on the left, so the last position is each prompt's last token.
            last = output.output[:, -1].save()  # (prompt, width)
        means.append(last.mean(dim=0))
    return means[0] - means[1]


def concept_directions(model: TransformersModel, positive: Prompts, negative: Prompts) -> torch.Tensor:
    """:func:`concept_direction` at every layer, from one trace for each side. Returns a tensor (layer, width)."""
    layers = anatomy(model).layers
    means = []
    for prompts in (positive, negative):
        with model.trace(prompt_rows(model, prompts)):
            last = nnsight.save(torch.stack([layer.output[:, -1] for layer in layers]))  # (layer, prompt, width)
        means.append(last.mean(dim=1))
    return means[0] - means[1]


def contrast_directions(
    model: TransformersModel, contrasts: Sequence[tuple[str, str]], frames: Sequence[str], batch_size: int = 100
) -> torch.Tensor:
    """A direction for each of many pairs of words: :func:`concept_directions` of frames filled with either word.

    What such directions do is what a direction made in this way does *whatever it means*: a control for one's own.

    Args:
        contrasts: pairs of words, (positive, negative).
        frames: sentences with one ``{}``, which stands for the word.

    Returns:
        (contrast, layer, width).

    Raises:
        ValueError: there is no contrast or no frame, or a contrast is not two words.
    """
    layers = anatomy(model).layers
    frames = as_texts(frames)
    pairs = [as_texts(pair) for pair in contrasts] if isinstance(contrasts, Sequence) else []
    if not pairs or {len(pair) for pair in pairs} != {2}:
        raise ValueError("Pairs of words were expected, such as [(' warm', ' cold')]: a positive and a negative one.")
    rows = prompt_rows(model, [frame.format(word) for pair in pairs for word in pair for frame in frames])
    found = []
    for start in range(0, len(rows), batch_size):
        with model.trace(rows[start : start + batch_size], use_cache=False) as tracer:
            last = nnsight.save(torch.stack([layer.output[:, -1] for layer in layers], dim=1))
            tracer.stop()  # nobody asks for the logits
        found.append(last)  # (prompt, layer, width)
    sides = torch.cat(found).unflatten(0, (len(contrasts), 2, len(frames)))  # (contrast, side, frame, layer, width)
    means = sides.mean(dim=2)
    return means[:, 0] - means[:, 1]


def stream_norms(model: TransformersModel, prompts: Prompts) -> torch.Tensor:
    """How long the residual vectors are: their Euclidean norm at what each layer puts out, (layer, token).

    The tokens of all prompts one after the other, without each prompt's first: many models park a huge vector
    there, which other tokens attend to when they look for nothing (Xiao et al. 2023, "attention sinks",
    arXiv:2309.17453).

    Raises:
        ValueError: no prompt has a second token.
    """
    layers = anatomy(model).layers
    norms = []
    for row in prompt_rows(model, prompts):
        with model.trace([row]):
            stream = nnsight.save(
                torch.stack([layer.output[0, 1:] for layer in layers])
            )  # (layer, position - 1, width)
        norms.append(stream.float().norm(dim=-1))
    found = torch.cat(norms, dim=1)
    if not found.shape[1]:
        raise ValueError("Each prompt has one token only, and the first is left out: give longer ones.")
    return found


# Adding it.


def steered_logits(model: TransformersModel, prompt: str, layer: int, vector: torch.Tensor) -> torch.Tensor:
    """The next-token logits after a prompt, with a vector (width,) added to what a layer puts out, at every position.

    Returns a tensor (vocabulary,).
    """
    checked_vectors(model, vector)
    steered = anatomy(model).layers[checked_layer(model, layer)]
    with model.trace([token_ids(model, prompt)]):
        steered.output = steered.output + vector.to(steered.output)  # (batch, position, width)
        logits = model.output.logits[0, -1].save()
    return logits


def log_odds(logits: torch.Tensor, positive: Sequence[int], negative: Sequence[int]) -> torch.Tensor:
    """How much more probable one set of tokens is than another: log(P(any of positive) / P(any of negative)).

    Takes logits (..., vocabulary) and two lists of token ids; returns natural logarithms, shape (...). 0 is even.
    """
    if not len(positive) or not len(negative):
        raise ValueError("Each side needs at least one token id: word_ids(model, [...]) gives them.")
    return logits[..., list(positive)].logsumexp(dim=-1) - logits[..., list(negative)].logsumexp(dim=-1)


def odds_shift(
    model: TransformersModel,
    prompt: str,
    layer: int,
    vectors: torch.Tensor,
    positive: Sequence[int],
    negative: Sequence[int],
) -> torch.Tensor:
    """How far each of many vectors, added at a layer, moves the log-odds of two word lists after a prompt.

    vectors: (row, width), each added at every position. Returns a tensor (row,): steered minus untouched.
    """
    last = steered_residuals(model, prompt, vectors[None], [layer])[:, -1]
    odds = log_odds(anatomy(model).unembed(last).float(), positive, negative)
    return odds[1:] - odds[0]


def strength_sweep(
    model: TransformersModel, prompt: str, layer: int, direction: torch.Tensor, strengths: Sequence[float]
) -> torch.Tensor:
    """The next-token logits at each strength, all in one run: the batch holds the prompt once for each strength.

    To every position of row i strengths[i] * direction (width,) is added, at what the layer puts out.
    Returns a tensor (strength, vocabulary).
    """
    checked_vectors(model, direction)
    steered = anatomy(model).layers[checked_layer(model, layer)]
    vectors = torch.tensor(strengths, device=direction.device)[:, None] * direction
    checked_vectors(model, vectors, "strength")
    with model.trace([token_ids(model, prompt)] * len(strengths)):
        # The middle axis of length 1 is stretched over the positions.
        steered.output = steered.output + vectors[:, None].to(steered.output)
        logits = model.output.logits[:, -1].save()
    return logits


# Writing with it.


def steered_generate(
    model: TransformersModel,
    prompt: str,
    layer: int,
    vectors: torch.Tensor,
    max_new_tokens: int = 20,
    prompt_only: bool = False,
    **kwargs: Any,
) -> list[str]:
    """Continue a prompt once for each row of vectors (row, width), which is added to what a layer puts out.

    Added at every position of the prompt and to every new token; with ``prompt_only`` not to the new ones. Greedy
    unless ``kwargs``, which go to transformers' ``generate``, say otherwise. Returns the new texts, without the prompt.
    """
    checked_vectors(model, vectors, "row")
    steered = anatomy(model).layers[checked_layer(model, layer)]
    ids = token_ids(model, prompt)
    with warnings.catch_warnings():
        # The loop is open, for a text may end early. nnsight says so each time.
        warnings.filterwarnings("ignore", message=".*was never reached")
        with model.generate(max_new_tokens=max_new_tokens, **{"do_sample": False, **kwargs}) as tracer:
            with tracer.invoke([ids] * len(vectors)):
                # Step 0 runs the whole prompt, each later step one new token.
                for _ in tracer.iter[:1] if prompt_only else tracer.iter[:]:
                    steered.output = steered.output + vectors[:, None].to(steered.output)
            with tracer.invoke():
                written = tracer.result.save()  # (row, position)
    return model.tokenizer.batch_decode(written[:, len(ids) :], skip_special_tokens=True)


class LLMSteering:
    """A model that writes with a concept added: glad against sad, polite against rude.

    The vector is kept here, not on the model: it is put in while :meth:`generate` runs, and only then. So several
    steerers can share one model, and an error in the middle of a text leaves nothing behind. As a context manager
    it forgets its steering at the end of the block.
    """

    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        """Steer a model from ``load_model()``; a plain transformers model works too, given its tokenizer."""
        self.model = traceable(model, tokenizer)
        self.layer = 0
        self.vector: torch.Tensor | None = None  # (width,), its strength included; None while nothing is set

    def set_steering(
        self, positive_prompt: Prompts, negative_prompt: Prompts, layer: int, strength: float = 1.0
    ) -> Self:
        """From now on, add strength times the direction from negative to positive at this layer. Returns self.

        Each side is a prompt or a list of prompts. What was set before is replaced. A negative strength goes the other
        way.
        """
        if not math.isfinite(strength):
            raise ValueError(f"strength is {strength}; a finite number was expected.")
        self.vector = strength * concept_direction(self.model, positive_prompt, negative_prompt, layer)
        self.layer = layer
        return self

    def remove_steering(self) -> None:
        """Forget the steering: generate gives the model's own text again."""
        self.vector = None

    def force_clear_all_hooks(self) -> int:
        """Remove the steering, and every hook that anyone's code left on the model. Returns how many there were."""
        self.remove_steering()
        return clear_hooks(self.model)

    def generate(self, prompt: str, max_new_tokens: int = 50, **kwargs: Any) -> str:
        """The prompt and what the steered model writes after it. ``kwargs`` go to transformers' ``generate``.

        With no steering set it warns, and the text is the model's own.
        """
        vector = self.vector
        if vector is None:
            warnings.warn("No steering is set, so this is the model's own text: call set_steering first.", stacklevel=2)
            vector = torch.zeros(anatomy(self.model).width)
        return prompt + steered_generate(self.model, prompt, self.layer, vector[None], max_new_tokens, **kwargs)[0]

    def __enter__(self) -> Self:
        """The steerer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the steering; an exception in the block goes on its way."""
        self.remove_steering()


def traceable(model: Any, tokenizer: Any = None) -> TransformersModel:
    """The model as nnsight traces it: itself, or a wrapper around a transformers model and its tokenizer.

    Raises:
        ValueError: it is a transformers model, and its tokenizer was not given; or it is no language model at all.
    """
    module = getattr(model, "_module", model)
    if isinstance(model, nnsight.TransformersModel) and tokenizer in (None, model.tokenizer):
        return model
    if not isinstance(module, torch.nn.Module) or not hasattr(module, "generate"):
        raise ValueError(
            "A model from load_model() was expected, or a transformers model with its tokenizer, not "
            f"{type(model).__name__}."
        )
    if tokenizer is None:
        raise ValueError(
            "A transformers model does not know its tokenizer: give it too, LLMSteering(model, tokenizer)."
        )
    guard(module)
    # Without the device, the pipeline inside moves the model to what it thinks best.
    return nnsight.TransformersModel(module, task="text-generation", tokenizer=tokenizer, device=module.device)


def clear_hooks(model: TransformersModel) -> int:
    """Remove all forward and backward hooks from a model's modules but transformers' own. Returns their number."""
    removed = 0
    for part in model._module.modules():
        for hooks in (part._forward_pre_hooks, part._forward_hooks, part._backward_pre_hooks, part._backward_hooks):
            # transformers keeps hooks of its own to collect hidden states, and counts on finding them again.
            foreign = [key for key, hook in hooks.items() if not (hook.__module__ or "").startswith("transformers.")]
            for key in foreign:
                del hooks[key]
            removed += len(foreign)
    return removed


# How strong, and where: measured.


def steered_residuals(
    model: TransformersModel, prompt: str, vectors: torch.Tensor, layers: Sequence[int] | None = None
) -> torch.Tensor:
    """The last residual of a prompt under many steering vectors, from one forward pass whose batch grows.

    A run that is steered at layer 20 is the unsteered run up to there. So one row starts alone, and at each layer
    copies of it join the batch, each with its vector added.

    vectors: (layer, strength, width), each added at every position. layers: which layer each entry of the first axis is
    for, in ascending order; all layers unless given.
    Returns a tensor (1 + layer * strength, position, width): the unsteered run, then the steered ones, before the final
    norm.

    Raises:
        ValueError: the vectors have another shape, or there is not one for each of the layers.
    """
    parts = anatomy(model)
    chosen = list(range(parts.n_layers)) if layers is None else [checked_layer(model, layer) for layer in layers]
    checked_vectors(model, vectors, "layer", "strength")
    if len(vectors) != len(chosen) or chosen != sorted(set(chosen)):
        raise ValueError(
            f"vectors are for {len(vectors)} layers, and layers is {chosen}: give one entry for each, layers ascending."
        )
    added = dict(zip(chosen, vectors[:, :, None], strict=True))  # each (strength, 1, width)
    with model.trace([token_ids(model, prompt)], use_cache=False) as tracer:
        for layer in range(parts.n_layers):
            if layer in added:
                stream = parts.layers[layer].output
                parts.layers[layer].output = torch.cat([stream, stream[:1] + added[layer].to(stream)])
        last = parts.layers[parts.n_layers - 1].output.save()
        tracer.stop()  # what the unembedding is asked for is decided outside
    return last


@dataclass(frozen=True)
class Sweep:
    """What steering did at each layer and strength, and the same for the untouched model.

    log_odds: (layer, strength), the mean over prompts. perplexity: (layer, strength), of ordinary text.
    plain_log_odds, plain_perplexity: of the untouched model. layers: which layer each row is.
    """

    log_odds: torch.Tensor
    perplexity: torch.Tensor
    plain_log_odds: float
    plain_perplexity: float
    layers: tuple[int, ...]

    @property
    def shift(self) -> torch.Tensor:
        """How far the log-odds moved from the untouched model's (layer, strength)."""
        return self.log_odds - self.plain_log_odds

    @property
    def damage(self) -> torch.Tensor:
        """By which factor the perplexity of ordinary text rose (layer, strength); 1 is no harm."""
        return self.perplexity / self.plain_perplexity

    def best(self, limit: float = 1.5) -> tuple[int, int]:
        """(row, column) of the greatest shift among the settings whose damage is at most ``limit``.

        Raises:
            ValueError: every setting does more damage than that.
        """
        allowed = self.damage <= limit
        if not allowed.any():
            raise ValueError(
                f"No setting keeps the damage under {limit}; the least is {float(self.damage.min()):.2f}. "
                "Try smaller strengths."
            )
        place = int(self.shift.masked_fill(~allowed, -math.inf).argmax())
        return divmod(place, self.shift.shape[1])


def steering_sweep(
    model: TransformersModel,
    vectors: torch.Tensor,
    prompts: Prompts,
    positive: Sequence[int],
    negative: Sequence[int],
    texts: Prompts,
    layers: Sequence[int] | None = None,
) -> Sweep:
    """What many steering vectors do to the log-odds of two word lists, and to the perplexity of ordinary text.

    Each prompt and each text is one forward pass for all layers and strengths (:func:`steered_residuals`).

    vectors: (layer, strength, width). prompts: the log-odds of the ids ``positive`` against ``negative`` to come next
    are averaged over them. texts: ordinary text that has nothing to do with the concept. layers: as in
    :func:`steered_residuals`.

    Raises:
        ValueError: no text has a second token.
    """
    parts = anatomy(model)
    odds, total, count = [], torch.zeros(()), 0
    for prompt in as_texts(prompts):
        last = steered_residuals(model, prompt, vectors, layers)[:, -1]
        odds.append(log_odds(parts.unembed(last).float(), positive, negative).cpu())
    for text in as_texts(texts):
        ids = torch.tensor(token_ids(model, text))
        stream = steered_residuals(model, text, vectors, layers)
        # All logits at once would be rows * positions * vocabulary numbers: a few rows at a time.
        total = total + torch.cat([_nats(parts.unembed(some[:, :-1]), ids[1:]) for some in stream.split(8)])
        count += len(ids) - 1
    if not count:
        raise ValueError(
            "Perplexity needs a text of at least two tokens: the first is given, the others are predicted."
        )
    mean_odds, perplexity = torch.stack(odds).mean(dim=0), (total / count).exp()
    shape = vectors.shape[:2]
    return Sweep(
        mean_odds[1:].reshape(shape),
        perplexity[1:].reshape(shape),
        float(mean_odds[0]),
        float(perplexity[0]),
        tuple(range(parts.n_layers) if layers is None else layers),
    )


def _nats(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The surprisal of ids (position,) under logits (row, position, vocabulary), in nats, summed to (row,)."""
    log_p = logits.float().log_softmax(dim=-1).cpu()
    return -log_p.gather(2, ids.expand(len(log_p), -1)[..., None]).sum(dim=(1, 2))


# Directions together, and without.


def slerp(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    """From one vector (width,) to another along the arc between them: spherical linear interpolation (Shoemake 1985).

    t = 0 gives ``first``, t = 1 ``second``. In between the angle grows evenly, and the length goes evenly from one's to
    the other's. Raises ValueError for opposite vectors, between which there is no one arc, and for a vector of zeros.
    """
    dtype = first.dtype
    if dtype in (torch.float16, torch.bfloat16):  # an angle near pi is beyond their digits
        first, second = first.float(), second.float()
    lengths = first.norm(), second.norm()
    if not lengths[0] * lengths[1]:
        raise ValueError("A vector of zeros has no direction to interpolate.")
    a, b = first / lengths[0], second / lengths[1]
    angle = torch.acos((a @ b).clamp(-1, 1))
    if angle > math.pi - 1e-3:
        raise ValueError("The vectors are opposite: every way around is as short as any other, so there is no one arc.")
    if angle < 1e-3:  # the arc is a straight line, and the formula 0 / 0
        between = (1 - t) * a + t * b
    else:
        between = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return (((1 - t) * lengths[0] + t * lengths[1]) * between).to(dtype)


def remove_direction(residual: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """A residual (..., width) without its part along a direction (width,): what is left is orthogonal to it.

    The direction's length does not matter. This is directional ablation (Arditi et al. 2024).
    """
    if not direction.any():
        raise ValueError("The direction is all zeros: there is nothing to remove.")
    unit = direction / direction.norm()
    return residual - (residual @ unit)[..., None] * unit


def not_glad_direction(model: TransformersModel, layer: int) -> torch.Tensor:
    """A direction (width,) at a layer's output that has nothing to do with gladness and moves the log-odds as much.

    Its cosine with the glad direction, this layer's or any other's, is below 0.5. Its length does not matter: it is
    made as long as the glad one.
    """
    return concept_direction(model, POLITE, RUDE, layer)


def removed_log_odds(
    model: TransformersModel, prompt: str, directions: torch.Tensor, positive: Sequence[int], negative: Sequence[int]
) -> torch.Tensor:
    """The log-odds after a prompt without each of many directions, removed from what every layer puts out.

    directions: (row, layer, width). Where one is all zeros nothing is removed, so that single layers can be asked for.
    Returns a tensor (1 + row,): entry 0 is the untouched model.
    """
    parts = anatomy(model)
    checked_vectors(model, directions, "row", "layer")
    if directions.shape[1] != parts.n_layers:
        raise ValueError(f"directions are for {directions.shape[1]} layers; this model has {parts.n_layers}.")
    units = torch.nn.functional.normalize(directions, dim=-1)
    units = torch.cat([torch.zeros_like(units[:1]), units])  # row 0 stays as it is
    with model.trace([token_ids(model, prompt)] * len(units)):
        for layer, block in enumerate(parts.layers):
            stream, unit = block.output, units[:, layer, None]  # (row, position, width), (row, 1, width)
            block.output = stream - (stream * unit.to(stream)).sum(dim=-1, keepdim=True) * unit.to(stream)
        logits = model.output.logits[:, -1].save()
    return log_odds(logits.float(), positive, negative)
