"""Sweeps: the same question asked of every head, or of every layer and position, exactly::

    patch_heads(model, clean, corrupted, answers)     (layer, head)      each head's output taken from the clean run
    patch_residual(model, clean, corrupted, answers)  (layer, position)  the residual stream, at one position
    patch_attention, patch_mlp                        (layer, position)  what attention or the MLP wrote there
    permute_heads(model, prompt, answers)             (layer, head)      the numbers of one head's output shuffled
    ablate_heads(model, prompt, answers)              (layer, head)      one head's output replaced by zero or its mean
    attribution_patching(model, clean, corrupted, answers)               patch_heads by gradients: an approximation

Each number is the logit of the first answer minus that of the second, at the last position of the patched run, or a
metric of your own. What all of them can be told besides is said once, in :class:`SweepOptions`.

Activation patching is from Vig et al. 2020 (https://arxiv.org/abs/2004.12265) and Meng et al. 2022
(https://arxiv.org/abs/2202.05262), over heads from Wang et al. 2022 (https://arxiv.org/abs/2211.00593). How hundreds of
patched runs are made in about a second is told in :mod:`course_utils.sweeps.growing_batch`.

Two prompts of a pair may differ in length: they are aligned at their ends, last token to last token, since the answer
is read there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Unpack

import torch

from course_utils.errors import refuse_unknown_options
from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.wrapping import as_traced
from course_utils.sweeps.growing_batch import ALL_SHORTCUTS, Patch, Site, why_no_site
from course_utils.sweeps.measure import refuse_without_gradient
from course_utils.sweeps.options import Answers, Prompts, Question, SweepError, SweepOptions
from course_utils.sweeps.request import NoSource, Request, read_memory, read_prompts
from course_utils.sweeps.runs import Change, Sweep, run_sweep

if TYPE_CHECKING:
    from nnsight import TransformersModel


def patch_heads(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    *,
    heads: int | Sequence[int] | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the corrupted prompt once for each head, with that head's output taken from the clean run.

    A head's output is its part of the input of the attention's output projection.

    Args:
        clean, corrupted: two prompts (texts, or token ids (position,)), or two equally long lists of them, one pair at
            each place.
        answers: two texts of one token each (or two token ids), or one such pair for each pair of prompts. Needed,
            unless there is a `metric`.
        heads: which ones, counted from 0, or from the end if negative; all, if not given.
        options: those of :class:`SweepOptions`.

    Returns:
        (layer, head): logit(answers[0]) - logit(answers[1]) at the last position, or the metric; with lists
        (pair, layer, head). float32, on the CPU, in the order of `layers` and `heads`. Where a model has layers without
        attention heads their rows are NaN, and a warning says so.

    Raises:
        SweepError, a ValueError: an answer, layer, head or position does not exist, prompts do not pair up, nothing
            says what to measure, or the bound on memory cannot be kept. ValueError: an answer is not one token, or a
            prompt is empty or longer than the model's window. TypeError: there is no option of that name.
    """
    refuse_unknown_options(patch_heads, options, SweepOptions)
    return _sweep_heads(Request(model, corrupted, clean, answers, options), heads, options)


