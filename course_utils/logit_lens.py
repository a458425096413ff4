"""The logit lens: what each depth of the model would say, if it had to speak now.

The final norm and the unembedding turn the last layer's residual into logits. The same two steps can be applied to the
residual at any depth (nostalgebraist 2020, "interpreting GPT: the logit lens"). Since the stream is a sum, the last
logits can also be split into what each attention and each MLP contributed (direct logit attribution: Elhage et al.
2021, "A Mathematical Framework for Transformer Circuits"). And since an early residual need not be written in the last
layer's basis, a linear map for each depth, fitted on ordinary text, reads more out of it (Belrose et al. 2023,
"Eliciting Latent Predictions from Transformers with the Tuned Lens").

Depths count as in lesson 2: depth 0 is the start of the stream (the embedding), depth l + 1 is what layer l puts out.
So there is one more depth than there are layers, and the last depth says what the model says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nnsight
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.frozen_norm import FrozenNorm, frozen_norm
from course_utils.model.prompts import token_id, token_ids
from course_utils.residual import residual_stream, stream_parts

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "LANDMARKS",
    "FrozenNorm",
    "TunedLens",
    "ablate_parts",
    "counterexample",
    "english",
    "fit_translator",
    "fit_tuned_lens",
    "follow_token",
    "frozen_norm",
    "kl_from_last",
    "lens_chunks",
    "lens_table",
    "logit_attribution",
    "logit_lens",
    "normed_stream",
    "positions_at_once",
    "settled_depth",
]

MEMORY_MB = 512.0


# The lens.


def logit_lens(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> list[dict[str, Any]]:
    """The most probable next tokens after a prompt, according to each depth of the model.

    Returns a list with one entry for the embedding and one for each layer, in order:
    {"top_tokens": list of top_k texts, "top_token_logits": float array (top_k,)}, most probable first.
    normalize=False leaves the final norm out.
    """
    parts = anatomy(model)
    if not 1 <= top_k <= parts.vocabulary:
        raise ValueError(f"top_k is {top_k}; it must be from 1 to the size of the vocabulary, {parts.vocabulary}.")
    with model.trace([token_ids(model, prompt)]):
        depths = [parts.layers[0].input[0, -1]]  # (width,): the batch's only row, the last position
        for layer in parts.layers:
            depths.append(layer.output[0, -1])
        stream = nnsight.save(torch.stack(depths))  # (depth, width)
    if normalize:
        stream = parts.normalise(stream)
    values, ids = parts.logits(stream).float().cpu().topk(top_k)
    return [
        {"top_tokens": [model.tokenizer.decode([i]) for i in row.tolist()], "top_token_logits": scores.numpy()}
        for row, scores in zip(ids, values, strict=True)
    ]


def positions_at_once(model: TransformersModel, memory_mb: float = MEMORY_MB) -> int:
    """For how many positions the lens can be held in memory at every depth, one at least.

    A position costs (layers + 1) * vocabulary numbers of 4 bytes, three times: the logits, their log-softmax, and one
    array of the same size that is made of it.

    Raises:
        ValueError: ``memory_mb`` is not above 0.
    """
    if not memory_mb > 0:
        raise ValueError(f"memory_mb is {memory_mb}; it must be above 0.")
    parts = anatomy(model)
    return max(1, int(memory_mb * 1e6) // (3 * 4 * (parts.n_layers + 1) * parts.vocabulary))


def lens_chunks(model: TransformersModel, normed: torch.Tensor, memory_mb: float = MEMORY_MB) -> Iterator[torch.Tensor]:
    """The lens's log-probabilities for an already normalised stream, a few positions at a time.

    Each chunk is one matrix product over all depths and as many positions as fit into ``memory_mb``.

    Args:
        normed: (depth, position, width), the stream after the final norm.

    Yields:
        Natural logarithms of probabilities, (depth, positions of this chunk, vocabulary), in float32.

    Raises:
        ValueError: ``normed`` has another shape.
    """
    parts = anatomy(model)
    if normed.ndim != 3 or normed.shape[-1] != parts.width:
        raise ValueError(f"The stream has shape {tuple(normed.shape)}; expected (depth, position, {parts.width}).")
    for piece in normed.split(positions_at_once(model, memory_mb), dim=1):
        yield parts.logits(piece).float().log_softmax(dim=-1)


def lens_table(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    """What every depth predicts after every position of a prompt, from one trace.

    Returns three tensors (depth, position): "top_ids", the id of the most probable next token; "probability", its
    probability; "entropy", that of the whole distribution, in nats (0: certain, ln(vocabulary): no idea).
    """
    normed = anatomy(model).normalise(residual_stream(model, prompt))  # (depth, position, width)
    rows = []
    for log_probs in lens_chunks(model, normed):  # all depths, as many positions as memory allows
        top, ids = log_probs.max(dim=-1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
        rows.append((ids, top.exp(), entropy))
    columns = (torch.cat(column, dim=1) for column in zip(*rows, strict=True))
    return dict(zip(("top_ids", "probability", "entropy"), columns, strict=True))


# How an answer forms.


def follow_token(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    """How one token stands as the next after a prompt, at each depth.

    The token is one token, with its space: " Paris". Returns two tensors (depth,): "rank", 1 for the most
    probable token of the vocabulary, 2 for the next; "probability".
    """
    wanted = token_id(model, token)
    logits = anatomy(model).unembed(residual_stream(model, prompt)[:, -1])  # (depth, vocabulary)
    ahead = logits > logits[:, [wanted]]
    return {"rank": ahead.sum(dim=-1) + 1, "probability": logits.float().softmax(dim=-1)[:, wanted]}


def kl_from_last(log_probs: torch.Tensor) -> torch.Tensor:
    """How far each depth's prediction is from the last depth's: KL(last || this depth), in nats.

    Takes natural logarithms of probabilities (depth, position, vocabulary); returns (depth, position).
    """
    last = log_probs[-1]  # (position, vocabulary)
    return (last.exp() * (last - log_probs)).sum(dim=-1)


def settled_depth(top_ids: torch.Tensor) -> torch.Tensor:
    """From which depth on the top token is the last depth's, without changing again.

    Takes the ids of the top tokens (depth, position); returns depths (position,), whole numbers.
    """
    agrees = top_ids == top_ids[-1]  # (depth, position)
    unbroken = agrees.flip(0).long().cumprod(dim=0)  # from the last depth down: 1 until the first that differs
    return len(top_ids) - unbroken.sum(dim=0)


# Who wrote the answer.


def logit_attribution(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    """What each part of the stream gives to logit(token) - logit(against) at the last position, the norm frozen.

    Returns a tensor (2 * layers + 2,): entry 0 is the start of the stream, entry 2 * l + 1 layer l's attention,
    entry 2 * l + 2 its MLP; the last entry is what the biases of norm and unembedding give. The sum is the logit
    difference (for Gemma 2: before its logit cap).
    """
    parts = anatomy(model)
    written = stream_parts(model, prompt)[:, -1]  # (part, width)
    frozen = frozen_norm(model, written.sum(dim=0))
    plus, minus = token_id(model, token), token_id(model, against)
    direction = parts.unembedding.weight[plus] - parts.unembedding.weight[minus]  # (width,)
    constant = frozen.bias @ direction
    if parts.unembedding.bias is not None:
        constant = constant + parts.unembedding.bias[plus] - parts.unembedding.bias[minus]
    return torch.cat([frozen(written) @ direction, constant[None]]) * parts.logit_scale


def ablate_parts(model: TransformersModel, prompt: str, silent: Sequence[int] | None = None) -> torch.Tensor:
    """The next-token logits after a prompt, with single attentions and MLPs silent at the last position.

    The runs are the rows of one batch. In each, one part of :func:`~course_utils.residual.stream_parts` writes zeros at
    the last position, and all later parts read what is left.

    Args:
        silent: which parts, one for each row: 2 * l + 1 is layer l's attention, 2 * l + 2 its MLP. All of them in order
            unless given.

    Returns:
        (1 + len(silent), vocabulary): row 0 is the model as it is.

    Raises:
        ValueError: there is no such part, or it is the start of the stream.
    """
    parts = anatomy(model)
    last = 2 * parts.n_layers
    chosen = list(range(1, last + 1)) if silent is None else list(silent)
    if not all(1 <= place <= last for place in chosen):
        raise ValueError(f"The parts {chosen} were to be silent; an attention or an MLP is a number from 1 to {last}.")
    writers = [sources for pair in zip(parts.attention_sources, parts.mlp_sources, strict=True) for sources in pair]
    rows = {place: [row for row, other in enumerate(chosen, start=1) if other == place] for place in set(chosen)}
    with model.trace([token_ids(model, prompt)] * (1 + len(chosen))):
        for place in sorted(rows):  # a trace meets the modules in forward order
            for writer, _ in writers[place - 1]:
                output = writer.output
                written = output[0] if isinstance(output, tuple) else output
                if written.ndim == 2:  # OPT lays its rows one after another
                    written = written.unflatten(0, (1 + len(chosen), -1))
                written[rows[place], -1] = 0.0
        logits = model.output.logits[:, -1].save()
    return logits


LANDMARKS = (
    "The Eiffel Tower",
    "The Kremlin",
    "The Prado",
    "The Parthenon",
    "The Golden Gate Bridge",
    "The Acropolis",
    "The Vatican",
    "The Sagrada Familia",
    "The Brandenburg Gate",
    "The Colosseum",
)
"""Sights whose city this model may know."""


def counterexample(model: TransformersModel, frame: str) -> str:
    """A landmark whose city the model no longer names when attention 23 is silent at the last position.

    frame: a sentence with one ``{}`` for the landmark, which ends where the city's name is due. The model gives the
    city at least 0.1, and names it also when attention 22 is silent in place of 23. It is not the Eiffel Tower, and
    its name does not say the city.
    """
    for landmark in LANDMARKS[1:]:
        logits = ablate_parts(model, frame.format(landmark), [2 * 22 + 1, 2 * 23 + 1])
        first, without_22, without_23 = logits.argmax(dim=-1).tolist()
        if first == without_22 != without_23 and logits[0].softmax(dim=-1)[first] >= 0.1:
            return landmark
    raise ValueError("After none of LANDMARKS does this model name a city that falls without attention 23 alone.")


# A lens that is fitted.


def fit_translator(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The affine map that brings `read` closest to `target`: matrix (width, width) and bias (width,).

    Takes two tensors (token, width). Minimises the sum over tokens of `|read @ matrix + bias - target|^2`, plus
    ridge times `|matrix - identity|^2`: where there is little to learn from, the map stays the identity.
    """
    read_mean, target_mean = read.mean(dim=0), target.mean(dim=0)
    centred = read - read_mean
    missing = (target - target_mean) - centred  # what the identity leaves to be explained
    identity = torch.eye(read.shape[1], dtype=read.dtype, device=read.device)
    matrix = identity + torch.linalg.solve(centred.T @ centred + ridge * identity, centred.T @ missing)
    return matrix, target_mean - read_mean @ matrix


