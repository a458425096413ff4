"""The parts that were found, held against what the model itself computes.

On one short trace: each layer's input and what was written to it must sum to its output, each attention must be its
output projection of its heads, the last layer's output must become the model's own logits, and a real cache must hold
what the sizes say. What runs elsewhere, or has no weights, is proven by a small random twin (:mod:`twin`).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from course_utils.model.errors import AnatomyError

if TYPE_CHECKING:
    from nnsight import TransformersModel

    from course_utils.model.anatomy import Anatomy

    Find = Callable[[TransformersModel], Anatomy]

# Relative to the largest number of what is compared, at each position. A sum in another order, or a product by another
# kernel, may differ so far.
TOLERANCE = 1e-3
IN_HALF = 30  # times as much in half precision


def prove(parts: Anatomy) -> Anatomy:
    """Trace a few tokens through the parts and compare with what the model itself computes.

    Returns:
        The same parts, with what only a run can tell: the sizes of a real cache, and whether there are patterns and
        sinks.

    Raises:
        AnatomyError: naming the first part that does not add up.
    """
    from transformers import DynamicCache

    dtype = next(parts.model._module.parameters()).dtype
    tolerance = TOLERANCE * IN_HALF if dtype in (torch.float16, torch.bfloat16) else TOLERANCE
    tokens = torch.tensor([[token % parts.vocabulary for token in (3, 14, 15, 92)]])
    cache = DynamicCache(config=parts.model._module.config)
    try:
        stream, logits, heads = _traced(parts, tokens, cache)
    except AnatomyError:
        raise
    except Exception as error:  # whatever a foreign model trips over
        last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise AnatomyError(
            f"{parts.family}: a run of a few tokens fails ({last[0][:200]}). Try another model."
        ) from error
    for layer, (before, attention, mlp, after) in enumerate(stream):
        if not isinstance(after, torch.Tensor):
            raise AnatomyError(
                f"{parts.family}: a layer puts out a {type(after).__name__}, of which the course does not know what is "
                "the stream (batch, position, width)."
            )
        what = f"layer {layer}: input + attention + MLP is not its output"
        _must_agree(before * parts.keeps[layer] + attention + mlp, after, tolerance, parts, what, attention, mlp)
    parts = _with_finish_of(parts, stream[-1][-1], logits, tolerance)
    for layer, (read, projected, attended) in zip(parts.head_layers, heads, strict=True):
        _prove_heads(parts, layer, read, projected, attended, tolerance)
    return _with_sizes_of(_with_patterns_of(parts, [seen[2] for seen in heads]), cache)


def _traced(parts: Anatomy, tokens: torch.Tensor, cache: Any) -> tuple[list[Any], torch.Tensor, list[Any]]:
    """Of each layer its input, what its halves wrote and its output; the logits; of each layer with heads what its
    projection reads and puts out, and what its attention puts out.
    """
    import nnsight

    # In one run, unless a half's parts run in another order than they are read in here.
    projections = [one._module for one in parts.out_projections if one is not None]
    together = all(
        len(sources) == 1 and sources[0][0]._module not in projections for sources in parts.attention_sources
    )
    stream: list[Any] = []
    heads: list[Any] = []

    def read_heads(layer: int) -> None:
        projection = parts.out_projections[layer]
        heads.append((projection.input, projection.output, parts.attentions[layer].output))

    with torch.no_grad():
        with parts.model.trace(tokens, past_key_values=cache, use_cache=True):
            for layer in range(parts.n_layers):
                before = parts.layers[layer].input
                if together and parts.out_projections[layer] is not None:
                    read_heads(layer)
                written = (parts.attention_written(layer), parts.mlp_written(layer))
                stream.append((before, *written, parts.layers[layer].output))
            logits = parts.model.output.logits.save()
            nnsight.save(stream)
            nnsight.save(heads)
        if not together:
            with parts.model.trace(tokens, use_cache=False) as tracer:
                for layer in parts.head_layers:
                    read_heads(layer)
                nnsight.save(heads)
                tracer.stop()
    return stream, logits, heads


def prove_by_twin(parts: Anatomy, find: Find) -> Anatomy:
    """The same for a model whose weights are not here: its twin is built and proven, once for each configuration.

    ``find`` finds the parts of a model, as it found those of this one.

    Raises:
        AnatomyError: the twin cannot be built, or its parts do not add up.
    """
    config = parts.model._module.config
    twin = _proven_twin(config.model_type, json.dumps(config.to_dict(), sort_keys=True, default=str), find)
    if (twin.logit_scale, twin.logit_cap) == (1.0, None):
        parts = dataclasses.replace(parts, logit_scale=1.0, logit_cap=None)
    return dataclasses.replace(parts, shows_patterns=twin.shows_patterns, sinks=twin.sinks)


@functools.lru_cache(maxsize=32)
def _proven_twin(model_type: str, settings: str, find: Find) -> Anatomy:
    from transformers import CONFIG_MAPPING

    from course_utils.model.tiny import tiny_tokenizer
    from course_utils.model.twin import small_twin
    from course_utils.model.wrapping import wrap

    given = {name: value for name, value in json.loads(settings).items() if name != "model_type"}
    try:
        module = small_twin(CONFIG_MAPPING[model_type](**given))
    except Exception as error:  # whatever a foreign configuration trips over
        raise AnatomyError(
            f"{model_type}: its weights are not here, and the small random twin that would show where its parts are "
            f"cannot be built ({type(error).__name__}: {str(error)[:200]}). Load it with its weights."
        ) from error
    found = find(wrap(module, tiny_tokenizer()))
    proven = prove(found)
    if proven.kept_numbers != found.kept_numbers:
        raise AnatomyError(
            f"{model_type}: its cache holds {proven.kept_numbers} numbers for each token where {found.kept_numbers} "
            "were expected, so its size cannot be told without its weights."
        )
    return proven


def _with_finish_of(parts: Anatomy, last: torch.Tensor, logits: torch.Tensor, tolerance: float) -> Anatomy:
    """The parts whose unembedding gives the model's own logits: with the scale and the cap that the configuration
    names; or without, since the whole of a model that also sees may leave out what its text side alone would do (Aya
    Vision).
    """
    what = "the last layer's output through the final norm and the unembedding does not give the model's logits"
    bare = dataclasses.replace(parts, logit_scale=1.0, logit_cap=None)
    try:
        ours = parts.unembed(last)
    except RuntimeError as error:  # torch's words to widths that do not meet
        raise AnatomyError(f"{parts.family}: {what} ({str(error).splitlines()[0]}). Try another model.") from error
    try:
        _must_agree(ours, logits, tolerance, parts, what)
    except AnatomyError as error:
        try:
            _must_agree(bare.unembed(last), logits, tolerance, parts, what)
        except AnatomyError:
            raise error from None
        return bare
    return parts


def _prove_heads(
    parts: Anatomy, layer: int, read: torch.Tensor, projected: torch.Tensor, attended: Any, tolerance: float
) -> None:
    """What the projection reads is as wide as the heads, and what it makes of them is what the attention puts out."""
    count, width = parts.head_counts[layer], parts.head_widths[layer]
    if read.shape[-1] != count * width:
        raise AnatomyError(
            f"{parts.family}, layer {layer}: the output projection reads {read.shape[-1]} numbers for each token, "
            f"which are not {count} heads of {width}."
        )
    output = attended[0] if isinstance(attended, tuple) else attended
    if any(source._module is parts.attentions[layer]._module for source, _ in parts.attention_sources[layer]):
        what = f"layer {layer}: the output projection of the heads is not what the attention puts out"
        _must_agree(projected.reshape(output.shape), output, tolerance, parts, what)
    pattern = _pattern(attended)
    if pattern is not None and pattern.shape[1] != count:
        raise AnatomyError(
            f"{parts.family}, layer {layer}: there are patterns of {pattern.shape[1]} heads, and {count} were expected."
        )
    if pattern is not None and float(pattern.triu(pattern.shape[-1] - pattern.shape[-2] + 1).abs().max()) > 0:
        raise AnatomyError(
            f"{parts.family}, layer {layer}: its tokens look at those after them, so it does not predict the next "
            "token from those before it. Try another model."
        )


def _pattern(attended: Any) -> torch.Tensor | None:
    """The attention weights (batch, head, query, key) among what an attention puts out, or None."""
    second = attended[1] if isinstance(attended, tuple) and len(attended) > 1 else None
    return second if isinstance(second, torch.Tensor) and second.ndim == 4 else None


def _with_patterns_of(parts: Anatomy, attended: list[Any]) -> Anatomy:
    patterns = [_pattern(one) for one in attended]
    if all(pattern is None for pattern in patterns):
        # An attention kernel that keeps no weights is the loader's choice, and `pattern` says so. What puts out a
        # tensor alone never has any.
        return dataclasses.replace(parts, shows_patterns=all(isinstance(one, tuple) for one in attended))
    least = min(float(pattern.float().sum(-1).min()) for pattern in patterns if pattern is not None)
    return dataclasses.replace(parts, shows_patterns=all(one is not None for one in patterns), sinks=least < 0.98)


def _with_sizes_of(parts: Anatomy, cache: Any) -> Anatomy:
    """The parts with the sizes of a real cache, which knows best, in the place of those of the configuration."""
    kept, kv_heads = [0] * parts.n_layers, list(parts.kv_head_counts)
    for layer, held in enumerate(cache.layers[: parts.n_layers]):
        if parts.attentions[layer] is None:
            continue
        tensors = [getattr(held, name, None) for name in ("keys", "values", "index_keys")]
        there = [one for one in tensors if isinstance(one, torch.Tensor) and one.numel()]
        # Each (..., position, width); a window may be shorter than the run.
        kept[layer] = sum(one.numel() // one.shape[-2] for one in there)
        latent = hasattr(parts.attentions[layer]._module, "kv_lora_rank")
        if there and there[0].ndim == 4 and not latent:
            kv_heads[layer] = there[0].shape[1]
    return dataclasses.replace(parts, kept_numbers=tuple(kept), kv_head_counts=tuple(kv_heads))


def _must_agree(
    ours: torch.Tensor,
    theirs: torch.Tensor,
    tolerance: float,
    parts: Anatomy,
    what: str,
    *written: torch.Tensor,
) -> None:
    """At each position, relative to the largest number there; with `written` relative to that, and to the rounding of
    the sum.

    A position of its own: in many models the first token's vector is a hundred times as long as the others, and would
    hide what is wrong with them.
    """
    if ours.shape != theirs.shape:
        raise AnatomyError(f"{parts.family}: {what} (shapes {tuple(ours.shape)} and {tuple(theirs.shape)}).")
    ours, theirs = ours.float().cpu(), theirs.float().cpu()
    size = theirs.abs().amax(-1)
    allowed = tolerance * size
    if written:
        rounding = 16 * torch.finfo(torch.float32).eps if tolerance == TOLERANCE else TOLERANCE * IN_HALF
        allowed = tolerance * sum(one.float().cpu().abs().amax(-1) for one in written) + rounding * size
    differs = (ours - theirs).abs().amax(-1)
    if not bool((differs <= allowed + 1e-6).all()):
        raise AnatomyError(
            f"{parts.family}: {what} (they differ by up to {float(differs.max()):.3g}). This architecture does "
            "something between its parts that the course does not know, so its lessons would show wrong numbers. Try "
            "another model."
        )
