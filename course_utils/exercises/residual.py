"""The exercises of lesson 2, the residual stream: their inputs, and what each wrong answer is told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import nnsight
import torch

from course_utils.exercises.drawing import text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.model.prompts import token_ids
from course_utils.residual import (
    attention_patterns,
    count_parameters,
    induction_scores,
    layer_output_with_hook,
    previous_token_scores,
    residual_stream,
    stream_change,
    stream_parts,
    word_position,
    word_similarity,
)

if TYPE_CHECKING:
    from nnsight import TransformersModel

# Each of them is one token, for the tiny models' tokenizer and for SmolLM2's.
ONE_TOKEN = [
    "house",
    "water",
    "coffee",
    "train",
    "book",
    "school",
    "garden",
    "music",
    "story",
    "night",
    "table",
    "city",
    "bread",
    "river",
    "fire",
    "doctor",
]


def _models(rng: random.Random, *families: str) -> list[Model]:
    return [*tiny_pair(rng, *families), Model()]


def _on_texts(rng: random.Random) -> list[Case]:
    return [Case(told(model), (model, text(rng, 7))) for model in _models(rng)]


# 2.1 residual_stream


def _embedding_bare(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        embedding = parts.embedding.output[0].save()
    stream = residual_stream(model, prompt)
    return torch.cat([embedding[None], stream[1:]])


def _inputs_only(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:1], stream[:-1]])


def _last_normed(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:-1], anatomy(model).normalise(stream[-1:])])


def _last_first(model: TransformersModel, prompt: str) -> torch.Tensor:
    return residual_stream(model, prompt).flip(0)


def _written_not_stream(model: TransformersModel, prompt: str) -> torch.Tensor:
    stream = residual_stream(model, prompt)
    return torch.cat([stream[:1], stream[1:] - stream[:-1]])


# 2.2 stream_change


def _change_of_norms(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    before, after = residual_stream(model, prompt), residual_stream(model, changed)
    return (after.norm(dim=-1) - before.norm(dim=-1)).abs() / before.norm(dim=-1)


def _change_unscaled(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return (residual_stream(model, changed) - residual_stream(model, prompt)).norm(dim=-1)


def _change_over_after(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return stream_change(model, changed, prompt)


def _change_of_cosine(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return 1 - torch.cosine_similarity(residual_stream(model, prompt), residual_stream(model, changed), dim=-1)


def _change_squared(model: TransformersModel, prompt: str, changed: str) -> torch.Tensor:
    return stream_change(model, prompt, changed) ** 2


def _on_changed_texts(rng: random.Random) -> list[Case]:
    cases = []
    for model in _models(rng):
        words = rng.sample(ONE_TOKEN, 8)
        changed = [*words]
        changed[rng.randrange(2, 5)] = words.pop()
        cases.append(Case(told(model), (model, "The " + " ".join(words), "The " + " ".join(changed[:-1]))))
    return cases


# 2.3 word_similarity


def _pair_at(model: TransformersModel, first: str, second: str, here: int, there: int) -> torch.Tensor:
    return torch.cosine_similarity(
        residual_stream(model, first)[:, here], residual_stream(model, second)[:, there], dim=-1
    )


def _similarity_at_the_end(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    return _pair_at(model, first, second, -1, -1)


def _similarity_at_one_position(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    here = word_position(model, first, word)
    return _pair_at(model, first, second, here, min(here, len(token_ids(model, second)) - 1))


def _similarity_from_the_end(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    places = [-1 - word_position(model, prompt, word) for prompt in (first, second)]
    return _pair_at(model, first, second, *places)


def _dot_product(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    one = residual_stream(model, first)[:, word_position(model, first, word)]
    other = residual_stream(model, second)[:, word_position(model, second, word)]
    return (one * other).sum(dim=-1)


def _similarity_of_means(model: TransformersModel, first: str, second: str, word: str) -> torch.Tensor:
    one, other = (residual_stream(model, prompt).mean(dim=1) for prompt in (first, second))
    return torch.cosine_similarity(one, other, dim=-1)


def _on_word_pairs(rng: random.Random) -> list[Case]:
    cases = []
    for model in _models(rng):
        word, *others = rng.sample(ONE_TOKEN, 14)
        # The word stands at another place in each prompt, also when counted from the end, and never in the middle of it.
        before, after = rng.sample([(2, 3), (4, 2), (3, 5), (5, 3)], 2)
        prompts = []
        for n_before, n_after in (before, after):
            around = [others.pop() for _ in range(2)]
            filler = rng.choices(around, k=n_before - 1), rng.choices(others, k=n_after)
            prompts.append("The " + " ".join([*filler[0], word, *filler[1]]))
        cases.append(Case(told(model), (model, *prompts, f" {word}")))
    return cases


# 2.4 stream_parts


def _before_the_post_norm(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        written = [parts.layers[0].input]
        for attention, mlp in zip(parts.attentions, parts.mlps, strict=True):
            written.append(attention.output[0])
            written.append(mlp.output)
        stacked = nnsight.save(torch.cat(written))
    return stacked


def _mlp_before_attention(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = stream_parts(model, prompt)
    pairs = parts[1:].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return torch.cat([parts[:1], pairs])


def _all_attentions_first(model: TransformersModel, prompt: str) -> torch.Tensor:
    parts = stream_parts(model, prompt)
    return torch.cat([parts[:1], parts[1::2], parts[2::2]])


def _sums_so_far(model: TransformersModel, prompt: str) -> torch.Tensor:
    return stream_parts(model, prompt).cumsum(dim=0)


def _parts_embedding_bare(model: TransformersModel, prompt: str) -> torch.Tensor:
    return torch.cat([_embedding_bare(model, prompt)[:1], stream_parts(model, prompt)[1:]])


def _on_texts_of_three(rng: random.Random) -> list[Case]:
    return [Case(told(model), (model, text(rng, 7))) for model in _models(rng, "tiny-gpt2", "tiny-gemma3")]


# 2.5 count_parameters


def _tied_twice(model: TransformersModel) -> dict[str, int]:
    parts, counts = anatomy(model), count_parameters(model)
    matrices = parts.embedding._module.weight, parts.unembedding._module.weight
    extra = sum(matrix.numel() for matrix in matrices) - counts["embedding"]
    return counts | {"embedding": counts["embedding"] + extra, "total": counts["total"] + extra}


def _one_layer(model: TransformersModel) -> dict[str, int]:
    parts, counts = anatomy(model), count_parameters(model)
    attention, mlp = counts["attention"] // parts.n_layers, counts["mlp"] // parts.n_layers
    other = counts["total"] - counts["embedding"] - attention - mlp
    return counts | {"attention": attention, "mlp": mlp, "other": other}


def _tensors_counted(model: TransformersModel) -> dict[str, int]:
    parts = anatomy(model)

    def tensors(modules: Sequence[Any]) -> int:
        return len({id(weight) for module in modules for weight in module._module.parameters()})

    counts = {
        "embedding": tensors([parts.embedding, parts.unembedding]),
        "attention": tensors(parts.attentions),
        "mlp": tensors(parts.mlps),
    }
    return counts | {"other": tensors([model]) - sum(counts.values()), "total": tensors([model])}


def _only_trained(model: TransformersModel) -> dict[str, int]:
    return dict.fromkeys(("embedding", "attention", "mlp", "other", "total"), 0)


def _other_forgotten(model: TransformersModel) -> dict[str, int]:
    counts = count_parameters(model)
    return counts | {"other": 0, "total": counts["total"] - counts["other"]}


def _on_models(rng: random.Random) -> list[Case]:
    # One family that ties its embedding and one that does not, so that both ways of counting it are seen.
    tied = [name for name in TINY_MODELS if name.startswith(("tiny-gpt2", "tiny-gemma", "tiny-cohere"))]
    families = rng.choice(tied), rng.choice([name for name in TINY_MODELS if name not in tied])
    return [Case(told(model), (model,)) for model in _models(rng, *families)]


# 2.6 previous_token_scores


def _scores(model: TransformersModel, prompt: str, offset: int, start: int) -> torch.Tensor:
    patterns = attention_patterns(model, token_ids(model, prompt))
    queries = torch.arange(start, patterns.shape[-1])
    return patterns[:, :, queries, queries - offset].mean(dim=-1)


def _next_token(model: TransformersModel, prompt: str) -> torch.Tensor:
    return torch.zeros_like(previous_token_scores(model, prompt))


def _own_token(model: TransformersModel, prompt: str) -> torch.Tensor:
    return _scores(model, prompt, 0, 0)


def _over_all_positions(model: TransformersModel, prompt: str) -> torch.Tensor:
    n = len(token_ids(model, prompt))
    return previous_token_scores(model, prompt) * (n - 1) / n


def _summed(model: TransformersModel, prompt: str) -> torch.Tensor:
    return previous_token_scores(model, prompt) * (len(token_ids(model, prompt)) - 1)


def _last_only(model: TransformersModel, prompt: str) -> torch.Tensor:
    return attention_patterns(model, token_ids(model, prompt))[:, :, -1, -2]


# 2.7 induction_scores


def _stripe(model: TransformersModel, half: Sequence[int], back: int, first: int) -> torch.Tensor:
    patterns = attention_patterns(model, [*half, *half])
    queries = torch.arange(first, 2 * len(half))
    return patterns[:, :, queries, queries - back].mean(dim=-1)


def _same_token(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half), len(half))


def _token_before(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half) + 1, len(half) + 1)


def _whole_diagonal(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return _stripe(model, half, len(half) - 1, len(half) - 1)


def _over_the_whole_sequence(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    return induction_scores(model, half) / 2


def _not_repeated(model: TransformersModel, half: Sequence[int]) -> torch.Tensor:
    patterns = attention_patterns(model, half)
    return patterns[:, :, -1, 0]


def _on_sequences(rng: random.Random) -> list[Case]:
    # Ids that every model of the course has; different ones, so that each token stood at one place before.
    return [Case(told(model), (model, rng.sample(range(300, 1000), rng.randrange(8, 13)))) for model in _models(rng)]


# 2.8 layer_output_with_hook


def _layer_before(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    return residual_stream(model, prompt)[layer]


def _layer_after(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    return residual_stream(model, prompt)[layer + 2]


def _attention_only(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        found = parts.attentions[layer].output[0][0].save()
    return found


def _mlp_only(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    parts = anatomy(model)
    with model.trace(prompt):
        found = parts.mlps[layer].output[0].save()
    return found


def _hook_left(model: TransformersModel, prompt: str, layer: int) -> torch.Tensor:
    anatomy(model).layers[layer]._module.register_forward_hook(lambda *_: None)
    return residual_stream(model, prompt)[layer + 1]


def _on_layers(rng: random.Random) -> list[Case]:
    cases = []
    for model in _models(rng):
        # Not the last layer of a tiny model (it has 3): the layer after it must exist for the mistake to have a value.
        layer = rng.randrange(2) if model.name else rng.randrange(5, 25)
        cases.append(Case(f"{told(model)}, layer {layer}", (model, text(rng, 7), layer)))
    return cases


EXERCISES: list[Exercise] = [
    Exercise(
        id="2.1",
        title="Read the whole stream",
        minutes=10,
        points=2,
        difficulty=1,
        reference=residual_stream,
        shows="One trace gives the stream at every depth: one vector for each token, of the same width all the way.",
        hints=(
            "One trace is enough: read the first layer's input, then each layer's output, in that order, and collect them in a list.",
            "Each has shape (1, position, width), since the batch is one prompt. torch.cat puts such tensors one after the other.",
            "Make the one tensor inside the trace and save it there: stream = torch.cat(depths).save()",
        ),
        draw=_on_texts,
        axes=("depth", "position", "dimension"),
        mistakes=(
            Mistake(
                "embedding without positions",
                _embedding_bare,
                "Your depth 0 is the embedding module's output. What the first layer reads is its input, layers[0].input: "
                "this model adds its positions (others a scale) in between.",
            ),
            Mistake(
                "inputs for outputs",
                _inputs_only,
                "Your entry l + 1 is what layer l reads, not what it puts out: you are one layer behind.",
            ),
            Mistake(
                "last depth normalised",
                _last_normed,
                "Your last depth has been through the final norm (transformers' hidden_states do that too). The stream is what the "
                "last layer puts out, before the norm.",
            ),
            Mistake(
                "deepest first", _last_first, "Your depths run from the last to the first: depth 0 is the embedding."
            ),
            Mistake(
                "what was added for what is there",
                _written_not_stream,
                "Your entry l + 1 is what layer l added to the stream, not the stream after it.",
            ),
        ),
    ),
    Exercise(
        id="2.2",
        title="How far does a change reach?",
        minutes=15,
        points=3,
        difficulty=2,
        reference=stream_change,
        shows="Exactly nothing before the changed token moves; at it and after it, everything may.",
        hints=(
            "You have residual_stream: take it for both prompts and subtract.",
            "The length of a vector is its norm over the width, the last axis: x.norm(dim=-1).",
            "(after - before).norm(dim=-1), divided by before.norm(dim=-1).",
        ),
        draw=_on_changed_texts,
        axes=("depth", "position"),
        mistakes=(
            Mistake(
                "difference of norms",
                _change_of_norms,
                "You compare the two lengths. A vector can turn and keep its length: subtract first, then take the norm.",
            ),
            Mistake(
                "not relative",
                _change_unscaled,
                "This is the length of the difference alone: divide it by the length of the prompt's own vector.",
            ),
            Mistake(
                "relative to the changed prompt",
                _change_over_after,
                "You divide by the changed prompt's norm: divide by that of the first prompt, before the change.",
            ),
            Mistake(
                "cosine distance",
                _change_of_cosine,
                "This is one minus the cosine similarity, which does not see a change of length. Take the norm of the difference.",
            ),
            Mistake("squared", _change_squared, "This is the square of the ratio: a norm has a square root in it."),
        ),
    ),
    Exercise(
        id="2.3",
        title="One word, several senses",
        minutes=15,
        points=3,
        difficulty=2,
        reference=word_similarity,
        shows="At depth 0 the word is the same vector everywhere; from there on its context tells the senses apart.",
        hints=(
            "word_position(model, prompt, word) is where the word stands; it is another place in each prompt.",
            "residual_stream(model, first)[:, position] is the word's vector at each depth, (depth, width).",
            "torch.cosine_similarity(one, other, dim=-1) compares them depth by depth.",
        ),
        draw=_on_word_pairs,
        axes=("depth",),
        mistakes=(
            Mistake(
                "last position",
                _similarity_at_the_end,
                "You compare the last tokens of the prompts. The word stands elsewhere: ask word_position.",
            ),
            Mistake(
                "one position for both",
                _similarity_at_one_position,
                "You read both prompts at the place where the word stands in the first. Find it in each.",
            ),
            Mistake(
                "position from the wrong end",
                _similarity_from_the_end,
                "Your position is counted from the end of the prompt; word_position counts from its start.",
            ),
            Mistake(
                "dot product",
                _dot_product,
                "This is the dot product. Divide it by both vectors' norms: the stream grows with depth, and with it the dot product.",
            ),
            Mistake(
                "mean over positions",
                _similarity_of_means,
                "You compare the prompts' mean vectors. Take the one position where the word stands.",
            ),
        ),
    ),
    Exercise(
        id="2.4",
        title="The stream is a sum",
        minutes=15,
        points=3,
        difficulty=2,
        reference=stream_parts,
        shows="The embedding and what every attention and MLP added is all there is: their sum is the last stream.",
        hints=(
            "anatomy(model) has attention_written(layer) and mlp_written(layer) for what a layer's halves add, to read in a trace.",
            "Start the list with layers[0].input; then for each layer its attention first, its MLP second.",
            "torch.cat(written).save() inside the trace, as in 2.1.",
        ),
        draw=_on_texts_of_three,
        axes=("part", "position", "dimension"),
        mistakes=(
            Mistake(
                "before the norm after it",
                _before_the_post_norm,
                "This family normalises what its halves put out before adding it; attention_written and mlp_written read it after that.",
            ),
            Mistake(
                "MLP before attention", _mlp_before_attention, "In each layer attention writes first, the MLP second."
            ),
            Mistake(
                "all attentions, then all MLPs",
                _all_attentions_first,
                "You put all attentions first and all MLPs after them. They write in turns: part 2 * l + 1 is layer l's attention, "
                "part 2 * l + 2 its MLP.",
            ),
            Mistake(
                "sums so far",
                _sums_so_far,
                "Your entries are the stream after each step, the sum so far. Wanted is what each step adds.",
            ),
            Mistake(
                "embedding without positions",
                _parts_embedding_bare,
                "Your part 0 is the embedding module's output. The stream starts with what the first layer reads, layers[0].input.",
            ),
        ),
    ),
    Exercise(
        id="2.5",
        title="Where are the parameters?",
        minutes=10,
        points=2,
        difficulty=1,
        reference=count_parameters,
        shows="A sum over the module tree, with shared matrices counted once, is the number on the model's box.",
        hints=(
            "A part of the anatomy is a window on a torch module: part._module.parameters() are its matrices, matrix.numel() their size.",
            "The embedding and the unembedding may be the very same matrix: `is` tells, and so does the id().",
            "model._module.parameters() names a shared matrix once, so the total is easy; 'other' is what is left of it.",
        ),
        draw=_on_models,
        mistakes=(
            Mistake(
                "tied embedding counted twice",
                _tied_twice,
                "This model's unembedding is the same matrix as its embedding: count it once.",
            ),
            Mistake("one layer", _one_layer, "Your attention and MLP are those of one layer: add up all layers."),
            Mistake(
                "tensors for numbers",
                _tensors_counted,
                "You count the matrices. A matrix of 3 by 4 has 12 parameters: matrix.numel().",
            ),
            Mistake(
                "only what trains",
                _only_trained,
                "You count parameters with requires_grad. load_model freezes the weights, but they are parameters all the same.",
            ),
            Mistake(
                "norms left out",
                _other_forgotten,
                "Your 'other' is 0: norms have weights too, and GPT-2 a table of positions. The total includes them.",
            ),
        ),
    ),
    Exercise(
        id="2.6",
        title="Heads that look one token back",
        minutes=15,
        points=3,
        difficulty=2,
        reference=previous_token_scores,
        shows="A head's score is a mean along a diagonal of its pattern: a few heads are specialists.",
        hints=(
            "attention_patterns gives (layer, head, query, key): the weight from position q to the one before it stands at [q, q - 1].",
            "Two index tensors pick a diagonal: queries = torch.arange(1, n), then patterns[:, :, queries, queries - 1].",
            "The mean over the last axis is the score, (layer, head).",
        ),
        draw=_on_texts,
        axes=("layer", "head"),
        mistakes=(
            Mistake(
                "query and key swapped",
                _next_token,
                "All your scores are 0: you read the weight on the next token, which the mask hides. Query comes first, key second.",
            ),
            Mistake("own token", _own_token, "This is each token's weight on itself: the key is one before the query."),
            Mistake(
                "divided by all positions",
                _over_all_positions,
                "Your mean is over all positions, but position 0 has no token before it (key -1 would be Python's last position): "
                "start at query 1.",
            ),
            Mistake(
                "sum for mean", _summed, "This is the sum over the positions: take the mean, so that 1 is the most."
            ),
            Mistake(
                "last position only",
                _last_only,
                "This is the weight from the last position alone: take the mean over all that have a token before them.",
            ),
        ),
    ),
    Exercise(
        id="2.7",
        title="Induction heads",
        minutes=20,
        points=4,
        difficulty=3,
        reference=induction_scores,
        shows="On a sequence without meaning, these heads find where the token stood before and look at what came next.",
        hints=(
            "Run [*half, *half] through attention_patterns. The second half starts at position n.",
            "The token at q stood at q - n. The one after it stood at q - n + 1: that is the key.",
            "queries = torch.arange(n, 2 * n), keys = queries - n + 1, then as in 2.6.",
        ),
        draw=_on_sequences,
        axes=("layer", "head"),
        mistakes=(
            Mistake(
                "the same token",
                _same_token,
                "This is the weight on the token itself where it stood before, q - n. An induction head looks at the one after it.",
            ),
            Mistake(
                "the token before",
                _token_before,
                "You look at the token before the earlier place; the one after it is at q - n + 1.",
            ),
            Mistake(
                "one query too many",
                _whole_diagonal,
                "Your diagonal starts in the first half, at query n - 1, which repeats nothing yet. Start at query n.",
            ),
            Mistake(
                "first half in the mean",
                _over_the_whole_sequence,
                "Your scores are half as large: you divide by 2n, but only the n positions of the second half can look back.",
            ),
            Mistake(
                "not repeated",
                _not_repeated,
                "It looks as if the model read the sequence once: run [*half, *half], 2n tokens.",
            ),
        ),
    ),
    Exercise(
        id="2.8",
        title="The same with a plain hook",
        minutes=15,
        points=3,
        difficulty=2,
        reference=layer_output_with_hook,
        shows="A trace and a hook read the same numbers; the trace also cleans up after itself.",
        hints=(
            "module.register_forward_hook(keep) calls keep(module, inputs, output) after each run of the module, and returns a handle.",
            "The torch module of layer l is anatomy(model).layers[l]._module; the whole model is model._module, called with input_ids.",
            "Put the run into try: and handle.remove() into finally:, so that no hook stays behind when the run fails.",
        ),
        draw=_on_layers,
        axes=("position", "dimension"),
        mistakes=(
            Mistake(
                "layer's input",
                _layer_before,
                "This is what the layer reads. A forward hook gets (module, inputs, output): keep the output.",
            ),
            Mistake(
                "one layer too far", _layer_after, "This is the output of the layer after it: layers count from 0."
            ),
            Mistake(
                "attention only", _attention_only, "This is what the layer's attention puts out: hook the whole layer."
            ),
            Mistake("MLP only", _mlp_only, "This is what the layer's MLP puts out: hook the whole layer."),
            Mistake(
                "hook left behind",
                _hook_left,
                "It would run at every later call of the model.",
            ),
        ),
    ),
]
