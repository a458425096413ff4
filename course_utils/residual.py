"""The residual stream: one vector for each token, which every layer reads and adds to.

Each token starts as its embedding. Each layer's attention and MLP read the vector, compute something, and add it. What
stands there after the last layer becomes the logits. So the stream is a sum, and a trace can read every term of it. The
picture of the stream as a channel that layers write to is that of Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits" (https://transformer-circuits.pub/2021/framework/index.html).

Depths count from 0: depth 0 is the start of the stream (the embedding), depth l + 1 is what layer l puts out. What
runs a model takes one text at a time, and leaves the batch dimension out of what it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import nnsight
import torch

from course_utils.model.anatomy import Anatomy, anatomy, first_of
from course_utils.model.experts import describe_mlp, find_experts
from course_utils.model.prompts import token_id, token_ids
from course_utils.model.whole_numbers import place

if TYPE_CHECKING:
    from nnsight import TransformersModel

__all__ = [
    "GEMMA_3_1B",
    "GEMMA_3_270M",
    "another_break",
    "attention_mask",
    "attention_patterns",
    "blueprint",
    "count_parameters",
    "induction_scores",
    "layer_output_with_hook",
    "mask_kind",
    "model_card",
    "ordinary_vector",
    "previous_token_scores",
    "residual_stream",
    "stream_change",
    "stream_parts",
    "word_position",
    "word_similarity",
]


# The stream.


def residual_stream(model: TransformersModel, prompt: str) -> torch.Tensor:
    """The residual stream at every depth and position, from one trace.

    Returns a tensor (depth, position, width). Depth 0 is what the first layer reads, depth l + 1 what layer l puts out.
    """
    parts = anatomy(model)
    with model.trace([token_ids(model, prompt)]):
        depths = [parts.layers[0].input]  # (batch, position, width)
        for layer in parts.layers:
            depths.append(layer.output)
        stream = nnsight.save(torch.cat(depths))  # the batch is one prompt, so its place can be the depth's
    return stream


def stream_change(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    """How far the stream moves when a prompt is changed: the length of the difference over the length before.

    The two prompts must have equally many tokens. Returns a tensor (depth, position): the Euclidean norm of the
    changed prompt's stream minus the prompt's, divided by the norm of the prompt's. 0: the same. 1: moved as far as
    it was long.

    Raises:
        ValueError: the prompts have different numbers of tokens.
    """
    lengths = [len(token_ids(model, text)) for text in (prompt, changed)]
    if lengths[0] != lengths[1]:
        raise ValueError(
            f"The prompts have {lengths[0]} and {lengths[1]} tokens: give two with equally many, so that positions "
            "can be compared."
        )
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return (after - before).norm(dim=-1) / before.norm(dim=-1)


def word_position(model: TransformersModel, prompt: str, word: str) -> int:
    """The position of a word in a prompt. The space before it belongs to it: " break", not "break".

    Raises:
        ValueError: the word is not a single token, or is not in the prompt exactly once. The message shows the tokens.
    """
    wanted, ids = token_id(model, word), token_ids(model, prompt)
    if ids.count(wanted) != 1:
        tokens = [model.tokenizer.decode([token]) for token in ids]
        raise ValueError(
            f"{word!r} is {ids.count(wanted)} times among the prompt's tokens {tokens}; it must be there once. "
            "The space before a word belongs to it."
        )
    return ids.index(wanted)


def word_similarity(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    """The cosine similarity of one word's stream in two prompts, at each depth.

    Each prompt has the word, one token, exactly once, anywhere. Returns a tensor (depth,): 1 where the two
    vectors point the same way, 0 where they are at right angles.
    """
    one = residual_stream(model, first)[:, word_position(model, first, word)]  # (depth, width)
    other = residual_stream(model, second)[:, word_position(model, second, word)]
    return torch.cosine_similarity(one, other, dim=-1)


def another_break(model: TransformersModel, sentence: str) -> str:
    """A sentence of your own whose " break" is neither like that of ``sentence`` nor quite unlike it.

    The cosine similarity of the two vectors at depth 15 lies between 0.7 and 0.8. " break" stands in it once.
    """
    own = (
        "After years of bad luck the actor got his big break",
        "We have worked for three hours, so let us take a break",
        "If you drop the glass on the floor, it will break",
    )
    for text in own:
        if 0.7 <= float(word_similarity(model, sentence, text, " break")[15]) <= 0.8:
            return text
    return own[-1]


# The stream as a sum.


def stream_parts(model: TransformersModel, prompt: str) -> torch.Tensor:
    """Everything that is added up in the stream, in the order in which it is written.

    Returns a tensor (part, position, width). Part 0 is the start of the stream, part 2 * l + 1 what layer l's attention
    adds, part 2 * l + 2 what its MLP adds. The sum over the parts is the stream after the last layer.
    """
    parts = anatomy(model)
    with model.trace([token_ids(model, prompt)]):
        written = [parts.layers[0].input]
        for layer in range(parts.n_layers):
            written.append(parts.attention_written(layer))
            written.append(parts.mlp_written(layer))
        stacked = nnsight.save(torch.cat(written))
    return parts.as_it_ends(stacked)


# Sizes.


def count_parameters(model: TransformersModel) -> dict[str, int]:
    """How many numbers the model has learned, by where they are.

    Returns {"embedding": ..., "attention": ..., "mlp": ..., "other": ..., "total": ...}, each for the whole model.
    "embedding" is the embedding and the unembedding (one matrix where they are tied), "attention" and "mlp" are
    those of all layers, "other" is the rest: norms, and position tables where there are any.
    """
    parts = anatomy(model)

    def size(modules: Any) -> int:
        # Two modules may hold the same matrix: by id it is counted once.
        unique = {id(weight): weight.numel() for module in modules for weight in module._module.parameters()}
        return sum(unique.values())

    counts = {
        "embedding": size([parts.embedding, parts.unembedding]),
        "attention": size(chain.from_iterable(parts.attention_parts)),
        "mlp": size(chain.from_iterable(parts.mlp_parts)),
    }
    total = size([model])
    return counts | {"other": total - sum(counts.values()), "total": total}


def _count_text_side(parts: Anatomy) -> int:
    """How many numbers what runs on a text has learned: all but the towers of a model that also sees or hears."""
    hf = parts.model._module
    if hf.config.get_text_config(decoder=True) is hf.config:
        return sum(weight.numel() for weight in hf.parameters())
    modules = (hf.get_decoder(), parts.embedding._module, parts.unembedding._module)
    return sum({id(weight): weight.numel() for one in modules for weight in one.parameters()}.values())


# What each token looks at.


def attention_patterns(model: TransformersModel, ids: Sequence[int]) -> torch.Tensor:
    """Every head's attention weights on a sequence of token ids.

    Returns a tensor (layer, head, query position, key position). Each row over the keys sums to 1.

    Raises:
        ValueError: there are no ids, or one is not in the vocabulary.
    """
    parts = anatomy(model)
    if not len(ids) or not all(0 <= token < parts.vocabulary for token in ids):
        raise ValueError(f"Expected at least one token id, each from 0 to {parts.vocabulary - 1}; got {list(ids)[:8]}.")
    with model.trace([list(ids)]):
        patterns = nnsight.save([parts.pattern(layer)[0] for layer in parts.head_layers])  # each (head, query, key)
    size = (max(parts.head_counts), len(ids), len(ids))
    # NaN in a layer without heads. With attention sinks (gpt-oss) a row sums to less: the rest is on no token.
    by_layer = [patterns[0].new_full(size, torch.nan) for _ in range(parts.n_layers)]
    for layer, pattern in zip(parts.head_layers, patterns, strict=True):
        by_layer[layer][: len(pattern)] = pattern
    return torch.stack(by_layer)


def previous_token_scores(model: TransformersModel, prompt: str) -> torch.Tensor:
    """How much each head looks at the token just before: the mean weight over all positions that have one.

    Returns a tensor (layer, head) with values from 0 to 1. Position 0 has no token before it and is left out.

    Raises:
        ValueError: the prompt has a single token.
    """
    patterns = attention_patterns(model, token_ids(model, prompt))  # (layer, head, query, key)
    n = patterns.shape[-1]
    if n < 2:
        raise ValueError(
            f"The prompt {prompt!r} is a single token: give one of at least two, so that one has a token before it."
        )
    queries = torch.arange(1, n)
    return patterns[:, :, queries, queries - 1].mean(dim=-1)


def induction_scores(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    """How much each head looks at the token after the last time this token stood here.

    The model reads the n ids of ``half`` twice, one after the other. A token of the second half, at position q, stood
    at q - n before; the score is the mean weight from q to q - n + 1, over all q of the second half
    (Olsson et al. 2022).

    Returns a tensor (layer, head) with values from 0 to 1.

    Raises:
        ValueError: ``half`` has fewer than two ids, or an id is not in the vocabulary.
    """
    n = len(half)
    if n < 2:
        raise ValueError(
            f"half has {n} token ids: give at least two, all different, so that there is a sequence to repeat."
        )
    patterns = attention_patterns(model, [*half, *half])  # (layer, head, query, key)
    queries = torch.arange(n, 2 * n)
    return patterns[:, :, queries, queries - n + 1].mean(dim=-1)


def ordinary_vector(stream: torch.Tensor) -> torch.Tensor:
    """What could stand at the first token so that nobody rests there and the text can still be read.

    Takes what layer 11 puts out, (batch, position, width), and returns a vector (width,) without the giant. It must not
    change the stream.
    """
    return stream[0, 1:].mean(dim=0)


# The same without nnsight.


def layer_output_with_hook(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    """What a layer puts out, taken with a plain PyTorch forward hook and no trace.

    Returns a tensor (position, width), the same as ``residual_stream(model, prompt)[layer + 1]``. The hook is removed
    again, also when the run fails.

    Raises:
        ValueError: there is no such layer.
    """
    layers = anatomy(model).layers
    if not 0 <= layer < len(layers):
        raise ValueError(f"There is no layer {layer}: this model's are 0 to {len(layers) - 1}.")
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        kept.append(first_of(output)[0].clone())  # the first, and only, prompt of the batch

    hook = layers[layer]._module.register_forward_hook(keep)
    try:
        model._module(input_ids=torch.tensor([token_ids(model, prompt)], device=model.device))
    finally:
        hook.remove()
    return kept[0]


# A model's card.

# What the two configurations say on the hub (config.json of google/gemma-3-270m and google/gemma-3-1b-it).
_GEMMA_3: dict[str, Any] = {
    "model_type": "gemma3_text",
    "vocab_size": 262144,
    "head_dim": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32768,
    "sliding_window": 512,
}
GEMMA_3_270M: dict[str, Any] = _GEMMA_3 | {"hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18}
GEMMA_3_1B: dict[str, Any] = _GEMMA_3 | {"hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26}


def blueprint(model_type: str, **settings: Any) -> TransformersModel:
    """A model of any size as its architecture alone: modules and shapes, no weights and nearly no memory.

    It can be counted and described, not run. ``settings`` are those of the transformers configuration of
    ``model_type``.

    Raises:
        ValueError: transformers has no such model type.
    """
    from transformers import AutoConfig

    from course_utils.model.classes import auto_class
    from course_utils.model.messages import quiet_transformers
    from course_utils.model.tiny import tiny_tokenizer

    config = AutoConfig.for_model(model_type, **settings)
    with torch.device("meta"):
        module = auto_class(config).from_config(config).eval()
    # A wrapper wants a tokenizer; no text will ever reach this one.
    with quiet_transformers():  # its text pipeline reports each model that also sees as one that it does not know
        return nnsight.TransformersModel(module, task="text-generation", tokenizer=tiny_tokenizer(), device="meta")


def model_card(model: TransformersModel) -> dict[str, Any]:
    """What one would want to know about a model before opening it, read from its modules and its configuration.

    The line "mask" is seen in a real run, and is "not seen: no weights" for a :func:`blueprint`. Of a mixture of
    experts the card also says how many parameters are attention's and the MLPs', and how many of all one token meets
    ("active").
    """
    parts = anatomy(model)
    block = parts.layers[0]._module
    norms = [name for name, child in block.named_children() if _is_norm(child)]
    after = bool(parts.attention_sources[0]) and parts.attention_sources[0][0][0] is not parts.attentions[0]
    after = after and _is_norm(parts.attention_sources[0][0][0]._module)
    before = len(norms) > 2 if after else True
    windows = [window for window in parts.windows if window is not None]
    counts = count_parameters(model)
    card: dict[str, Any] = {
        "family": parts.family,
        "parameters": counts["total"],
        "layers": parts.n_layers,
        "width": parts.width,
        "heads": parts.n_heads,
        "queries per key/value": parts.n_heads // parts.n_kv_heads,
        "head width": parts.head_width,
        "MLP": describe_mlp(parts),
        "norm": "RMSNorm" if "RMS" in type(parts.norm._module).__name__ else "LayerNorm",
        "norm stands": "before and after" if before and after else "after" if after else "before",
        "attention, MLP": "side by side" if parts.parallel else "one after the other",
        "positions": _describe_positions(model),
        "mask": _seen_mask(model),
        "window": f"{windows[0]} on {len(windows)} of {parts.n_layers}" if windows else "none",
        "vocabulary": parts.vocabulary,
        "tied embedding": parts.embedding._module.weight is parts.unembedding._module.weight,
    }
    # What most models do not have is said of those that do.
    if (towers := counts["total"] - _count_text_side(parts)) > 0:
        card["parameters, pictures and sound"] = towers
    experts = find_experts(parts)
    if experts is not None:
        card["attention parameters"], card["MLP parameters"] = counts["attention"], counts["mlp"]
        if experts.active is not None:
            idle = experts.parameters * (experts.count - experts.active) // experts.count
            card["MLP parameters, active"] = counts["mlp"] - idle
            card["parameters, active"] = counts["total"] - idle
    others = [kind for kind in parts.kinds if kind != "attention"]
    if others:
        card["layers without heads"] = f"{len(others)} of {parts.n_layers}: {', '.join(dict.fromkeys(others))}"
    if parts.sinks:
        card["attention sinks"] = "yes: a row of the pattern sums to less than 1, the rest is on no token"
    return card


def attention_mask(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    """The mask that the model hands to a layer's attention, as it is (query position, key position).

    Raises:
        ValueError: there is no such layer, it has no attention, or the model's attention kernel makes
            its mask inside, where no trace sees it.
    """
    parts = anatomy(model)
    place(layer, parts.n_layers, "layer")
    if (why := parts.why_no_heads(layer)) is not None:
        raise ValueError(why)
    with model.trace([token_ids(model, prompt)]):
        named = parts.attentions[layer].inputs[1].save()  # (positional, named) arguments
    mask = named.get("attention_mask")
    mask = mask if isinstance(mask, torch.Tensor) and mask.ndim == 4 else None
    if mask is None:
        raise ValueError(
            'The attention got no mask: load the model with load_model(...), or with attn_implementation="eager".'
        )
    return mask[0, 0]


def mask_kind(mask: torch.Tensor) -> str:
    """What a mask's values mean: "additive", "boolean" or "multiplicative".

    Additive: 0 keeps, a huge negative number hides. Multiplicative: 1 keeps, 0 hides.

    Raises:
        ValueError: the values are those of none of the three.
    """
    if mask.dtype == torch.bool:
        return "boolean"
    kept, hidden = float(mask.max()), float(mask.min())
    if kept == 0 and hidden < -1000:
        return "additive"
    if (kept, hidden) == (1, 0):
        return "multiplicative"
    raise ValueError(f"A mask with values from {hidden:g} to {kept:g} is neither additive nor multiplicative.")


def _seen_mask(model: TransformersModel) -> str:
    if any(weight.is_meta for weight in model._module.parameters()):
        return "not seen: no weights"
    try:
        return mask_kind(attention_mask(model, "The cat and the dog", anatomy(model).head_layers[0]))
    except ValueError:
        return "not seen: the attention is not handed one"


def _describe_positions(model: TransformersModel) -> str:
    """How a token's place comes in: by a table in front of the layers, or inside each attention."""
    decoder, config = model._module.get_decoder(), model.config.get_text_config(decoder=True)
    tables = [child for name, child in decoder.named_children() if name == "wpe" or "position" in name]
    if tables:
        return "learned" if any(True for _ in tables[0].parameters()) else "sinusoidal"
    if any("alibi" in name for name in dir(decoder)) and getattr(config, "alibi", True):
        return "a bias by distance (ALiBi)"
    if any("rope" in name or "rotary" in name for name in vars(config)):
        return "rotary"
    turned = any("rot" in name for name, _ in model._module.named_modules())
    return "rotary" if turned else "not found"


def _is_norm(module: torch.nn.Module) -> bool:
    return "Norm" in type(module).__name__
