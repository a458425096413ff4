# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Indirect object identification, and activation patching to find the heads that do it.

*When Mike and Emma went to the cafe, Emma gave a coffee to* goes on with *Mike*: the name that was said once. Let the
other one give, and the answer is the other one. Two such prompts differ in one token, so what carries that token's
consequence to the end can be found by transplanting it: run the **corrupted** prompt, but take one activation from the
run on the **clean** one, and see how far the answer moves.

The functions here do one such experiment at a time, in the plainest way. `patch_heads` and its sisters, from
`course_utils.sweeps`, give the same numbers for all heads at once.

The task and its circuit in GPT-2: Wang et al. 2022, "Interpretability in the Wild" (https://arxiv.org/abs/2211.00593).
Activation patching: Vig et al. 2020 (https://arxiv.org/abs/2004.12265), Meng et al. 2022
(https://arxiv.org/abs/2202.05262); how to do it well: Zhang and Nanda 2023 (https://arxiv.org/abs/2309.16042).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.frozen_norm import frozen_norm
from course_utils.model.prompts import as_texts, token_id, token_ids
from course_utils.model.whole_numbers import place
from course_utils.residual import residual_stream
from course_utils.sweeps import (
    Shortcuts,
    ablate_heads,
    attribution_patching,
    direct_effects,
    patch_attention,
    patch_heads,
    patch_mlp,
    patch_residual,
    permute_heads,
)

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "Pair",
    "Shortcuts",
    "ablate_heads",
    "attention_to",
    "attribution_patching",
    "copy_scores",
    "direct_effects",
    "head_outputs",
    "ioi_pairs",
    "logit_difference",
    "logit_differences",
    "mean_and_error",
    "name_logits",
    "paired_t",
    "patch_and_hold",
    "patch_attention",
    "patch_head",
    "patch_heads",
    "patch_layer",
    "patch_mlp",
    "patch_residual",
    "patch_sets",
    "patch_together",
    "permute_head",
    "permute_heads",
    "permute_positions",
    "positions_of",
    "recovered",
    "selectivity",
]

# Each is one token, with the space in front, in SmolLM2's vocabulary and in the tiny models'.
NAMES = "Mike Emma John Mary Tom Anna James Sarah Paul Lucy David Alice Peter Kate Mark Jane Laura Julia Jack Rose Adam"
PLACES = "park school store office station library garden hospital restaurant museum"
OBJECTS = "book letter drink ring key gift flower ball"
TEMPLATES = (
    "When {A} and {B} went to the {place}, {giver} gave a {object} to",
    "Then, {A} and {B} were working at the {place}. {giver} decided to give a {object} to",
    "After {A} and {B} arrived at the {place}, {giver} handed a {object} to",
    "While {A} and {B} were at the {place}, {giver} passed a {object} to",
)


@dataclass(frozen=True)
class Pair:
    """Two prompts that differ in who gives, and so in the name that should come next.

    Attributes:
        clean, corrupted: the prompts; the same words at the same positions but for the giver.
        answers: the name that is right after ``clean``, then the one that is right after ``corrupted``, each with its
            space.
        first: whether the clean answer is the name that the prompts mention first.
    """

    clean: str
    corrupted: str
    answers: tuple[str, str]
    first: bool


def ioi_pairs(n: int, seed: int = 0) -> list[Pair]:
    """``n`` pairs of prompts with templates, names, places and objects drawn at random.

    In every second pair the clean answer is the first name mentioned, in the others it is the second; the four
    templates take turns.

    Raises:
        ValueError: n is less than 1.
    """
    if n < 1:
        raise ValueError(f"{n} pairs were asked for; ask for at least 1.")
    rng = random.Random(seed)
    pairs = []
    for number in range(n):
        a, b = rng.sample(NAMES.split(), 2)
        words = {"A": a, "B": b, "place": rng.choice(PLACES.split()), "object": rng.choice(OBJECTS.split())}
        template = TEMPLATES[number // 2 % len(TEMPLATES)]
        receiver, giver = (a, b) if number % 2 == 0 else (b, a)
        pairs.append(
            Pair(
                clean=template.format(giver=giver, **words),
                corrupted=template.format(giver=receiver, **words),
                answers=(f" {receiver}", f" {giver}"),
                first=receiver == a,
            )
        )
    return pairs


def logit_difference(model: TransformersModel, prompt: str, answers: tuple[str, str] = (" Mike", " Emma")) -> float:
    """How much rather the model goes on with answers[0] than with answers[1], as a difference of logits.

    Positive where answers[0] is the more probable next token. Each answer is one token, with its space.
    """
    check_prompts(model, prompt)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        last = model.output.logits[0, -1].save()  # (vocabulary,)
    return float(last[first] - last[second])


def logit_differences(
    model: TransformersModel, prompts: Sequence[str], answers: Sequence[tuple[str, str]], batch_size: int = 16
) -> torch.Tensor:
    """:func:`logit_difference` of many prompts, each with its own answers: a tensor (prompt,).

    Prompts of different lengths share a batch: the short ones are filled up on the right, where a causal model's last
    real token cannot see the filling.

    Raises:
        ValueError: there is not one pair of answers for each prompt, a prompt is empty, or an answer is not one token.
    """
    prompts = as_texts(prompts)
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts and {len(answers)} pairs of answers; each prompt needs its own pair.")
    rows = [token_ids(model, prompt) for prompt in prompts]
    wanted = torch.tensor([[token_id(model, answer) for answer in pair] for pair in answers])
    found = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        lengths = torch.tensor([len(row) for row in batch])
        longest = int(lengths.max())
        filled = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in batch])
        with model.trace(filled):
            logits = model.output.logits.save()  # (batch, position, vocabulary)
        last = logits[torch.arange(len(batch)), lengths - 1].cpu()  # each prompt's own last token
        chosen = last.gather(1, wanted[start : start + batch_size])
        found.append(chosen[:, 0] - chosen[:, 1])
    return torch.cat(found).float()


def permute_head(
    model: TransformersModel,
    prompt: str,
    layer: int,
    head: int,
    order: torch.Tensor,
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """The logit difference when one head's numbers are put into another order, at every position.

    order: (head width,) whole numbers; number i of the new output is number order[i] of the old one.
    """
    parts = anatomy(model)
    check_prompts(model, prompt)
    check_head(parts, layer, head)
    check_order(parts, order)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        heads = parts.heads(layer)  # (batch, position, head, head width)
        heads[:, :, head] = heads[:, :, head, order]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def head_outputs(model: TransformersModel, prompt: str) -> torch.Tensor:
    """What every head of every layer puts out, before the output projection mixes the heads.

    Returns a tensor (layer, position, head, head width).
    """
    parts = anatomy(model)
    check_prompts(model, prompt)
    check_alike(parts)
    outputs = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            outputs.append(parts.heads(layer)[0].save())
    return torch.stack(outputs)


def selectivity(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """How differently each head treats two mentions of one word, against any two tokens.

    outputs: (layer, position, head, head width), as `head_outputs` gives them. Returns (layer, head):
    the distance between the head's outputs at positions `first` and `second`, divided by its mean
    distance between two different positions, position 0 left out.
    """
    check_positions(outputs.shape[1], (first, second))
    apart = (outputs[:, second] - outputs[:, first]).norm(dim=-1)  # (layer, head)
    by_head = outputs[:, 1:].transpose(1, 2)  # (layer, head, position, head width)
    distances = (by_head.unsqueeze(3) - by_head.unsqueeze(2)).norm(dim=-1)  # (layer, head, position, position)
    n = distances.shape[-1]
    return apart / (distances.sum(dim=(2, 3)) / (n * (n - 1)))


def patch_head(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    layer: int,
    head: int,
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """The corrupted run's logit difference with one head's output (all positions) from the clean run."""
    parts = anatomy(model)
    check_head(parts, layer, head)
    check_prompts(model, clean, corrupted)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer)[:, :, head].save()  # (1, position, head width)
    with model.trace(corrupted):
        parts.heads(layer)[:, :, head] = kept
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def patch_layer(
    model: TransformersModel, clean: str, corrupted: str, layer: int, answers: tuple[str, str] = (" Mike", " Emma")
) -> torch.Tensor:
    """`patch_head` for every head of a layer, in one batch of corrupted runs: a tensor (head,).

    Row h of the batch is the corrupted run in which head h, and no other, is taken from the clean run.
    """
    parts = anatomy(model)
    check_head(parts, layer, 0)
    check_prompts(model, clean, corrupted)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer)[0].save()  # (position, head, head width)
    with model.trace([corrupted] * parts.n_heads):
        heads = parts.heads(layer)  # (row, position, head, head width)
        for head in range(parts.n_heads):
            heads[head, :, head] = kept[:, head]
        last = model.output.logits[:, -1].save()  # (row, vocabulary)
    return last[:, first] - last[:, second]


def attention_to(model: TransformersModel, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    """How much every head's last token attends to each of the given positions.

    Returns a tensor (layer, head, len(positions)) of attention weights, between 0 and 1.
    """
    parts = anatomy(model)
    check_positions(len(token_ids(model, prompt)), positions)
    check_alike(parts)
    weights = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            weights.append(parts.pattern(layer)[0, :, -1, positions].save())  # (head, len(positions))
    return torch.stack(weights)


def patch_together(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    heads: Sequence[tuple[int, int]],
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """The logit difference of one corrupted run with several heads taken from the clean run.

    heads: (layer, head) pairs, in any order. With none of them it is the corrupted run as it is.
    """
    parts = anatomy(model)
    for layer, head in heads:
        check_head(parts, layer, head)
    check_prompts(model, clean, corrupted)
    first, second = (token_id(model, answer) for answer in answers)
    kept = head_outputs(model, clean)  # (layer, position, head, head width)
    with model.trace(corrupted):
        for layer in sorted({layer for layer, _ in heads}):  # a trace meets the layers in the order of the model
            own = parts.heads(layer)  # once for each layer: a trace takes its time to reach into the model
            for head in [head for place, head in heads if place == layer]:
                own[0, :, head] = kept[layer, :, head]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def patch_and_hold(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    heads: Sequence[tuple[int, int]],
    held: Sequence[tuple[int, int]],
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> float:
    """`patch_together`, while other heads are held: they put out what they do in the untouched corrupted run.

    heads: (layer, head) pairs, taken from the clean run; held: the same, taken from the corrupted run.
    A held head cannot pass on what the patched ones have brought.
    """
    parts = anatomy(model)
    for layer, head in [*heads, *held]:
        check_head(parts, layer, head)
    check_prompts(model, clean, corrupted)
    first, second = (token_id(model, answer) for answer in answers)
    kept, own = head_outputs(model, clean), head_outputs(model, corrupted)  # (layer, position, head, head width)
    with model.trace(corrupted):
        for layer in sorted({layer for layer, _ in [*heads, *held]}):
            here = parts.heads(layer)  # (1, position, head, head width)
            for source, places in ((own, held), (kept, heads)):
                for head in [head for place, head in places if place == layer]:
                    here[0, :, head] = source[layer, :, head]
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def patch_sets(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    sets: Sequence[Sequence[tuple[int, int]]],
    held: Sequence[Sequence[tuple[int, int]]] = (),
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> torch.Tensor:
    """`patch_and_hold` for many sets of heads at once: one clean run, and one corrupted run with a row for each set.

    Args:
        sets: each of them (layer, head) pairs, taken from the clean run.
        held: for each set, the heads that are held; empty where none is in any.

    Returns:
        The logit differences (set,).

    Raises:
        ValueError: there is no such layer or head, the prompts differ in length, or ``held`` has another length.
    """
    parts = anatomy(model)
    held = held or [()] * len(sets)
    if len(held) != len(sets):
        raise ValueError(f"There are {len(sets)} sets and {len(held)} lists of held heads: give one for each set.")
    places = {place for heads in [*sets, *held] for place in heads}
    for layer, head in places:
        check_head(parts, layer, head)
    check_prompts(model, clean, corrupted)
    ids, answer_ids = token_ids(model, corrupted), [token_id(model, answer) for answer in answers]
    kept = head_outputs(model, clean)  # (layer, position, head, head width)
    with model.trace([ids] * (1 + len(sets)), use_cache=False) as tracer:
        for layer in sorted({layer for layer, _ in places}):
            own = parts.heads(layer)  # (1 + set, position, head, head width); row 0 stays the corrupted run
            for row, (patched, still) in enumerate(zip(sets, held, strict=True), start=1):
                for source, chosen in ((own[0], still), (kept[layer], patched)):
                    at = [head for place, head in chosen if place == layer]
                    own[row][:, at] = source[:, at]
        last = parts.layers[-1].output[1:, -1].save()  # (set, width)
        tracer.stop()
    logits = parts.unembed(last).cpu()[:, answer_ids]
    return logits[:, 0] - logits[:, 1]


def permute_positions(
    model: TransformersModel,
    prompt: str,
    seeds: Sequence[int] = (0,),
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> torch.Tensor:
    """The logit difference when one head's outputs change places: what it found stays, where it found it is lost.

    Position 0 keeps its own, since it is a place of its own; the others change places in one order for all heads,
    `torch.randperm(positions - 1, generator=torch.Generator().manual_seed(seed))`. One trace for each seed, whose batch
    grows: row 0 is the run as it is, and at each layer copies of it join, one for each head.

    Returns:
        (seed, layer, head).
    """
    parts = anatomy(model)
    check_prompts(model, prompt)
    check_alike(parts)
    ids = token_ids(model, prompt)
    answer_ids = [token_id(model, answer) for answer in answers]
    found = []
    for seed in seeds:
        order = torch.randperm(len(ids) - 1, generator=torch.Generator().manual_seed(seed)) + 1
        with model.trace([ids], use_cache=False) as tracer:
            for layer in range(parts.n_layers):
                stream = parts.layers[layer].input
                parts.layers[layer].input = torch.cat([stream, stream[:1].expand(parts.n_heads, -1, -1)])
                heads = parts.heads(layer)  # (row, position, head, head width)
                for head in range(parts.n_heads):
                    heads[len(stream) + head, 1:, head] = heads[0, order, head]
            last = parts.layers[-1].output[1:, -1].save()  # (layer * head, width)
            tracer.stop()
        logits = parts.unembed(last).cpu()[:, answer_ids]
        found.append((logits[:, 0] - logits[:, 1]).unflatten(0, (parts.n_layers, parts.n_heads)))
    return torch.stack(found)


def name_logits(
    model: TransformersModel, prompt: str, layer: int, head: int, names: Sequence[str] = tuple(NAMES.split())
) -> dict[str, float]:
    """What one head writes at a prompt's last token, as logits of names, above their mean.

    Through the output projection, the final norm with its divisor frozen, and each name's row of the unembedding.

    Returns:
        For each name, without its space, its logit minus the mean over the names.

    Raises:
        ValueError: a name, with its space, is not one token, or there is no such head.
    """
    parts = anatomy(model)
    check_head(parts, layer, head)
    names = as_texts(names)
    ids = [token_id(model, f" {name}") for name in names]
    frozen = frozen_norm(model, residual_stream(model, prompt)[-1, -1])
    written = through_output(parts, layer, head_outputs(model, prompt)[layer, -1])[head]
    logits = (frozen(written) @ parts.unembedding.weight[ids].T).detach() * parts.logit_scale
    return dict(zip(names, (logits - logits.mean()).tolist(), strict=True))


def copy_scores(model: TransformersModel, names: Sequence[str] = tuple(NAMES.split())) -> torch.Tensor:
    """What each head does to a name that it reads: raise it (copy it), lower it (suppress it), or neither.

    Each name's residual after layer 0 goes through the head's value and output matrices, the final gain and the
    unembedding's rows of all names, as in Wang et al. 2022, section 3.1 (https://arxiv.org/abs/2211.00593). The score
    is how far the read name's logit stands above the mean of all names' logits, in their standard deviations, averaged
    over the names.

    No family's value matrix has to be found: given the name's residual as a text of one token, a head can look nowhere
    else, and puts out the name's value. Where attention is normed before it is added (Gemma, OLMo 2), the head's part
    goes through that norm alone; the score does not know the norm's divisor, which is the same for all said names.

    Returns:
        (layer, head). At most (names - 1) / sqrt(names): 4.4 with 21.

    Raises:
        ValueError: a name, with its space, is not one token, the layers' heads are not alike, or something else writes
            beside them.
    """
    parts = anatomy(model)
    check_alike(parts)
    for layer in range(parts.n_layers):
        check_alone(parts, layer)
    names = as_texts(names)
    ids = [token_id(model, f" {name}") for name in names]
    read = torch.stack([residual_stream(model, f"Then, {name}")[1, -1] for name in names])  # (name, width)
    unembedding = frozen_norm(model, read[0]).gain * parts.unembedding.weight[ids]  # (name, width)
    values = []
    with torch.no_grad(), model.trace(torch.tensor(ids)[:, None]):  # each row a text of one token
        for layer in range(parts.n_layers):
            parts.layers[layer].input = read[:, None]
            values.append(parts.heads(layer)[:, 0].save())  # (name, head, head width)
    scores = torch.zeros(parts.n_layers, parts.n_heads)
    for layer, of_names in enumerate(values):
        written = torch.stack([_through_projection(parts, layer, heads) for heads in of_names], dim=1)
        if (norm := parts.norm_after_heads(layer)) is not None:
            with torch.no_grad():
                # Each a text of one token: what stands there may mix positions (Inkling's convolution).
                written = norm._module(written.flatten(0, 1)[:, None])[:, 0].view_as(written)  # (head, name, width)
        logits = written @ unembedding.T  # (head, read, said)
        above = (logits.diagonal(dim1=1, dim2=2) - logits.mean(dim=2)) / logits.std(dim=2)
        scores[layer] = above.mean(dim=1)
    return scores


def through_output(parts: Anatomy, layer: int, heads: torch.Tensor) -> torch.Tensor:
    """What each head's output (head, head width) adds to the residual stream, alone: (head, width).

    The output projection's bias belongs to no head, and is left out. A family whose attention is normed before it is
    added (Gemma, OLMo 2) is refused: there a head adds nothing alone.

    Raises:
        ValueError: attention is normed before it is added, or something else writes beside it.
    """
    check_alone(parts, layer)
    if parts.norm_after_heads(layer) is not None:
        raise ValueError(f"{parts.family} norms what attention writes: a single head's part of it is not defined.")
    return _through_projection(parts, layer, heads) * parts.attention_sources[layer][0][1]


def _through_projection(parts: Anatomy, layer: int, heads: torch.Tensor) -> torch.Tensor:
    """Each head's output (head, head width) through its columns of the output projection: (head, width)."""
    alone = torch.diag_embed(heads.T).permute(1, 2, 0)  # (head, head, head width): row h holds head h, and zeros
    module = parts.out_projections[layer]._module
    with torch.no_grad():
        joined = torch.cat([alone.flatten(1), alone.new_zeros(1, alone[0].numel())])
        through = module(joined)
    return through[:-1] - through[-1]


def recovered(patched: torch.Tensor, clean: torch.Tensor | float, corrupted: torch.Tensor | float) -> torch.Tensor:
    """Patched logit differences as a fraction of the way from the corrupted run (0) to the clean one (1). Any shape.

    Below 0 the patch moved the answer the other way, above 1 it overshot.
    """
    return (patched - corrupted) / (clean - corrupted)


def mean_and_error(values: torch.Tensor, dim: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean over ``dim`` and its standard error, the sample's standard deviation over the square root of its size.

    Raises:
        ValueError: there are fewer than two values along ``dim``; one value says nothing about its spread.
    """
    n = values.shape[dim]
    if n < 2:
        raise ValueError(f"{n} value along dimension {dim}; a standard error needs at least two.")
    return values.mean(dim=dim), values.std(dim=dim) / n**0.5


def paired_t(one: torch.Tensor, other: torch.Tensor) -> tuple[float, float]:
    """The mean of one minus other over pairs (pair,), and that mean in standard errors: the t of a paired comparison.

    What makes a pair easy or hard is common to both values, and drops out of their difference.

    Raises:
        ValueError: the two have different shapes, or fewer than two values.
    """
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(
            f"{tuple(one.shape)} and {tuple(other.shape)}; two values for each pair, (pair,), were expected."
        )
    mean, error = mean_and_error(one - other)
    return float(mean), float(mean / error)


def positions_of(model: TransformersModel, prompt: str, token: str) -> list[int]:
    """The positions at which a prompt has a given token, " Mike" with its space, in order.

    Raises:
        ValueError: ``token`` is not one token, or is nowhere in the prompt.
    """
    wanted = token_id(model, token)
    found = [position for position, id in enumerate(token_ids(model, prompt)) if id == wanted]
    if not found:
        raise ValueError(
            f"{token!r} is not among the tokens of {prompt!r}. A word in the middle of a text has a space in front."
        )
    return found


def check_head(parts: Anatomy, layer: int, head: int) -> None:
    """Raises ValueError where the model has no such layer or head."""
    for what, number, count in (("layer", layer, parts.n_layers), ("head", head, parts.n_heads)):
        place(number, count, what)
    if (why := parts.why_no_heads(layer)) is not None:
        raise ValueError(why)


def check_alike(parts: Anatomy) -> None:
    """Raises ValueError where what all heads do is no one table: a layer has none, or of another size."""
    if (why := parts.why_not_alike()) is not None:
        raise ValueError(why)


def check_alone(parts: Anatomy, layer: int) -> None:
    """Raises ValueError where more than the heads writes in the attention's half of a layer."""
    if len(parts.attention_sources[layer]) != 1:
        raise ValueError(f"{parts.family}: in layer {layer} something else writes to the stream beside attention.")


def check_order(parts: Anatomy, order: torch.Tensor) -> None:
    """Raises ValueError where ``order`` is not an order of a head's numbers."""
    if order.is_floating_point() or sorted(order.tolist()) != list(range(parts.head_width)):
        raise ValueError(
            f"order has shape {tuple(order.shape)}; it must hold each of the {parts.head_width} numbers from 0 to "
            f"{parts.head_width - 1} once: torch.randperm({parts.head_width})."
        )


def check_positions(length: int, positions: Sequence[int]) -> None:
    """Raises ValueError where a text of that length has no such position."""
    for position in positions:
        place(position, length, "position")


def check_prompts(model: TransformersModel, *prompts: str) -> None:
    """Raises ValueError where a prompt is empty, or clean and corrupted differ in length: positions must match."""
    lengths = [len(token_ids(model, prompt)) for prompt in prompts]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"The clean prompt has {lengths[0]} tokens and the corrupted one {lengths[1]}: a patch puts each position's"
            " output in the same position of the other run. Choose names and words of as many tokens."
        )