@dataclass(frozen=True)
class TunedLens:
    """An affine map for each depth, from its normalised residual to the last depth's.

    ``matrices``: (depth, width, width); ``biases``: (depth, width).
    """

    matrices: torch.Tensor
    biases: torch.Tensor

    def __call__(self, normed: torch.Tensor) -> torch.Tensor:
        """Translate a normalised stream (depth, position, width) to the last depth's basis; same shape."""
        if normed.ndim != 3 or normed.shape[::2] != self.biases.shape:
            depths, width = self.biases.shape
            raise ValueError(f"The stream has shape {tuple(normed.shape)}; expected ({depths}, position, {width}).")
        return torch.baddbmm(self.biases[:, None], normed, self.matrices)


def fit_tuned_lens(normed: torch.Tensor, ridge: float = 100.0) -> TunedLens:
    """A translator for each depth of a normalised stream (depth, token, width); the last depth's is the identity.

    The stream should be that of much text. Belrose et al. (2023) train theirs by gradient descent on the KL divergence.
    This one is the closed form of the nearest least-squares problem: a second for each few depths instead of hours, at
    some cost in quality. Of a stream in half precision it is solved in float32, and given in the stream's type.
    """
    half = normed.dtype in (torch.float16, torch.bfloat16)
    stream = normed.float() if half else normed
    fitted = [fit_translator(depth, stream[-1], ridge) for depth in stream]
    matrices, biases = zip(*fitted, strict=True)
    return TunedLens(torch.stack(matrices).to(normed.dtype), torch.stack(biases).to(normed.dtype))


