"""Where the parts of a decoder-only language model are, whatever its architecture.

Every family names its parts differently: ``transformer.h`` and ``attn.c_proj`` in GPT-2, ``model.layers`` and
``self_attn.o_proj`` in Llama, ``gpt_neox.layers`` and ``attention.dense`` in Pythia. The lessons name none of them.
They ask::

    parts = anatomy(model)
    with model.trace("The Eiffel Tower is in the city of"):
        middle = parts.layers[15].output.save()          # (batch, position, width)
        heads = parts.heads(15).save()                   # (batch, position, head, head width)
        logits = parts.unembed(middle[:, -1]).save()     # (batch, vocabulary)

The parts are found by their role in the module tree, and then they have to prove themselves: on one short trace, each
layer's input plus what its attention and its MLP wrote must be its output, and the last layer's output through the
final norm and the unembedding must be the model's own logits. An architecture for which that is not so is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from course_utils.model.wrapping import as_traced

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from nnsight.intervention.envoy import Envoy

ATTENTION_NAMES = ("self_attn", "attn", "attention", "self_attention")
MLP_NAMES = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
OUT_PROJECTION_NAMES = ("o_proj", "c_proj", "dense", "out_proj", "wo")
FINAL_NORM_NAMES = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm")
# Some families normalise what attention and MLP put out before it is added to the stream. Both names of a pair must be
# there: alone, `post_attention_layernorm` is Llama's name for the norm in front of the MLP.
POST_NORM_PAIRS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),  # Gemma 2 and 3, OLMo 2
    ("post_self_attn_layernorm", "post_mlp_layernorm"),  # GLM-4
)


class AnatomyError(ValueError):
    """The model is not a decoder whose parts this course can find; the message says what was looked for."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of one model, as nnsight envoys to read and to write inside a trace, and its sizes.

    Get one with :func:`anatomy`. Inside a trace nnsight serves the parts in the order in which the model runs them.
    Within a layer: ``heads`` or ``out_projections[l].input``, then ``pattern`` and ``attention_written``, then
    ``mlp_written``, then ``layers[l].output``. (Where attention and MLP run in parallel, as in GPT-NeoX, the order is
    the same.)

    Attributes:
        embedding: token ids to vectors; ``.output`` is (batch, position, width), before positions and scaling.
        layers: the decoder blocks; ``layers[0].input`` is the start of the residual stream, ``layers[l].output``
            what layer l puts out, each (batch, position, width).
        attentions, mlps: each layer's two halves.
        out_projections: the linear map at the end of each attention; ``.input`` is (batch, position, heads * head
            width).
        norm: the final norm. unembedding: ``lm_head``, which may be tied to the embedding.
        n_layers, n_heads, n_kv_heads, head_width, width, vocabulary: sizes.
        context: the longest input in tokens that the model was made for, or None if the configuration does not say.
        windows: for each layer the width of its sliding attention window in tokens, or None where it sees everything.
        logit_cap: c in c * tanh(logits / c) (Gemma 2), or None. logit_scale: a factor on the logits (Cohere, Granite).
        embedding_scale: the factor on the embedding (Gemma's sqrt(width)). residual_scale: the factor on what
            attention and MLP write (Granite).
        parallel: True where attention and MLP read the same input (GPT-NeoX, Cohere).
    """

    model: TransformersModel = field(repr=False)
    embedding: Envoy = field(repr=False)
    layers: list[Envoy] = field(repr=False)
    attentions: list[Envoy] = field(repr=False)
    mlps: list[Envoy] = field(repr=False)
    out_projections: list[Envoy] = field(repr=False)
    attention_writers: list[Envoy] = field(repr=False)
    mlp_writers: list[Envoy] = field(repr=False)
    norm: Envoy = field(repr=False)
    unembedding: Envoy = field(repr=False)
    family: str
    n_heads: int
    n_kv_heads: int
    head_width: int
    width: int
    vocabulary: int
    context: int | None
    windows: tuple[int | None, ...] = field(repr=False)
    logit_cap: float | None
    logit_scale: float
    embedding_scale: float
    residual_scale: float
    parallel: bool

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    # In a trace: what to read.

    def heads(self, layer: int) -> torch.Tensor:
        """What each head of a layer found, before the output projection mixes the heads (in a trace).

        Returns a view of shape (batch, position, head, head width); written to in place, it changes the run.
        """
        return self.split_heads(self.out_projections[layer].input)

    def pattern(self, layer: int) -> torch.Tensor:
        """The layer's attention weights (in a trace), (batch, head, query position, key position).

        Each row sums to 1.
        """
        weights = self.attentions[layer].output[1]
        if weights is None:
            raise AnatomyError(
                "The attention weights are not there: the model runs an attention kernel that does not keep them. "
                'Load it with load_model(...), or pass attn_implementation="eager" to transformers.'
            )
        return weights

    def attention_written(self, layer: int) -> torch.Tensor:
        """What the layer's attention adds to the residual stream (in a trace), (batch, position, width)."""
        return _first(self.attention_writers[layer].output) * self.residual_scale

    def mlp_written(self, layer: int) -> torch.Tensor:
        """What the layer's MLP adds to the residual stream (in a trace), (batch, position, width)."""
        return _first(self.mlp_writers[layer].output) * self.residual_scale

    # In a trace or outside: what the parts compute.

    def split_heads(self, joined: torch.Tensor) -> torch.Tensor:
        """(..., heads * head width) to a view of shape (..., head, head width)."""
        return joined.unflatten(-1, (self.n_heads, self.head_width))

    def normalise(self, residual: torch.Tensor) -> torch.Tensor:
        """The final norm of a residual of shape (..., width)."""
        return _call(self.norm, residual)

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
    model = as_traced(model)
    known = model.__dict__.get("_course_anatomy")
    if known is None:
        known = _find(model)
        if not any(
            p.is_meta for p in model._module.parameters()
        ):  # a model that runs elsewhere has no weights to try here
            prove(known)
        model.__dict__["_course_anatomy"] = known
    return known


def prove(parts: Anatomy, tolerance: float = 1e-3) -> None:
    """Trace a few tokens through the parts and compare with what the model itself computes.

    ``tolerance`` is relative to the largest number compared (half precision is given 30 times as much).

    Raises:
        AnatomyError: naming the first part that does not add up.
    """
    import nnsight

    dtype = next(parts.model._module.parameters()).dtype
    if dtype in (torch.float16, torch.bfloat16):
        tolerance *= 30
    tokens = torch.tensor([[token % parts.vocabulary for token in (3, 14, 15, 92)]])
    steps: list[tuple] = []
    with torch.no_grad():
        with parts.model.trace(tokens):
            for layer in range(parts.n_layers):
                before = parts.layers[layer].input
                heads_width = parts.out_projections[layer].input.shape[-1]
                attention = parts.attention_written(layer)
                mlp = parts.mlp_written(layer)
                steps.append((before, heads_width, attention, mlp, parts.layers[layer].output))
            logits = parts.model.output.logits.save()
            nnsight.save(steps)

        for layer, (before, heads_width, attention, mlp, after) in enumerate(steps):
            if not isinstance(after, torch.Tensor):
                raise AnatomyError(
                    f"{parts.family}: a layer puts out a {type(after).__name__}; the course reads one tensor "
                    "(batch, position, width)."
                )
            if heads_width != parts.n_heads * parts.head_width:
                raise AnatomyError(
                    f"{parts.family}, layer {layer}: the output projection reads {heads_width} numbers for each token, "
                    f"which are not {parts.n_heads} heads of {parts.head_width}."
                )
            _must_agree(
                before + attention + mlp,
                after,
                tolerance,
                parts,
                f"layer {layer}: input + attention + MLP is not its output",
            )
        _must_agree(
            parts.unembed(steps[-1][-1]), logits, tolerance, parts,
            "the last layer's output through the final norm and the unembedding does not give the model's logits",
        )  # fmt: skip


def _must_agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float, parts: Anatomy, what: str) -> None:
    ours, theirs = ours.float().cpu(), theirs.float().cpu()
    worst = float((ours - theirs).abs().max())
    if not worst <= tolerance * max(1.0, float(theirs.abs().max())):
        raise AnatomyError(
            f"{parts.family}: {what} (they differ by up to {worst:.3g}). This architecture does something between "
            "its parts that the course does not know, so its lessons would show wrong numbers. Try another model."
        )


