"""Sweeps: the same question asked of every head, or of every layer and position, exactly.

    patch_heads(model, clean, corrupted)     each head's output taken from the clean run       (layer, head)
    patch_residual(model, clean, corrupted)  the residual stream, at one position              (layer, position)
    patch_attention, patch_mlp               what attention or the MLP wrote, at one position  (layer, position)
    permute_heads(model, prompt)             the numbers of one head's output shuffled         (layer, head)
    ablate_heads(model, prompt)              one head's output replaced by zero or its mean    (layer, head)
    attribution_patching(model, clean, corrupted)  patch_heads by gradients: an approximation  (layer, head)

Each number is the logit of the first answer minus that of the second, at the last position of the patched run, or a metric of
your own. Activation patching is from Vig et al. 2020 (https://arxiv.org/abs/2004.12265) and Meng et al. 2022
(https://arxiv.org/abs/2202.05262), over heads from Wang et al. 2022 (https://arxiv.org/abs/2211.00593). How hundreds of patched
runs are made in about a second is told in :mod:`course_utils.sweeps.growing_batch`.

Two prompts of a pair may differ in length: they are aligned at their ends, last token to last token, since the answer is read there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.prompts import token_id, token_ids
from course_utils.sweeps.growing_batch import ALL_SHORTCUTS, Patch, Shortcuts, Site
from course_utils.sweeps.runs import Measure, Metric, SweepError, run_sweep

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "Shortcuts",
    "SweepError",
    "ablate_heads",
    "attribution_patching",
    "mean_heads",
    "patch_attention",
    "patch_heads",
    "patch_mlp",
    "patch_residual",
    "permute_heads",
]

Prompt = str | torch.Tensor
Prompts = Prompt | Sequence[str] | Sequence[torch.Tensor]
Answers = tuple[str, str] | tuple[int, int] | Sequence[tuple[str, str]] | Sequence[tuple[int, int]]
MEMORY_MB = 1024.0


def patch_heads(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the corrupted prompt once for each head, with that head's output taken from the clean run.

    A head's output is its part of the input of the attention's output projection.

    Args:
        clean, corrupted: two prompts (texts, or token ids (position,)), or two equally long lists of them, one pair at each place.
        answers: two texts of one token each (or two token ids), or one such pair for each pair of prompts.
        metric: a function of the last position's logits, (batch, vocabulary) to (batch,), used instead of `answers`. Its rows
            are independent runs, and it may be called with any number of them.
        layers, heads: which ones; all, if not given.
        positions: at which positions of the corrupted prompt to take the clean output, counted from 0, or from the end if negative;
            at all, if not given. Where the prompts differ in length: at all that both have, counted from the end.
        memory_mb: a bound, in MB, on the memory taken on top of the model; patched runs are cut into traces that keep to it.
        progress: a bar always (True), never (False), or from the third second on (None).
        shortcuts: which of :class:`Shortcuts` may be taken. The result does not depend on it.

    Returns:
        (layer, head): logit(answers[0]) - logit(answers[1]) at the last position, or the metric; with lists (pair, layer, head).
        float32, on the CPU, in the order of `layers` and `heads`.

    Raises:
        SweepError, a ValueError: an answer, layer, head or position does not exist, prompts do not pair up, or the bound cannot
            be kept. ValueError: an answer is not one token, or a prompt is empty or longer than the model's window.
    """
    asked = _Asked(model, corrupted, clean, answers, metric, layers)
    chosen = _numbers(heads, asked.parts.n_heads, "heads")
    cells = [
        Patch(pair, layer, head, asked.positions(pair, positions))
        for pair in range(asked.n_pairs)
        for layer in asked.layers
        for head in chosen
    ]
    numbers = asked.sweep(cells, "head", shortcuts, memory_mb, progress)
    return asked.shaped(numbers, len(chosen))