def normed_stream(model: TransformersModel, ids: torch.Tensor, batch_size: int = 16) -> torch.Tensor:
    """The stream of many windows of text after the final norm, as one long row of tokens.

    Each window's first token is left out: nothing stands before it, and models use its place to park attention.

    Args:
        ids: token ids, (window, position), of at least two positions.

    Returns:
        (depth, window * (position - 1), width).

    Raises:
        ValueError: ``ids`` has another shape.
    """
    if ids.ndim != 2 or ids.shape[1] < 2:
        raise ValueError(
            f"The ids have shape {tuple(ids.shape)}; expected (window, position) with two positions or more."
        )
    parts = anatomy(model)
    batches = []
    for batch in ids.split(batch_size):
        with model.trace(batch):
            depths = [parts.layers[0].input[:, 1:]]
            for layer in parts.layers:
                depths.append(layer.output[:, 1:])
            stream = nnsight.save(torch.stack(depths))  # (depth, batch, position, width)
        batches.append(parts.normalise(stream.flatten(1, 2)))
    return torch.cat(batches, dim=1)


def english(model: TransformersModel, windows: int, length: int = 64, held_out: bool = False) -> torch.Tensor:
    """Token ids of ordinary English prose, (window, position): Python's own manual, which every installation has.

    The windows are spread evenly over the topics of ``pydoc_data.topics``. Every eighth topic is held out: fit on the
    others, and measure on those. The text differs a little between versions of Python.

    Raises:
        ValueError: there is not so much text.
    """
    from pydoc_data.topics import topics

    chosen = [text for i, (_, text) in enumerate(sorted(topics.items())) if (i % 8 == 0) == held_out]
    ids: list[int] = []
    for text in chosen:  # no topic should fill many windows, so of each only the start
        ids += model.tokenizer(text[:8000], add_special_tokens=False, truncation=True, max_length=2000)["input_ids"]
    step = len(ids) // windows if windows > 0 else 0
    if step < length:
        raise ValueError(
            f"{windows} windows of {length} tokens were asked for; there is text for 1 to {len(ids) // length}."
        )
    return torch.tensor([ids[i * step : i * step + length] for i in range(windows)])
