"""One layer at a time, with an input of one's own for each of its readers.

In a run every reader of a layer gets the same residual stream. A path asks what one head's query would have been, had
it alone read another one. The model's own code computes it: a layer is called as the model calls it, with the other
stream, and is stopped at its attention function, which transformers lets one choose by name
(https://huggingface.co/docs/transformers/attention_interface). What arrives there are queries, keys and values as they
are used: split into heads, normed, rotated to their positions, the cached ones in front. So no family needs code of its
own: fused or separate projections, norms over one head or over all, biases, scales.

    hand = LayersByHand(parts, tokens, start, base)
    q, k, v = hand.queries_keys_values(layer, stream, rows)
    z = hand.attend(layer, q, k, v)                         # the heads' outputs
    written = hand.mlp_output(layer, stream, z, rows)       # the MLP's, with the attention held at z

A step back: :func:`written_by_heads` says what a change of single heads' outputs does to the stream.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.growing_batch import SharedPrefix, UnpatchedRuns
from course_utils.sweeps.options import SweepError
from course_utils.sweeps.runs import AGREE, AGREE_IN_HALF

# transformers calls an attention by its name, which is for the whole process, so one function is registered, once, and
# passes on to the one that is meant at the time.
_OURS = "course_by_hand"
AttentionFunction = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
_current: list[AttentionFunction] = []
AttentionInterface.register(_OURS, lambda *args, **kwargs: _current[-1](*args, **kwargs))


class _Enough(Exception):
    """What was asked of a layer is known, and the rest of it need not be computed."""


class LayersByHand:
    """The layers of a model for prompts of one length, run from position `start` on.

    Inputs are (row, position from `start` on, width); each row belongs to a row of `base`, whose keys and values stand
    in front of `start`. Gradients are recorded where the caller records them.

    Raises:
        SweepError: the layers of this family are not all alike, its attention is not behind transformers' attention
            interface, or a layer called alone does not do what it does in a run.
    """

    def __init__(self, parts: Anatomy, tokens: torch.Tensor, start: int, base: UnpatchedRuns):
        self.parts = parts
        if (why := reads_by_hand(parts)) is not None:
            raise SweepError(why)
        self.eager: AttentionFunction = _eager(parts.attentions[0]._module)
        self._prefixes: list[SharedPrefix] = []
        options: dict[str, Any] = {"use_cache": False}
        if start:
            one = torch.zeros(1, dtype=torch.long, device=base.last.device)
            self._prefixes = [
                SharedPrefix(keys[:, :, :start], values[:, :, :start], one)
                for keys, values in zip(base.keys, base.values, strict=True)
            ]
            options = {"use_cache": True, "past_key_values": Cache(layers=list(self._prefixes))}
        # What the model hands to each layer besides the stream (masks, positions, the cache) is of one row, and so fits
        # any number of rows.
        self._rest: list[tuple[tuple, dict[str, Any]]] = []
        self._calls: dict[int, tuple[Any, dict[str, Any]]] = {}
        streams: list[torch.Tensor] = []
        heads: list[torch.Tensor] = []  # what each layer's output projection reads

        def remember(_module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
            streams.append(args[0] if args else kwargs["hidden_states"])
            self._rest.append((args[1:], {name: value for name, value in kwargs.items() if name != "hidden_states"}))

        handles = [layer._module.register_forward_pre_hook(remember, with_kwargs=True) for layer in parts.layers]
        handles += [
            projection._module.register_forward_pre_hook(lambda _, args: heads.append(args[0]))
            for projection in parts.out_projections
        ]
        try:
            # Eager, whatever the model runs with: for another kernel transformers may leave the mask out and let the
            # kernel be causal by itself, and by hand every token would see those after it.
            with torch.no_grad(), _attention_is(parts, "eager"):
                parts.model._module.base_model(input_ids=tokens[None, start:], **options)
        finally:
            for handle in handles:
                handle.remove()
        self._must_repeat(streams, heads)

    @torch.no_grad()
    def _must_repeat(self, streams: list[torch.Tensor], heads: list[torch.Tensor]) -> None:
        """Layers called alone, with what they read in a run, must put out what they put out there.

        What stands between attention and output projection, a gate say, is no part of a call by hand. Asked once of a
        model.

        Raises:
            SweepError: they do not.
        """
        if self.parts.model.__dict__.get("_course_by_hand"):
            return
        row = torch.zeros(1, dtype=torch.long, device=streams[0].device)
        for layer, (stream, theirs) in enumerate(zip(streams, heads, strict=True)):
            try:
                ours = self.attend(layer, *self.queries_keys_values(layer, stream, row)).flatten(2)
                distance = float((ours.float() - theirs.float()).norm() / theirs.float().norm().clamp_min(1e-12))
                if distance <= AGREE.get(ours.dtype, AGREE_IN_HALF):
                    continue
                what = f"called alone, its heads put out something {distance:.1g} away (relative) from"
            except (TypeError, ValueError, RuntimeError):  # its attention function is given something else
                what = "called alone, its heads do not put out"
            raise SweepError(
                f"{self.parts.family}, layer {layer}: {what} what they put out in a run. The attention does something "
                "that this course does not know, so paths and circuits would show wrong numbers; patch_heads and its "
                "sisters do not need them."
            )
        self.parts.model.__dict__["_course_by_hand"] = True

    def queries_keys_values(
        self, layer: int, stream: torch.Tensor, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the layer's attention would compare and mix, were `stream` the layer's input.

        Args:
            stream: (row, position, width). rows: each one's row in `base`, (row,).

        Returns:
            queries (row, head, position, head width), keys and values (row, key/value head, position of the whole
            prompt, head width).
        """
        found: list[torch.Tensor] = []

        def stop(module: Any, q: Any, k: Any, v: Any, attention_mask: Any, **rest: Any) -> Any:
            found.extend((q, k, v))
            self._calls[layer] = (attention_mask, rest)
            raise _Enough

        self._call(layer, stream, rows, stop)
        return found[0], found[1], found[2]

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The heads' outputs, (row, position, head, head width), by the family's own attention; one row is dealt out.

        The layer's queries must have been asked for once.
        """
        rows = max(len(q), len(k), len(v))
        mask, rest = self._calls[layer]
        q, k, v = (one.expand(rows, -1, -1, -1) for one in (q, k, v))
        return self.eager(self.parts.attentions[layer]._module, q, k, v, mask, **rest)[0]

    def mlp_output(self, layer: int, stream: torch.Tensor, heads: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """What the layer's MLP would put out (after the norm behind it, where there is one), (row, position, width).

        Args:
            stream: the layer's input, (row, position, width). heads: what its heads put out whatever they read, (row,
                position, head, head width). rows: as above.
        """
        found: list[torch.Tensor] = []

        def keep(_module: Any, _args: tuple, output: Any) -> None:
            found.append(output[0] if isinstance(output, tuple) else output)
            raise _Enough

        handle = self.parts.mlp_writers[layer]._module.register_forward_hook(keep)
        try:
            self._call(layer, stream, rows, lambda *_args, **_kwargs: (heads, None))
        finally:
            handle.remove()
        return found[0]

    def run(self, layer: int, stream: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The whole layer: its output (row, position, width); and queries, keys, values and MLP output on the way."""
        seen: list[torch.Tensor] = []

        def attention(module: Any, q: Any, k: Any, v: Any, attention_mask: Any, **rest: Any) -> Any:
            seen.extend((q, k, v))
            return self.eager(module, q, k, v, attention_mask, **rest)

        def keep(_module: Any, _args: tuple, output: Any) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)

        handle = self.parts.mlp_writers[layer]._module.register_forward_hook(keep)
        try:
            output = self._call(layer, stream, rows, attention)
        finally:
            handle.remove()
        assert output is not None
        return output, seen

    def _call(
        self, layer: int, stream: torch.Tensor, rows: torch.Tensor, attention: AttentionFunction
    ) -> torch.Tensor | None:
        """The layer's output, or None if it was stopped on the way."""
        args, kwargs = self._rest[layer]
        # The layer joins what stands in front of `start` to its own keys: without this each row would see the prefix of
        # whichever rows were here before.
        if self._prefixes:
            self._prefixes[layer].prompt_of_row = rows
        _current.append(attention)
        try:
            with _attention_is(self.parts, _OURS):
                output = self.parts.layers[layer]._module(stream, *args, **kwargs)
                return output[0] if isinstance(output, tuple) else output
        except _Enough:
            return None
        finally:
            _current.pop()


