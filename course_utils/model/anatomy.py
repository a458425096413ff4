"""Where the parts of a decoder-only language model are, whatever its architecture.

Every family names its parts differently: ``transformer.h`` and ``attn.c_proj`` in GPT-2, ``model.layers`` and
``self_attn.o_proj`` in Llama, ``gpt_neox.layers`` and ``attention.dense`` in Pythia. The lessons name none of them.
They ask::

    parts = anatomy(model)
    with model.trace("The Eiffel Tower is in the city of"):
        middle = parts.layers[15].output.save()          # (batch, position, width)
        heads = parts.heads(15).save()                   # (batch, position, head, head width)
        logits = parts.unembed(middle[:, -1]).save()     # (batch, vocabulary)

The parts are found by their role in the module tree (:mod:`finding`, with what :mod:`families` knows), and then they
have to prove themselves (:mod:`proving`): on one short trace, each layer's input plus what its attention and its MLP
wrote must be its output, and the last layer's output through the final norm and the unembedding must be the model's own
logits. A model without its weights is proven by a small random twin. What does not add up is refused.

Not every layer of every model has all parts. `kinds` says what mixes positions in each layer: "attention", or something
without heads and patterns ("linear attention", "a state space", "a convolution", "no mixing"). There `heads` and
`pattern` say so in a sentence; the stream, what is written to it and the lens are as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from course_utils.model.errors import AnatomyError
from course_utils.model.families import family_of
from course_utils.model.finding import FoundLayer, Scale, Written, below, final_norm, find_layers, find_unembedding
from course_utils.model.wrapping import as_traced

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from nnsight.intervention.envoy import Envoy

__all__ = ["Anatomy", "AnatomyError", "StreamOfTuple", "anatomy"]

Sources = tuple[tuple["Envoy", Scale], ...]


class StreamOfTuple:
    """A layer that puts out a tuple, seen as one that puts out the stream: the tuple's first.

    In some versions of transformers the layers of such a family put out the stream itself; that is seen when one runs.
    Reads and writes `input`, `output` and `skip` as an nnsight envoy does; anything else is the envoy's own.
    """

    def __init__(self, envoy: Envoy):
        self._envoy = envoy
        self._is_bare = False

    @property
    def input(self) -> Any:
        return self._envoy.input

    @input.setter
    def input(self, stream: torch.Tensor) -> None:
        self._envoy.input = stream

    @property
    def output(self) -> Any:
        whole = self._envoy.output
        self._is_bare = isinstance(whole, torch.Tensor)
        return whole if self._is_bare else whole[0]

    @output.setter
    def output(self, stream: torch.Tensor) -> None:
        whole = self._envoy.output
        self._envoy.output = stream if isinstance(whole, torch.Tensor) else (stream, *whole[1:])

    def skip(self, stream: torch.Tensor) -> None:
        self._envoy.skip(stream if self._is_bare else (stream, None))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_envoy":  # copying and pickling ask before there is an envoy
            raise AttributeError(name)
        return getattr(self._envoy, name)


@dataclass(frozen=True)
class Anatomy:
    """The parts of one model, as nnsight envoys to read and to write inside a trace, and its sizes.

    Get one with :func:`anatomy`. Inside a trace nnsight serves the parts in the order in which the model runs them.
    Within a layer: ``heads`` or ``out_projections[l].input``, then ``pattern`` and ``attention_written``, then
    ``mlp_written``, then ``layers[l].output``. (Where attention and MLP run in parallel, as in GPT-NeoX, the order is
    the same.)

    Attributes:
        embedding: token ids to vectors; ``.output`` is (batch, position, width), before positions are added. Some
            families scale it in the module itself (Gemma), some behind it (Granite), and some norm it (nanochat):
            ``layers[0].input`` is the start of the stream, with all that is done to it.
        layers: the decoder blocks; ``layers[0].input`` is the start of the residual stream, ``layers[l].output``
            what layer l puts out, each (batch, position, width).
        kinds: for each layer what mixes positions in it: "attention", or what stands in its place.
        attentions, mlps: each layer's two halves: the module that mixes positions, and the one that does not; None
            where a layer has none, or none in one module (OPT's MLP is two matrices of the layer).
        attention_parts, mlp_parts: the modules of each half, for whoever counts.
        out_projections: the linear map at the end of each attention; ``.input`` is (batch, position, heads * head
            width). None in a layer without heads.
        attention_sources, mlp_sources: for each layer the modules whose outputs are added to the stream, and the factor
            on each.
        keeps: for each layer the factor on what entered it (Gemma 4's layer scalar); 1.0 nearly everywhere.
        norm: the final norm.
        head: what stands between it and the unembedding; None nearly everywhere.
        unembedding: ``lm_head``, which may be tied to the embedding.
        n_layers, n_heads, n_kv_heads, head_width, width, vocabulary: sizes; of heads, those of the first layer that has
            any.
        head_counts, kv_head_counts, head_widths: the same for each layer, 0 where there are no heads. A head's width is
            that of its value, and so of what the output projection reads.
        kept_numbers: for each layer how many numbers a cache keeps of each token. With weights here, those of a real
            cache.
        kept_windows: of how many tokens at most, itself included, or None.
        shows_patterns: whether the attention modules hand their weights out at all.
        sinks: whether rows of the pattern sum to less than 1, since each head may also look at nothing (gpt-oss).
        context: the longest input in tokens that the model was made for, or None if the configuration does not say.
        windows: for each layer the width of its sliding attention window in tokens, or None where it sees everything.
        logit_cap: c in c * tanh(logits / c) (Gemma 2), or None.
        logit_scale: a factor on the logits (Cohere, Granite).
        parallel: True where attention and MLP read the same input (GPT-NeoX, Cohere).
    """

    model: TransformersModel = field(repr=False)
    embedding: Envoy = field(repr=False)
    layers: list[Any] = field(repr=False)
    attentions: list[Any] = field(repr=False)
    mlps: list[Any] = field(repr=False)
    attention_parts: list[tuple[Envoy, ...]] = field(repr=False)
    mlp_parts: list[tuple[Envoy, ...]] = field(repr=False)
    out_projections: list[Any] = field(repr=False)
    attention_sources: list[Sources] = field(repr=False)
    mlp_sources: list[Sources] = field(repr=False)
    keeps: list[Scale] = field(repr=False)
    norm: Envoy = field(repr=False)
    head: Any = field(repr=False)
    unembedding: Envoy = field(repr=False)
    family: str
    kinds: tuple[str, ...] = field(repr=False)
    head_counts: tuple[int, ...] = field(repr=False)
    kv_head_counts: tuple[int, ...] = field(repr=False)
    head_widths: tuple[int, ...] = field(repr=False)
    kept_numbers: tuple[int, ...] = field(repr=False)
    kept_windows: tuple[int | None, ...] = field(repr=False)
    width: int
    vocabulary: int
    context: int | None
    windows: tuple[int | None, ...] = field(repr=False)
    logit_cap: float | None
    logit_scale: float
    parallel: bool
    shows_patterns: bool = True
    sinks: bool = False

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    # No cached properties: those of Python 3.11 hold a lock, and a remote run packs the class with its traces.

    @property
    def n_heads(self) -> int:
        return self.head_counts[self.head_layers[0]]

    @property
    def n_kv_heads(self) -> int:
        return self.kv_head_counts[self.head_layers[0]]

    @property
    def head_width(self) -> int:
        return self.head_widths[self.head_layers[0]]

    @property
    def head_layers(self) -> list[int]:
        """The layers that have heads."""
        return [layer for layer, kind in enumerate(self.kinds) if kind == "attention"]

    @property
    def residual_scale(self) -> Scale:
        """The factor on what attention and MLP write (Granite), where it is one for all layers."""
        return self.mlp_sources[0][0][1] if self.mlp_sources[0] else 1.0

    @property
    def attention_writers(self) -> list[Any]:
        """For each layer the module whose output its attention adds to the stream; None unless it is a single one."""
        return [sources[0][0] if len(sources) == 1 else None for sources in self.attention_sources]

    @property
    def mlp_writers(self) -> list[Any]:
        """For each layer the module whose output its MLP adds to the stream, None where it is not a single one."""
        return [sources[0][0] if len(sources) == 1 else None for sources in self.mlp_sources]

    # What there is in which layer.

    def why_no_heads(self, layer: int) -> str | None:
        """The sentence that says why a layer has no heads; None if it has."""
        if self.kinds[layer] == "attention":
            return None
        having = ", ".join(map(str, self.head_layers[:8])) + (", ..." if len(self.head_layers) > 8 else "")
        instead = "nothing mixes positions there" if self.kinds[layer] == "no mixing" else f"it is {self.kinds[layer]}"
        return f"{self.family}, layer {layer} has no attention heads: {instead}. The layers with heads are {having}."

    def norm_after_heads(self, layer: int) -> Any:
        """The norm that stands between a layer's output projection and the stream (Gemma 2, OLMo 2), or None."""
        writer = self.attention_writers[layer]
        plain = (self.attentions[layer]._module, self.out_projections[layer]._module)
        return None if writer._module in plain else writer

    def why_not_alike(self) -> str | None:
        """Why what heads of all layers do cannot be one table: None where each layer has heads, as many and as wide;
        else a sentence.
        """
        if 0 in self.head_counts:
            return self.why_no_heads(self.head_counts.index(0))
        if len(set(zip(self.head_counts, self.head_widths, strict=True))) > 1:
            sizes = ", ".join(
                f"{n} of {w}" for n, w in dict.fromkeys(zip(self.head_counts, self.head_widths, strict=True))
            )
            return f"{self.family}: its layers have heads of several sizes ({sizes}), which do not fit in one table."
        return None

    def why_not_plain(self) -> str | None:
        """Why what is taken apart by hand (paths, direct effects) cannot be: None where each layer is attention and an
        MLP, each written to the stream by one module and alike in all layers; else a sentence.
        """
        one = all(len(sources) == 1 for sources in self.attention_sources + self.mlp_sources)
        factors = {factor for sources in self.attention_sources + self.mlp_sources for _, factor in sources}
        kept = all(isinstance(keep, float) and keep == 1.0 for keep in self.keeps)
        alike = self.why_not_alike() is None and len(set(self.kv_head_counts)) == 1 and len(factors) == 1
        if one and alike and kept and not self.alone:
            return None
        return (
            f"{self.family}: its layers are not all alike, or write to the stream in more than one place, so paths and "
            "direct effects cannot be taken apart. patch_heads, patch_residual and the lens work."
        )

    @property
    def alone(self) -> bool:
        """Whether a patched run has to be a whole run of its own, since a layer needs more than the stream."""
        recurrent = any(kind not in ("attention", "no mixing") for kind in self.kinds)
        return recurrent or "no mixing" in self.kinds or 0 in self.kept_numbers or family_of(self.family).alone

    # In a trace: what to read.

    def heads(self, layer: int) -> torch.Tensor:
        """What each head of a layer found, before the output projection mixes the heads (in a trace).

        Returns a view of shape (batch, position, head, head width); written to in place, it changes the run.
        """
        if (why := self.why_no_heads(layer)) is not None:
            raise AnatomyError(why)
        return self.split_heads(self.out_projections[layer].input, layer)

    def pattern(self, layer: int) -> torch.Tensor:
        """The layer's attention weights (in a trace), (batch, head, query position, key position).

        Each row sums to 1; where the model has `sinks`, to less: the rest is the weight on the sink, which is no token.
        """
        if (why := self.why_no_heads(layer)) is not None:
            raise AnatomyError(why)
        if not self.shows_patterns:
            raise AnatomyError(f"{self.family}: its attention keeps its weights to itself, so there are no patterns.")
        weights = self.attentions[layer].output[1]
        if weights is None:
            raise AnatomyError(
                "The attention weights are not there: the model runs an attention kernel that does not keep them. "
                'Load it with load_model(...), or pass attn_implementation="eager" to transformers.'
            )
        return weights

    def attention_written(self, layer: int) -> torch.Tensor:
        """What the layer's attention, or what stands in its place, adds to the residual stream (in a trace), (batch,
        position, width).
        """
        return self._written(self.attention_sources[layer], self.mlp_sources[layer], layer)

    def mlp_written(self, layer: int) -> torch.Tensor:
        """What the layer's MLP, or its experts, adds to the residual stream (in a trace), (batch, position, width)."""
        return self._written(self.mlp_sources[layer], self.attention_sources[layer], layer)

    def _written(self, sources: Sources, others: Sources, layer: int) -> torch.Tensor:
        if not sources:  # a layer with one half: what the other would write is nothing, of the same shape
            return torch.zeros_like(first_of(others[0][0].output))
        outputs = [first_of(source.output) * scale for source, scale in sources]
        if any(output.ndim == 2 for output in outputs):  # the batch's rows one after another
            shape = self.layers[layer].output.shape
            outputs = [output.view(shape) for output in outputs]
        return sum(outputs[1:], outputs[0])

    # In a trace or outside: what the parts compute.

    def as_it_ends(self, stacked: torch.Tensor) -> torch.Tensor:
        """What was written into the stream, as it stands in the last one: a layer may scale what enters it (Gemma 4).

        `stacked` is (2 * layer + 1, ...): the start, then each layer's two halves. It is changed in place.
        """
        for layer, keep in enumerate(self.keeps):
            if not isinstance(keep, float) or keep != 1.0:
                stacked[: 2 * layer + 1] *= keep
        return stacked

    def kept(self, n_tokens: int) -> int:
        """How many numbers a cache holds of one text of `n_tokens`, over all layers: keys and values.

        The state of a recurrent layer or a convolution, as large however long the text, is not counted.
        """
        layers = zip(self.kept_numbers, self.kept_windows, strict=True)
        return sum(numbers * (n_tokens if w is None else min(n_tokens, w - 1)) for numbers, w in layers)

    def split_heads(self, joined: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        """(..., heads * head width) to a view of shape (..., head, head width); `layer` where layers differ."""
        heads = self.n_heads if layer is None else self.head_counts[layer]
        return joined.unflatten(-1, (heads, joined.shape[-1] // heads))

    def normalise(self, residual: torch.Tensor) -> torch.Tensor:
        """The final norm of a residual of shape (..., width), and the model's head behind it where it has one
        (ModernBERT).
        """
        normed = _call(self.norm, residual)
        return normed if self.head is None else _call(self.head, normed)

    def logits(self, normed: torch.Tensor) -> torch.Tensor:
        """The unembedding of an already normalised residual (..., width), (..., vocabulary).

        With the model's scale and cap.
        """
        return self.finish_logits(_call(self.unembedding, normed))

    def finish_logits(self, scores: torch.Tensor) -> torch.Tensor:
        """Bare unembedding scores to the model's logits: its scale and its cap, where it has them. Any shape."""
        if self.logit_scale != 1.0:
            scores = scores * self.logit_scale
        if self.logit_cap is not None:
            scores = self.logit_cap * torch.tanh(scores / self.logit_cap)
        return scores

    def unembed(self, residual: torch.Tensor) -> torch.Tensor:
        """A residual (..., width) through the final norm and the unembedding, (..., vocabulary): the lens's step."""
        return self.logits(self.normalise(residual))


def anatomy(model: TransformersModel) -> Anatomy:
    """The parts of ``model``; found and proven once, then remembered.

    Raises:
        ValueError: it is no model, or a plain transformers model whose tokenizer is not known.
        AnatomyError: the model is no decoder-only language model, a part was not found, or the parts that were found do
            not reproduce the model's own layers and logits. The message names the part.
    """
    from course_utils.model.proving import prove, prove_by_twin

    model = as_traced(model)
    known = model.__dict__.get("_course_anatomy")
    if known is None:
        found = find(model)
        here = not any(parameter.is_meta for parameter in model._module.parameters())
        known = model.__dict__["_course_anatomy"] = prove(found) if here else prove_by_twin(found, find)
    return known


def find(model: TransformersModel) -> Anatomy:
    """The parts of a model as they are found, before they are proven; raises as :func:`anatomy`."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    hf = model._module
    config = hf.config.get_text_config(decoder=True)
    family = config.model_type
    encoder_only = family in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", True)
    if encoder_only or getattr(hf.config, "is_encoder_decoder", False) or not hf.can_generate():
        raise AnatomyError(
            f"{family} is not a decoder-only language model: the course needs one that predicts the next token from "
            "those before it, such as GPT-2, Llama, Qwen, Phi or Gemma."
        )
    names = {module: name for name, module in hf.named_modules()}

    def envoy(module: torch.nn.Module | None) -> Any:
        if module is None:
            return None
        found: Any = model
        for step in names[module].split("."):
            found = found[int(step)] if step.isdigit() else getattr(found, step)
        return found

    def sources(written: Written) -> Sources:
        return tuple((envoy(module), scale) for module, scale in written)

    holder, layers = find_layers(hf, config)
    unembedding = find_unembedding(hf)
    if unembedding is None:
        raise AnatomyError(f"{family}: looked for the unembedding with get_output_embeddings() and found none.")
    blocks = [envoy(layer.block) for layer in layers]
    return Anatomy(
        model=model,
        embedding=envoy(hf.get_input_embeddings()),
        layers=[StreamOfTuple(block) for block in blocks] if family_of(family).tuples else blocks,
        attentions=[envoy(first_of(layer.mixers[:1] or (None,))) for layer in layers],
        mlps=[envoy(layer.mlp) for layer in layers],
        attention_parts=[tuple(envoy(one) for one in layer.mixers) for layer in layers],
        mlp_parts=[tuple(envoy(one) for one in layer.mlp_parts) for layer in layers],
        out_projections=[envoy(layer.out_projection) for layer in layers],
        attention_sources=[sources(layer.attention_written) for layer in layers],
        mlp_sources=[sources(layer.mlp_written) for layer in layers],
        keeps=[layer.keeps for layer in layers],
        norm=envoy(final_norm(holder, family)),
        head=envoy(below(hf, family_of(family).head)) if family_of(family).head else None,
        unembedding=envoy(unembedding),
        family=family,
        kinds=tuple(layer.kind for layer in layers),
        head_counts=tuple(layer.n_heads for layer in layers),
        kv_head_counts=tuple(layer.n_kv_heads for layer in layers),
        head_widths=tuple(layer.value_width for layer in layers),
        kept_numbers=tuple(layer.kept_numbers for layer in layers),
        kept_windows=_kept_windows(hf.config, len(layers)),
        width=config.hidden_size,
        vocabulary=unembedding.weight.shape[0],
        context=getattr(config, "max_position_embeddings", None),
        windows=tuple(layer.window for layer in layers),
        logit_cap=getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None),
        logit_scale=_logit_scale(config),
        parallel=_is_parallel(layers[0], config),
    )


def _kept_windows(config: Any, n_layers: int) -> tuple[int | None, ...]:
    """How many tokens back each layer of transformers' own cache keeps, the next one included; None for all."""
    from transformers import DynamicCache

    layers = DynamicCache(config=config).layers
    # Of a window of a single token it drops nothing: its slice of the last 0 is all.
    windows = [
        layer.sliding_window if getattr(layer, "is_sliding", False) and layer.sliding_window > 1 else None
        for layer in layers
    ]
    return tuple((windows + [None] * n_layers)[:n_layers])


def _logit_scale(config: Any) -> float:
    names = ("logit_scale", "lm_head_multiplier", "output_multiplier")
    scale = next((value for name in names if (value := getattr(config, name, None))), None)
    divisor = getattr(config, "logits_scaling", None) or getattr(config, "logits_mup_width_multiplier", None)
    return float(scale or 1 / (divisor or 1.0))


def _is_parallel(layer: FoundLayer, config: Any) -> bool:
    said = getattr(config, "use_parallel_residual", None)
    if said is None and hasattr(config, "parallel_attn"):  # Falcon, whose newer layers have two norms side by side
        said = config.parallel_attn or config.new_decoder_architecture
    if said is not None:
        return bool(said)
    if layer.mlp is None or not layer.mixers:
        return False
    norms = [
        name
        for name, child in layer.block.named_children()
        if ("norm" in name or name.startswith("ln")) and not list(child.children())  # DBRX: norm_attn_norm holds both
    ]
    return len(norms) == 1  # one norm feeds both halves


def first_of(output: Any) -> Any:
    """What a module put out, or the first of what it did: some layers and all attentions put out a tuple."""
    return output[0] if isinstance(output, tuple) else output


def _call(envoy: Envoy, *inputs: torch.Tensor) -> torch.Tensor:
    # The module's own forward and not its call: inside a trace nnsight's hooks would take a call for the model's run.
    return envoy._module.forward(*inputs)