def _find(model: TransformersModel) -> Anatomy:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    hf = model._module
    config = hf.config.get_text_config()
    family = config.model_type
    encoder_only = family in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", True)
    if encoder_only or getattr(hf.config, "is_encoder_decoder", False) or not hf.can_generate():
        raise AnatomyError(
            f"{family} is not a decoder-only language model: the course needs one that predicts the next token from "
            "those before it, such as GPT-2, Llama, Qwen, Phi or Gemma."
        )
    envoys = {module: name for name, module in hf.named_modules()}

    def envoy(module: torch.nn.Module) -> Envoy:
        found: Any = model
        for step in envoys[module].split("."):
            found = found[int(step)] if step.isdigit() else getattr(found, step)
        return found

    decoder = hf.get_decoder()
    blocks = _layer_list(decoder, config, family)
    attentions = [_child(block, ATTENTION_NAMES, "attention", family) for block in blocks]
    mlps = [_child(block, MLP_NAMES, "MLP", family) for block in blocks]
    outs = [_child(attention, OUT_PROJECTION_NAMES, "attention output projection", family) for attention in attentions]
    attention_writers, mlp_writers = attentions, mlps
    for after_attention, after_mlp in POST_NORM_PAIRS:
        if hasattr(blocks[0], after_attention) and hasattr(blocks[0], after_mlp):
            attention_writers = [getattr(block, after_attention) for block in blocks]
            mlp_writers = [getattr(block, after_mlp) for block in blocks]
    unembedding = hf.get_output_embeddings()
    if unembedding is None:
        raise AnatomyError(f"{family}: looked for the unembedding with get_output_embeddings() and found none.")

    width = config.hidden_size
    n_heads = config.num_attention_heads
    attention = attentions[0]
    # The module knows best; `config.head_dim` is missing on some families, and on others heads * head_dim is not the
    # width.
    head_width = (
        getattr(attention, "head_dim", None)
        or getattr(attention, "head_size", None)
        or getattr(config, "head_dim", None)
    )
    return Anatomy(
        model=model,
        embedding=envoy(hf.get_input_embeddings()),
        layers=[envoy(block) for block in blocks],
        attentions=[envoy(module) for module in attentions],
        mlps=[envoy(module) for module in mlps],
        out_projections=[envoy(module) for module in outs],
        attention_writers=[envoy(module) for module in attention_writers],
        mlp_writers=[envoy(module) for module in mlp_writers],
        norm=envoy(_child(decoder, FINAL_NORM_NAMES, "final norm", family)),
        unembedding=envoy(unembedding),
        family=family,
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        head_width=head_width or width // n_heads,
        width=width,
        vocabulary=unembedding.weight.shape[0],
        context=getattr(config, "max_position_embeddings", None),
        windows=_windows(config, len(blocks)),
        logit_cap=getattr(config, "final_logit_softcapping", None),
        logit_scale=float(getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1.0)),
        embedding_scale=_embedding_scale(hf.get_input_embeddings(), config),
        residual_scale=float(getattr(config, "residual_multiplier", None) or 1.0),
        parallel=_is_parallel(blocks[0], config),
    )