def reads_by_hand(parts: Anatomy) -> str | None:
    """The sentence that says why a model's layers cannot be taken apart by hand; None if they can."""
    if (why := parts.why_not_plain()) is not None:
        return why
    attention = parts.attentions[0]._module
    if _eager(attention) is not None and hasattr(attention, "config"):
        return None
    return (
        f"{parts.family}: its attention has no queries, keys and values that this course can find "
        "(transformers' attention interface is not used). Paths to MLPs and to heads need them; "
        "patch_heads and its sisters do not."
    )


def _eager(attention: torch.nn.Module) -> Any:
    return getattr(sys.modules[type(attention).__module__], "eager_attention_forward", None)


@contextmanager
def _attention_is(parts: Anatomy, name: str) -> Iterator[None]:
    """Within the block, the model's attention is the one that transformers knows by that name."""
    # The attention's own: of a model that also sees, the whole has another, which its text side does not read.
    config = parts.attentions[0]._module.config
    usual = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = usual


def written_by_heads(parts: Anatomy, layer: int, own: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """What each head alone adds to the stream when its output becomes `new`, and the others keep theirs.

    Where attention is normed before it is added, that depends on what the others put out; elsewhere it does not.

    Args:
        own, new: all heads' outputs, (row, position, head, head width).

    Returns:
        (row, head, position, width).
    """
    projection = parts.out_projections[layer]._module
    heads = torch.eye(parts.n_heads, dtype=torch.bool, device=own.device)[:, None, :, None]  # (head, 1, head, 1)
    if parts.norm_after_heads(layer) is None:
        # The change alone, and not the difference of two outputs: what is large in both would leave its rounding. Less
        # what the projection makes of nothing, which is its bias: every head alone would bring it once more.
        change = torch.where(heads, (new - own)[:, None], torch.zeros((), dtype=own.dtype, device=own.device))
        nothing = torch.zeros_like(own[:1, :1]).flatten(-2)
        return (projection(change.flatten(-2)) - projection(nothing)) * parts.residual_scale
    return written_through_norm(parts, layer, own[:, None], torch.where(heads, new[:, None], own[:, None]))


def written_through_norm(parts: Anatomy, layer: int, own: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """What the whole attention adds to the stream when its heads' outputs become `new`, where a norm stands behind it.

    Args:
        own, new: all heads' outputs, (..., head, head width).

    Returns:
        (..., width).
    """
    projection, writer = parts.out_projections[layer]._module, parts.attention_writers[layer]._module
    after, before = (writer(projection(one.flatten(-2))) for one in (new, own))
    return (after - before) * parts.residual_scale
