"""What is peculiar to a family of models, as data: where its parts are, and how its layers add up.

A decoder's layer has a half that mixes positions (attention, in most) and a half that does not (an MLP, or a mixture of
experts), and both add to the residual stream. Which module is which is found by its role: the names below are those
that families give it. What a family does otherwise stands in `FAMILIES`, one line for each, by its `model_type` in
transformers. Nothing else in the package asks which family a model is of, except the small twin (:mod:`twin`), which
some configurations let be built only when they are bent.

Nothing here is believed: :mod:`course_utils.model.proving` runs the model, or a small random twin of it, and compares.
So a wrong line refuses a model and shows no wrong number.

To add a family: let `load_model` refuse it, read in the sentence which part was missing or does not add up, and write
the line that says so. `tests/model/test_every_family.py` then holds a small variant of it against plain hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# By role. The first name that a module has is taken; a dot goes one level down.
ATTENTION = (
    "self_attn", "attn", "attention", "self_attention", "multi_head_attention", "norm_attn_norm.attn",
    "self_att.self_attention",
)  # fmt: skip
OUT_PROJECTION = ("o_proj", "c_proj", "dense", "out_proj", "wo", "attention.out_proj", "attention_out", "Wo")
MLP = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe", "mlp_block", "shared_mlp")
FINAL_NORM = (
    "norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm", "norm_f", "layer_norm", "layernorm",
    "embedding_norm", "output_layernorm",
)  # fmt: skip
# A half that mixes positions without looking at them: what stands in the place of attention, and what it is called.
MIXERS = {
    "linear_attn": "linear attention",
    "mamba": "a state space",
    "conv": "a convolution",
    "short_conv": "a convolution",
}
# What configurations call such a layer, where its module has attention's name.
RECURRENT_KINDS = {
    "linear_attention": "linear attention",
    "conv": "a convolution",
    "recurrent": "a recurrence",
    "mamba": "a state space",
}
# Some families normalise what attention and MLP put out before it is added to the stream. Both names of a pair must be
# there: alone, `post_attention_layernorm` is Llama's name for the norm in front of the MLP.
POST_NORMS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),  # Gemma 2 to 4, OLMo 2
    ("post_self_attn_layernorm", "post_mlp_layernorm"),  # GLM-4
    ("post_attention_layernorm", "post_mlp_layernorm"),  # AFMoE
    ("post_norm1", "post_norm2"),  # HyperCLOVA X
    ("post_operator_norm", "post_ffn_norm"),  # LFM 3
    ("attn_sconv", "mlp_sconv"),  # Inkling: a short convolution in the same place
)
# Numbers on the layer by which what either half writes is multiplied.
RESIDUAL_SCALES = ("residual_multiplier", "residual_scale")


@dataclass(frozen=True)
class Source:
    """A module whose output (the first, of a tuple) is added to the stream.

    module: its path below the layer; where a layer does not have it, nothing is added.
    scale: from the layer to the factor on it, a number or a tensor that broadcasts to (batch, position, width).
    """

    module: str
    scale: Callable[[Any], Any] = lambda layer: 1.0


@dataclass(frozen=True)
class Layout:
    """Where the parts of one kind of layer are, as paths below it; None: found by its role.

    attention: what has heads; "" where this kind has none. mixer: what mixes positions without heads; "" for nothing.
    mlp: the other half; "" where there is no such half, or no single module for it.
    mlp_parts: its modules, where it has none of its own.
    attention_writes, mlp_writes: what is added to the stream; None: the half itself, or the norm behind it.
    keeps: from the layer to the factor on what entered it, in what it puts out.
    """

    attention: str | None = None
    out_projection: str | None = None
    mixer: str | None = None
    mlp: str | None = None
    mlp_parts: tuple[str, ...] = ()
    attention_writes: tuple[Source, ...] | None = None
    mlp_writes: tuple[Source, ...] | None = None
    keeps: Callable[[Any], Any] = lambda layer: 1.0


@dataclass(frozen=True)
class Family:
    """What is peculiar to one family.

    layer: the layout of its layers. kinds: that of the layers of one kind, by what the configuration calls it.
    tuples: a layer puts out a tuple, of which the stream is the first.
    head: what stands between the final norm and the unembedding, as a path below the model.
    alone: a layer needs more than the stream that enters it (the tokens, what the layer below chose, a bias for
        each row), so patched runs are whole runs of their own and share nothing.
    windowless: its configuration names a sliding window that its attention does not have.
    refused: the sentence that says why the lessons do not fit this family.
    """

    layer: Layout = field(default_factory=Layout)
    kinds: dict[str, Layout] = field(default_factory=dict)
    tuples: bool = False
    head: str = ""
    alone: bool = False
    windowless: bool = False
    refused: str = ""


_FC = Layout(mlp="", mlp_parts=("fc1", "fc2"), mlp_writes=(Source("fc2"),))
_GRANITE_EXPERTS = Family(
    Layout(
        mlp_parts=("block_sparse_moe", "shared_mlp"),
        mlp_writes=tuple(
            Source(name, lambda layer: layer.residual_multiplier) for name in ("block_sparse_moe", "shared_mlp")
        ),
    ),
    alone=True,
)
_GEMMA_4 = Family(
    Layout(
        mlp_parts=("mlp", "router", "experts", "per_layer_input_gate", "per_layer_projection"),
        attention_writes=(Source("post_attention_layernorm", lambda layer: layer.layer_scalar),),
        mlp_writes=(
            Source("post_feedforward_layernorm", lambda layer: layer.layer_scalar),
            Source("post_per_layer_input_norm", lambda layer: layer.layer_scalar),
        ),
        keeps=lambda layer: layer.layer_scalar,
    ),
    alone=True,
)
_TUPLE = Family(tuples=True)


def _muse_gate(gate: Any) -> tuple[Any, Any]:
    """The factors of Muse Spark's gate on the stream and on what is written to it, (width,) each."""
    opened = (gate.gate / gate.temperature).detach()
    written = opened.sigmoid()
    return ((-opened).sigmoid() * (1 + written)).clamp(min=gate.eps).sqrt(), written