def patch_residual(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with the residual that enters the layer there taken
    from the clean run.

    What enters layer l is `residual[l]`: row 0 is the embedding, so it says what swapping that one token does.
    Arguments as for :func:`patch_heads`.

    Returns:
        (layer, position), or (pair, layer, position) for lists; otherwise as :func:`patch_heads`.

    Raises:
        SweepError: as :func:`patch_heads`; or prompts of several lengths were given and no `positions` that all of them
            have.
    """
    refuse_unknown_options(patch_residual, options, SweepOptions)
    return _sweep_positions("residual", Request(model, corrupted, clean, answers, options), options)


def patch_attention(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with what attention writes there taken from the clean
    run.

    Arguments, result and errors are those of :func:`patch_residual`.
    """
    refuse_unknown_options(patch_attention, options, SweepOptions)
    return _sweep_positions("attention", Request(model, corrupted, clean, answers, options), options)


def patch_mlp(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the corrupted prompt once for each layer and position, with what the MLP writes there taken from the clean
    run.

    Arguments, result and errors are those of :func:`patch_residual`.
    """
    refuse_unknown_options(patch_mlp, options, SweepOptions)
    return _sweep_positions("mlp", Request(model, corrupted, clean, answers, options), options)


def permute_heads(
    model: TransformersModel,
    prompt: Prompts,
    answers: Answers | None = None,
    *,
    seed: int = 0,
    heads: int | Sequence[int] | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the prompt once for each head, with the elements of that head's output permuted.

    The length of what the head writes into the output projection stays, its direction is lost. The permutation is the
    same for each head and position: `torch.randperm(head_width, generator=torch.Generator().manual_seed(seed))`.

    Args, Returns, Raises: as :func:`patch_heads`; `prompt` is one prompt, or a list of them for a result of
    (prompt, layer, head).
    """
    refuse_unknown_options(permute_heads, options, SweepOptions)
    request = Request(model, prompt, NoSource(), answers, options)

    def permuted(_layer: int, found: torch.Tensor) -> torch.Tensor:
        return found[..., torch.randperm(found.shape[-1], generator=torch.Generator().manual_seed(seed))]

    return _sweep_heads(request, heads, options, permuted)


def ablate_heads(
    model: TransformersModel,
    prompt: Prompts,
    answers: Answers | None = None,
    *,
    kind: Literal["zero", "mean"] = "zero",
    mean: torch.Tensor | None = None,
    heads: int | Sequence[int] | None = None,
    **options: Unpack[SweepOptions],
) -> torch.Tensor:
    """Run the prompt once for each head, with that head's output replaced by zero or by its mean.

    Args:
        kind: "zero", or "mean".
        mean: with kind="mean", each head's mean output, (layer of the model, head, head width); `mean_heads` of the
            prompts themselves, if not given. The other arguments are those of :func:`patch_heads`.

    Returns, Raises: as :func:`patch_heads`; a list of prompts gives (prompt, layer, head).
    """
    refuse_unknown_options(ablate_heads, options, SweepOptions)
    if kind not in ("zero", "mean"):
        raise SweepError(f"kind={kind!r}: expected 'zero' or 'mean'.")
    request = Request(model, prompt, NoSource(), answers, options)
    parts = request.parts
    shape = (parts.n_layers, parts.n_heads, parts.head_width)
    if kind == "zero":
        if mean is not None:
            raise SweepError(
                "mean was given with kind='zero', which does not use it. Pass kind='mean', or leave it out."
            )
        return _sweep_heads(request, heads, options, lambda _, found: torch.zeros_like(found))
    if mean is None:
        mean = mean_heads(model, prompt)
    if tuple(mean.shape) != shape:
        raise SweepError(f"mean has the shape {tuple(mean.shape)}; expected (layer, head, head width) = {shape}.")
    replacement = mean
    return _sweep_heads(request, heads, options, lambda layer, found: replacement[layer].to(found).expand_as(found))


def mean_heads(model: TransformersModel, prompts: Prompts) -> torch.Tensor:
    """Each head's output, averaged over all tokens of the prompts: (layer, head, head width), float32, on the CPU.

    NaN in a layer without heads. Raises SweepError where layers have heads of several sizes.
    """
    model = as_traced(model)
    parts = anatomy(model)
    sizes = {(parts.head_counts[layer], parts.head_widths[layer]) for layer in parts.head_layers}
    if len(sizes) > 1:
        raise SweepError(str(parts.why_not_alike()))
    texts = read_prompts(model, prompts, "prompts")[0]
    total = torch.full((parts.n_layers, parts.n_heads, parts.head_width), float("nan"), dtype=torch.float64)
    total[parts.head_layers] = 0.0
    for tokens in texts:
        with torch.no_grad():
            with model.trace(tokens[None], use_cache=False) as tracer:
                found = [parts.heads(layer)[0].sum(0) for layer in parts.head_layers]
                found = found.save()  # type: ignore[attr-defined]
                tracer.stop()
        total[parts.head_layers] += torch.stack(found).double().cpu()
    return (total / sum(len(tokens) for tokens in texts)).float()


@torch.inference_mode(False)  # around a call it would leave no gradient
def attribution_patching(
    model: TransformersModel,
    clean: Prompts,
    corrupted: Prompts,
    answers: Answers | None = None,
    *,
    heads: int | Sequence[int] | None = None,
    **options: Unpack[Question],
) -> torch.Tensor:
    """An approximation of :func:`patch_heads` by the corrupted run's gradient: one clean and one corrupted run, and one
    backward pass.

    To first order, a head's output moved from corrupted to clean moves the metric by gradient * (clean - corrupted),
    summed over positions and the head's width (Nanda 2023,
    https://www.neelnanda.io/mechanistic-interpretability/attribution-patching).
    Where the model bends in between, this is wrong, and for some heads even in its sign: compare with the exact sweep.

    Arguments and errors are those of :func:`patch_heads`, as far as :class:`Question` has them: there is nothing to
    bound and no shortcut to take.

    Returns:
        (layer, head), or (pair, layer, head): the corrupted run's metric plus each head's estimated change, so that it
        can be held against :func:`patch_heads` number by number.
    """
    refuse_unknown_options(attribution_patching, options, Question)
    model = as_traced(model)
    request = Request(model, corrupted, clean, answers, options)
    parts, chosen = request.parts, request.heads(heads)
    assert request.sources is not None
    estimates = []
    for pair, (prompt, source) in enumerate(zip(request.prompts, request.sources, strict=True)):
        with torch.no_grad():
            theirs, _ = _heads_of_run(model, parts, source)
        with torch.enable_grad():
            ours, last = _heads_of_run(model, parts, prompt)
            which = torch.tensor([pair], device=last.device)
            value = request.measure.of_residual(parts, last, which, direction=True, memory=float("inf"))
            refuse_without_gradient(value)
            gradients = torch.autograd.grad(value.sum(), ours)
        at = torch.tensor(request.positions(pair, options.get("positions")), device=last.device)
        shift = len(source) - len(prompt)
        there = parts.head_layers
        changes = [
            (gradient[:, at] * (clean_heads[:, at + shift] - own[:, at])).float().sum((0, 1, 3))
            for gradient, own, clean_heads in zip(
                map(parts.split_heads, gradients, there),
                map(parts.split_heads, [own.detach() for own in ours], there),
                map(parts.split_heads, theirs, there),
                strict=True,
            )
        ]
        estimate = torch.full((parts.n_layers, max(parts.head_counts)), float("nan"))
        for layer, change in zip(there, changes, strict=True):
            estimate[layer, : len(change)] = (value.detach() + change).cpu()
        estimates.append(estimate[request.layers_with("head")][:, chosen])
    return request.as_table(torch.stack(estimates).flatten(), len(chosen))


def _heads_of_run(
    model: TransformersModel, parts: Anatomy, tokens: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The input of each output projection that there is, (1, position, heads * head width), and the last layer's output
    at the last position (1, width).
    """
    with model.trace(tokens[None], use_cache=False) as tracer:
        # The weights ask for no gradient; the stream does, from here on.
        if torch.is_grad_enabled():
            parts.layers[0].input = parts.layers[0].input.detach().requires_grad_()
        found = [parts.out_projections[layer].input for layer in parts.head_layers]
        found = found.save()  # type: ignore[attr-defined]
        last = parts.layers[parts.n_layers - 1].output[:, -1].save()
        tracer.stop()
    return found, last


# From a request to its patches, in the order of the table's cells.


def _sweep_heads(
    request: Request, heads: int | Sequence[int] | None, options: SweepOptions, change: Change | None = None
) -> torch.Tensor:
    chosen = request.heads(heads)
    counts = request.parts.head_counts
    request.layers_with("head")
    cells = [
        Patch(pair, layer, head, request.positions(pair, options.get("positions"))) if head < counts[layer] else None
        for pair in range(len(request.prompts))
        for layer in request.layers
        for head in chosen
    ]
    return request.as_table(_run("head", request, cells, options, change), len(chosen))


def _sweep_positions(site: Site, request: Request, options: SweepOptions) -> torch.Tensor:
    columns = request.columns(options.get("positions"))
    request.layers_with(site)
    cells = [
        Patch(pair, layer, None, request.positions(pair, column))
        if why_no_site(request.parts, site, layer) is None
        else None
        for pair in range(len(request.prompts))
        for layer in request.layers
        for column in columns
    ]
    return request.as_table(_run(site, request, cells, options), len(columns))


def _run(
    site: Site, request: Request, cells: list[Patch | None], options: SweepOptions, change: Change | None = None
) -> torch.Tensor:
    """The numbers of a table's cells, NaN where there is nothing to patch."""
    shortcuts = options.get("shortcuts", ALL_SHORTCUTS)
    if request.parts.alone:  # nothing of one run holds for another
        shortcuts = replace(shortcuts, prefix=False, skip=False)
    sweep = Sweep(
        parts=request.parts,
        prompts=request.prompts,
        sources=request.prompts if request.sources is None else request.sources,
        site=site,
        measure=request.measure,
        change=change,
        shortcuts=shortcuts,
        memory_mb=read_memory(options),
    )
    numbers = torch.full((len(cells),), float("nan"))
    there = [place for place, patch in enumerate(cells) if patch is not None]
    numbers[there] = run_sweep(sweep, [patch for patch in cells if patch is not None], options.get("progress"))
    return numbers