def _layer_list(decoder: torch.nn.Module, config: Any, family: str) -> list[torch.nn.Module]:
    lists = {name: module for name, module in decoder.named_children() if isinstance(module, torch.nn.ModuleList)}
    for module in lists.values():
        if len(module) == config.num_hidden_layers:
            return list(module)
    raise AnatomyError(
        f"{family}: looked for a list of {config.num_hidden_layers} layers in {type(decoder).__name__}; "
        f"found {', '.join(f'{name} ({len(module)})' for name, module in lists.items()) or 'no list of modules'}."
    )


def _child(parent: torch.nn.Module, names: tuple[str, ...], role: str, family: str) -> torch.nn.Module:
    for name in names:
        if isinstance(getattr(parent, name, None), torch.nn.Module):
            return getattr(parent, name)
    children = ", ".join(name for name, _ in parent.named_children()) or "nothing"
    raise AnatomyError(
        f"{family}: looked for the {role} in {type(parent).__name__} as {', '.join(names)}; found {children}."
    )


def _windows(config: Any, n_layers: int) -> tuple[int | None, ...]:
    width = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:  # Mistral's configuration has a window and no kinds: every layer slides
        kinds = ["sliding_attention"] * n_layers if width else ["full_attention"] * n_layers
    return tuple(width if kind == "sliding_attention" else None for kind in kinds)


def _embedding_scale(embedding: torch.nn.Module, config: Any) -> float:
    scale = getattr(embedding, "embed_scale", None)
    if isinstance(scale, torch.Tensor) and scale.is_meta:  # a model without its weights: the number itself is beside it
        scale = getattr(embedding, "scalar_embed_scale", None)
    if scale is None:
        scale = getattr(config, "embedding_multiplier", None)
    if scale is None and config.model_type in ("gemma", "gemma2"):  # these two scale in the decoder's forward
        scale = config.hidden_size**0.5
    return 1.0 if scale is None else float(scale)


def _is_parallel(block: torch.nn.Module, config: Any) -> bool:
    if config.model_type == "gpt_neox":
        return bool(config.use_parallel_residual)
    norms = [name for name, _ in block.named_children() if "norm" in name or name.startswith("ln")]
    return len(norms) == 1  # one norm feeds both halves


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _call(envoy: Envoy, *inputs: torch.Tensor) -> torch.Tensor:
    # The module's own forward and not its call: inside a trace nnsight's hooks would take a call for the model's run.
    return envoy._module.forward(*inputs)