def patch_residual(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with the residual that enters the layer there taken from the clean run.

    What enters layer l is `residual[l]`: row 0 is the embedding, so it says what swapping that one token does.

    Args:
        positions: which columns, as positions of the corrupted prompt; all, if not given. The other arguments are those of
            :func:`patch_heads`.

    Returns:
        (layer, position), or (pair, layer, position) for lists; otherwise as :func:`patch_heads`.

    Raises:
        SweepError: as :func:`patch_heads`; or prompts of several lengths were given and no `positions` that all of them have.
    """
    return _by_position(
        "residual", model, clean, corrupted, answers, metric, layers, positions, memory_mb, progress, shortcuts
    )


def patch_attention(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with what attention writes there taken from the clean run.

    Arguments, result and errors are those of :func:`patch_residual`.
    """
    return _by_position(
        "attention", model, clean, corrupted, answers, metric, layers, positions, memory_mb, progress, shortcuts
    )


def patch_mlp(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with what the MLP writes there taken from the clean run.

    Arguments, result and errors are those of :func:`patch_residual`.
    """
    return _by_position(
        "mlp", model, clean, corrupted, answers, metric, layers, positions, memory_mb, progress, shortcuts
    )


def permute_heads(
    model: TransformersModel,
    prompt: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    seed: int = 0,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the prompt once for each head, with the elements of that head's output permuted.

    The length of what the head writes into the output projection stays, its direction is lost. The permutation is the same for each head
    and position: `torch.randperm(head_width, generator=torch.Generator().manual_seed(seed))`.

    Args, Returns, Raises: as :func:`patch_heads`; `prompt` is one prompt, or a list of them for a result of (prompt, layer, head).
    """
    asked = _Asked(model, prompt, None, answers, metric, layers)
    order = torch.randperm(asked.parts.head_width, generator=torch.Generator().manual_seed(seed))
    return _changed_heads(asked, heads, positions, lambda _, found: found[..., order], shortcuts, memory_mb, progress)


def ablate_heads(
    model: TransformersModel,
    prompt: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    kind: Literal["zero", "mean"] = "zero",
    mean: torch.Tensor | None = None,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    memory_mb: float = MEMORY_MB,
    progress: bool | None = None,
    shortcuts: Shortcuts = ALL_SHORTCUTS,
) -> torch.Tensor:
    """Run the prompt once for each head, with that head's output replaced by zero or by its mean.

    Args:
        kind: "zero", or "mean".
        mean: with kind="mean", each head's mean output, (layer of the model, head, head width); `mean_heads` of the prompts
            themselves, if not given. The other arguments are those of :func:`patch_heads`.

    Returns, Raises: as :func:`patch_heads`; a list of prompts gives (prompt, layer, head).
    """
    if kind not in ("zero", "mean"):
        raise SweepError(f"kind={kind!r}: expected 'zero' or 'mean'.")
    asked = _Asked(model, prompt, None, answers, metric, layers)
    parts = asked.parts
    if kind == "zero":
        if mean is not None:
            raise SweepError(
                "mean was given with kind='zero', which does not use it. Pass kind='mean', or leave it out."
            )
        mean = torch.zeros(parts.n_layers, parts.n_heads, parts.head_width)
    elif mean is None:
        mean = mean_heads(model, prompt)
    shape = (parts.n_layers, parts.n_heads, parts.head_width)
    if tuple(mean.shape) != shape:
        raise SweepError(f"mean has the shape {tuple(mean.shape)}; expected (layer, head, head width) = {shape}.")
    replacement = mean
    return _changed_heads(
        asked,
        heads,
        positions,
        lambda layer, found: replacement[layer].to(found).expand_as(found),
        shortcuts,
        memory_mb,
        progress,
    )


def mean_heads(model: TransformersModel, prompts: Prompts) -> torch.Tensor:
    """Each head's output, averaged over all tokens of the prompts: (layer, head, head width), float32, on the CPU."""
    parts = anatomy(model)
    texts = _prompts(model, prompts, "prompts")[0]
    total = torch.zeros(parts.n_layers, parts.n_heads, parts.head_width, dtype=torch.float64)
    for tokens in texts:
        with torch.no_grad():
            with model.trace(tokens[None], use_cache=False) as tracer:
                found = [parts.heads(layer)[0].sum(0) for layer in range(parts.n_layers)].save()  # type: ignore[attr-defined]
                tracer.stop()
        total += torch.stack(found).double().cpu()
    return (total / sum(len(tokens) for tokens in texts)).float()


def attribution_patching(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers = (" Mike", " Emma"),
    *,
    metric: Metric | None = None,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
) -> torch.Tensor:
    """An approximation of :func:`patch_heads` by the corrupted run's gradient: one clean and one corrupted run, and one backward pass.

    To first order, a head's output moved from corrupted to clean moves the metric by gradient * (clean - corrupted), summed over
    positions and the head's width (Nanda 2023, https://www.neelnanda.io/mechanistic-interpretability/attribution-patching). Where the
    model bends in between, this is wrong, and for some heads even in its sign: compare with the exact sweep.

    Arguments and errors are those of :func:`patch_heads`.

    Returns:
        (layer, head), or (pair, layer, head): the corrupted run's metric plus each head's estimated change, so that it can
        be held against :func:`patch_heads` number by number.
    """
    asked = _Asked(model, corrupted, clean, answers, metric, layers)
    parts = asked.parts
    chosen = _numbers(heads, parts.n_heads, "heads")
    assert asked.sources is not None
    estimates = []
    for pair, (prompt, source) in enumerate(zip(asked.prompts, asked.sources, strict=True)):
        with torch.no_grad():
            theirs, _ = _heads_of_run(model, parts, source)
        with torch.enable_grad():
            ours, last = _heads_of_run(model, parts, prompt)
            which = torch.tensor([pair], device=last.device)
            value = asked.measure.of_residual(parts, last, which, direction=True, memory=float("inf"))
            gradients = torch.autograd.grad(value.sum(), ours)
        at = torch.tensor(asked.positions(pair, positions), device=last.device)
        shift = len(source) - len(prompt)
        changes = [
            (gradient[:, at] * (clean_heads[:, at + shift] - own[:, at])).float().sum((0, 1, 3))
            for gradient, own, clean_heads in zip(
                [parts.split_heads(gradient) for gradient in gradients],
                [parts.split_heads(own.detach()) for own in ours],
                [parts.split_heads(other) for other in theirs],
                strict=True,
            )
        ]
        estimates.append((value.detach() + torch.stack(changes))[asked.layers][:, chosen].cpu())
    return asked.shaped(torch.stack(estimates).flatten(), len(chosen))


def _heads_of_run(
    model: TransformersModel, parts: Anatomy, tokens: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Each output projection's input (1, position, heads * head width), and the last layer's output at the last position (1, width)."""
    with model.trace(tokens[None], use_cache=False) as tracer:
        # The weights ask for no gradient; the stream does, from here on.
        if torch.is_grad_enabled():
            parts.layers[0].input = parts.layers[0].input.detach().requires_grad_()
        found = [parts.out_projections[layer].input for layer in range(parts.n_layers)].save()  # type: ignore[attr-defined]
        last = parts.layers[parts.n_layers - 1].output[:, -1].save()
        tracer.stop()
    return found, last


# What was asked for, and whether it exists.


class _Asked:
    """The prompts, answers and layers that a sweep was asked for, read and checked."""

    def __init__(
        self,
        model: TransformersModel,
        prompts: Prompts,
        sources: Prompts | None,
        answers: Answers,
        metric: Metric | None,
        layers: int | Sequence[int] | None,
    ):
        if any(parameter.is_meta for parameter in model._module.parameters()):
            raise SweepError(
                "The model has no weights on this machine; a sweep needs them. Load it without remote=True."
            )
        self.parts = anatomy(model)
        self.prompts, self.one = _prompts(model, prompts, "prompt" if sources is None else "corrupted")
        self.sources = None
        if sources is not None:
            self.sources, one = _prompts(model, sources, "clean")
            if one != self.one or len(self.sources) != len(self.prompts):
                raise SweepError(
                    f"clean and corrupted come in pairs; got {'one prompt' if one else f'a list of {len(self.sources)}'} and "
                    f"{'one prompt' if self.one else f'a list of {len(self.prompts)}'}."
                )
        self.n_pairs = len(self.prompts)
        self.layers = _numbers(layers, self.parts.n_layers, "layers")
        ids = None if metric is not None else _answer_ids(model, answers, self.n_pairs, self.parts.vocabulary)
        self.measure = Measure(None if ids is None else ids.to(model._module.device), metric)

    def positions(self, pair: int, positions: int | Sequence[int] | None) -> tuple[int, ...]:
        """Positions of a patched prompt, counted from 0, in order; all that its source has too, if None was asked for."""
        length = len(self.prompts[pair])
        extra = 0 if self.sources is None else max(0, length - len(self.sources[pair]))
        if positions is None:
            return tuple(range(extra, length))
        chosen = _numbers(positions, length, "positions")
        missing = [position for position in chosen if position < extra]
        if missing:
            raise SweepError(
                f"position {missing[0]} of the corrupted prompt has no counterpart: the clean prompt is {extra} tokens shorter, and they "
                f"are aligned at their ends. Positions {extra} to {length - 1} have one."
            )
        return tuple(sorted(set(chosen)))

    def sweep(
        self,
        patches: list[Patch],
        site: Site,
        shortcuts: Shortcuts,
        memory_mb: float,
        progress: bool | None,
        change: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        return run_sweep(
            self.parts,
            self.prompts,
            patches,
            site,
            self.measure,
            sources=self.sources,
            change=change,
            shortcuts=shortcuts,
            memory_mb=memory_mb,
            progress=progress,
        )

    def shaped(self, numbers: torch.Tensor, columns: int) -> torch.Tensor:
        shaped = numbers.reshape(self.n_pairs, len(self.layers), columns)
        return shaped[0] if self.one else shaped


def _changed_heads(
    asked: _Asked,
    heads: int | Sequence[int] | None,
    positions: int | Sequence[int] | None,
    change: Callable[[int, torch.Tensor], torch.Tensor],
    shortcuts: Shortcuts,
    memory_mb: float,
    progress: bool | None,
) -> torch.Tensor:
    chosen = _numbers(heads, asked.parts.n_heads, "heads")
    patches = [
        Patch(pair, layer, head, asked.positions(pair, positions))
        for pair in range(asked.n_pairs)
        for layer in asked.layers
        for head in chosen
    ]
    return asked.shaped(asked.sweep(patches, "head", shortcuts, memory_mb, progress, change), len(chosen))


def _by_position(
    site: Site,
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers,
    metric: Metric | None,
    layers: int | Sequence[int] | None,
    positions: int | Sequence[int] | None,
    memory_mb: float,
    progress: bool | None,
    shortcuts: Shortcuts,
) -> torch.Tensor:
    asked = _Asked(model, corrupted, clean, answers, metric, layers)
    assert asked.sources is not None
    if positions is None:
        lengths = sorted({len(prompt) for prompt in [*asked.prompts, *asked.sources]})
        if len(lengths) > 1:
            raise SweepError(
                f"The prompts have {', '.join(map(str, lengths))} tokens, so there is no one column for each position. Pass "
                f"positions=range(-{lengths[0]}, 0), counted from the end, or prompts of one length."
            )
        positions = range(lengths[0])
    columns = [positions] if isinstance(positions, int) else list(positions)
    patches = [
        Patch(pair, layer, None, asked.positions(pair, column))
        for pair in range(asked.n_pairs)
        for layer in asked.layers
        for column in columns
    ]
    return asked.shaped(asked.sweep(patches, site, shortcuts, memory_mb, progress), len(columns))


def _prompts(model: TransformersModel, prompts: Prompts, name: str) -> tuple[list[torch.Tensor], bool]:
    """Token ids (position,) of each prompt, and whether one was given and no list."""
    one = isinstance(prompts, str) or (isinstance(prompts, torch.Tensor) and prompts.ndim == 1)
    listed = [prompts] if one else list(prompts)
    if not listed:
        raise SweepError(f"{name} is empty; expected a prompt or a list of prompts.")
    read = []
    for prompt in listed:
        if isinstance(prompt, str):
            ids = torch.tensor(token_ids(model, prompt))
        elif isinstance(prompt, torch.Tensor) and prompt.ndim == 1 and not prompt.is_floating_point():
            ids = prompt.long()
        else:
            what = (
                f"a tensor of shape {tuple(prompt.shape)}"
                if isinstance(prompt, torch.Tensor)
                else type(prompt).__name__
            )
            raise SweepError(
                f"{name}: expected a text, token ids of shape (position,), or a list of either; got {what}."
            )
        if not len(ids):
            raise SweepError(f"{name} holds a prompt without tokens; give at least one.")
        read.append(ids.to(model._module.device))
    return read, one


def _answer_ids(model: TransformersModel, answers: Answers, n_pairs: int, vocabulary: int) -> torch.Tensor:
    """(pair, 2)."""
    if isinstance(answers, str) or not isinstance(answers, Sequence) or not len(answers):
        raise SweepError(
            f'answers={answers!r}: expected two answers, such as (" Mike", " Emma"), or one such pair for each pair of prompts.'
        )
    one_for_all = isinstance(answers[0], str | int)
    pairs: list[Any] = [answers] * n_pairs if one_for_all else list(answers)
    if len(pairs) != n_pairs:
        raise SweepError(
            f"{len(pairs)} pairs of answers for {n_pairs} pairs of prompts; expected one for each, or one for all."
        )
    for pair in pairs:
        if isinstance(pair, str | int) or len(pair) != 2:
            raise SweepError(f"answers: expected two, got {pair!r}.")
    known = {answer: _answer_id(model, answer, vocabulary) for pair in pairs for answer in pair}
    return torch.tensor([[known[answer] for answer in pair] for pair in pairs])


def _answer_id(model: TransformersModel, answer: str | int, vocabulary: int) -> int:
    if isinstance(answer, int):
        if not 0 <= answer < vocabulary:
            raise SweepError(f"answers: token {answer} does not exist; the vocabulary has {vocabulary}.")
        return answer
    return token_id(model, answer)


def _numbers(asked: int | Sequence[int] | None, count: int, name: str) -> list[int]:
    """Layers, heads or positions, counted from 0; negative ones count from the end."""
    if asked is None:
        return list(range(count))
    listed = [asked] if isinstance(asked, int) else [int(number) for number in asked]
    if not listed:
        raise SweepError(f"{name} is empty; leave it out for all {count}.")
    for number in listed:
        if not -count <= number < count:
            raise SweepError(f"{name}: {number} does not exist; there are {count}, 0 to {count - 1}.")
    return [number % count for number in listed]