def _zamba(shared: str) -> Family:
    """Attention and MLP in a row, whose weights several layers share, write into what a state space reads: it alone
    writes to the stream.
    """
    return Family(
        Layout(attention="", mlp=""),
        kinds={
            "hybrid": Layout(
                attention=f"{shared}.self_attn",
                mixer="mamba_decoder.mamba",
                mlp="",
                mlp_parts=(f"{shared}.feed_forward",),
                attention_writes=(Source("mamba_decoder.mamba"),),
            )
        },
        alone=True,
    )


_NO_ATTENTION = Family(
    refused="it has no attention in any layer (its layers are recurrent), so there are no heads, patterns or keys and "
    "values to look at"
)
_NORMED_STREAM = Family(
    refused="it normalises the stream itself after each layer, so its residual stream is not a sum of what its parts "
    "write, which is what the lessons take apart"
)
_SEVERAL_STREAMS = Family(
    refused="its layers carry several residual streams side by side and mix them, and the lessons follow one"
)
_WANTS_A_PICTURE = Family(refused="it reads a picture or a sound with every text, and the lessons give it a text alone")
_LOOPS = Family(refused="it runs the same layers several times over, so there is no one stream through its layers")

FAMILIES: dict[str, Family] = {
    # An MLP that is two matrices of the layer. OPT flattens its batch in front of it.
    "opt": Family(_FC, alone=True),
    "xglm": Family(_FC, alone=True),
    "biogpt": Family(_FC, alone=True),
    # An index of keys beside the cache, which no patched run can share.
    "deepseek_v32": Family(alone=True),
    "axk2": Family(alone=True),
    # Layers that put out tuples.
    "gptj": _TUPLE,
    "codegen": _TUPLE,
    "gpt_neo": _TUPLE,
    "gpt_neox_japanese": _TUPLE,
    "mpt": Family(Layout(mlp_writes=(Source("ffn.down_proj"),)), tuples=True, alone=True),
    # Attention and MLP are handed the stream and add to it inside. The bias by distance has a row for each prompt.
    "bloom": Family(
        Layout(attention_writes=(Source("self_attention.dense"),), mlp_writes=(Source("mlp.dense_4h_to_h"),)),
        tuples=True,
        alone=True,
    ),
    "falcon": Family(tuples=True, alone=True),
    "cpmant": Family(
        refused="it puts vectors of its own in front of the text, so its positions are not those of the tokens"
    ),
    # Experts beside, or in the place of, one MLP; their layers hand on more than the stream.
    "llama4_text": Family(alone=True),
    "zaya": Family(tuples=True, alone=True),
    "glm_moe_dsa": Family(tuples=True, alone=True),
    "mistral_large4_text": Family(tuples=True, alone=True),
    "hy_v4": _SEVERAL_STREAMS,
    # Attention in some layers only.
    "bamba": _TUPLE,
    "falcon_h1": Family(
        Layout(
            mixer="mamba",
            attention_writes=(
                Source("mamba", lambda layer: layer.ssm_out_multiplier),
                Source("self_attn", lambda layer: layer.attn_out_multiplier),
            ),
        ),
        tuples=True,
        alone=True,
    ),
    "granitemoehybrid": _GRANITE_EXPERTS,
    "granitemoeshared": _GRANITE_EXPERTS,
    "granitemoe_swa": _GRANITE_EXPERTS,
    "nemotron_h": Family(
        kinds={
            "full_attention": Layout(attention="mixer", mlp=""),
            "linear_attention": Layout(attention="", mixer="mixer", mlp=""),
            "moe": Layout(attention="", mixer="", mlp="mixer"),
            "mlp": Layout(attention="", mixer="", mlp="mixer"),
        }
    ),
    "recurrent_gemma": Family(
        kinds={
            "sliding_attention": Layout(attention="temporal_block"),
            "linear_attention": Layout(attention="", mixer="temporal_block"),
        }
    ),
    "zamba": _zamba("shared_transf"),
    "zamba2": _zamba("shared_transformer"),
    "modernbert-decoder": Family(head="lm_head"),
    # What each layer reads of the tokens besides the stream, and a number on the whole layer.
    "gemma4_text": _GEMMA_4,
    "gemma4_unified_text": _GEMMA_4,
    "moshi": Family(windowless=True),
    # Short convolutions behind each half keep a state of their own in the cache.
    "inkling_text": Family(alone=True),
    # Factors on what is carried on, for each layer by its number or for each dimension.
    "beam": Family(
        Layout(
            attention_writes=(Source("post_attention_layernorm", lambda layer: layer.mlp_residual_add_idx**-0.5),),
            mlp_writes=(Source("post_feedforward_layernorm", lambda layer: layer.mlp_residual_add_idx**-0.5),),
            keeps=lambda layer: ((layer.attn_residual_add_idx - 1) / layer.mlp_residual_add_idx) ** 0.5,
        ),
        alone=True,
    ),
    "muse_spark_text": Family(
        Layout(
            attention_writes=(
                Source(
                    "post_attention_layernorm",
                    lambda layer: (
                        _muse_gate(layer.post_attention_residual_gate)[1]
                        * _muse_gate(layer.post_feedforward_residual_gate)[0]
                    ),
                ),
            ),
            mlp_writes=(
                Source(
                    "post_feedforward_layernorm",
                    lambda layer: _muse_gate(layer.post_feedforward_residual_gate)[1],
                ),
            ),
            keeps=lambda layer: (
                _muse_gate(layer.post_attention_residual_gate)[0] * _muse_gate(layer.post_feedforward_residual_gate)[0]
            ),
        ),
        alone=True,
    ),
    "doge": Family(
        Layout(
            attention_writes=(Source("self_attn", lambda layer: layer.post_attention_residual),),
            keeps=lambda layer: layer.input_residual * layer.post_attention_residual,
        ),
        alone=True,
    ),
    # No sum, or not one stream.
    "openai-gpt": _NORMED_STREAM,
    "bert-generation": _NORMED_STREAM,
    "minimax": _NORMED_STREAM,
    "xlnet": _NORMED_STREAM,
    "gemma3n_text": _SEVERAL_STREAMS,
    "gemma3n": _SEVERAL_STREAMS,
    "deepseek_v4": _SEVERAL_STREAMS,
    "qwen4_exp_text": _SEVERAL_STREAMS,
    "inkling2_text": _SEVERAL_STREAMS,
    "glm5_next_text": _SEVERAL_STREAMS,
    "hrm_text": _LOOPS,
    "longcat_flash": Family(
        refused="each of its layers has two attentions and three MLPs, and the lessons know one of each"
    ),
    "jetmoe": Family(refused="its attention heads are experts, chosen anew for each token, so no head has a number"),
    "blt": Family(
        refused="it reads bytes, and joins them to patches of changing length, where the lessons read tokens"
    ),
    # Whole models, by what the configuration of the whole is called.
    "blip-2": _WANTS_A_PICTURE,
    "idefics": _WANTS_A_PICTURE,
    "instructblip": _WANTS_A_PICTURE,
    "instructblipvideo": _WANTS_A_PICTURE,
    "kosmos-2": _WANTS_A_PICTURE,
    "voxtral_realtime": _WANTS_A_PICTURE,
    "mllama_text_model": Family(refused="some of its layers look at pictures alone, and are passed over in a text"),
    "git": _NORMED_STREAM,
    "trocr": _NORMED_STREAM,
    "mamba": _NO_ATTENTION,
    "mamba2": _NO_ATTENTION,
    "falcon_mamba": _NO_ATTENTION,
    "rwkv": _NO_ATTENTION,
    "xlstm": _NO_ATTENTION,
}


def family_of(model_type: str) -> Family:
    """What is peculiar to a family; of one that is not in the table, nothing is."""
    return FAMILIES.get(model_type, Family())
