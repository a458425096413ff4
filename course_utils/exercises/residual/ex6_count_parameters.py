"""Exercise 2.6: where are the parameters?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from course_utils.exercises.drawing import told
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.exercises.residual.drawing import models
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.residual import count_parameters

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _on_models(rng: random.Random) -> list[Case]:
    # One family that ties its embedding and has biases everywhere, one that has some and does not tie, and any other.
    others = [name for name in TINY_MODELS if name not in ("tiny-gpt2", "tiny-qwen2")]
    families = "tiny-gpt2", "tiny-qwen2", rng.choice(others)
    uneven = Model("tiny-llama", rng.randrange(1, 100_000), uneven=True)
    return [
        *(Case(told(model), (model,)) for model in models(rng, *families)),
        Case("a tiny Llama whose last layer is larger than the others", (uneven,)),
    ]


# What learners do instead.


def _tied_twice(model: TransformersModel) -> dict[str, int]:
    parts, counts = anatomy(model), count_parameters(model)
    matrices = parts.embedding._module.weight, parts.unembedding._module.weight
    extra = sum(matrix.numel() for matrix in matrices) - counts["embedding"]
    return counts | {"embedding": counts["embedding"] + extra, "total": counts["total"] + extra}


def _tied_twice_of_one_total(model: TransformersModel) -> dict[str, int]:
    """The total has the matrix once, so that what is too much is missing from the rest."""
    counts, twice = count_parameters(model), _tied_twice(model)
    other = counts["other"] - (twice["embedding"] - counts["embedding"])
    return counts | {"embedding": twice["embedding"], "other": other}


def _one_layer(model: TransformersModel) -> dict[str, int]:
    parts, counts = anatomy(model), count_parameters(model)
    attention, mlp = counts["attention"] // parts.n_layers, counts["mlp"] // parts.n_layers
    other = counts["total"] - counts["embedding"] - attention - mlp
    return counts | {"attention": attention, "mlp": mlp, "other": other}


def _first_layer_times_layers(model: TransformersModel) -> dict[str, int]:
    parts, counts = anatomy(model), count_parameters(model)

    def size(first: Sequence[Any]) -> int:
        return parts.n_layers * sum(weight.numel() for module in first for weight in module._module.parameters())

    attention, mlp = size(parts.attention_parts[0]), size(parts.mlp_parts[0])
    return counts | {
        "attention": attention,
        "mlp": mlp,
        "other": counts["total"] - counts["embedding"] - attention - mlp,
    }


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


EXERCISE = Exercise(
    id="2.6",
    title="Where are the parameters?",
    minutes=10,
    points=2,
    difficulty=1,
    reference=count_parameters,
    shows="A sum over the module tree, with shared matrices counted once, is the number on the model's box.",
    hints=(
        Hint(
            "where to look",
            "A part of the anatomy is a window on a torch module: `part._module.parameters()` are its matrices, "
            "`matrix.numel()` their size.",
        ),
        Hint(
            "tied matrices",
            "The embedding and the unembedding may be the very same matrix: `is` tells, and so does `id()`.",
        ),
        Hint(
            "nearly there",
            "`model._module.parameters()` names a shared matrix once, so the total is easy; `'other'` is what is "
            "left of it.",
        ),
    ),
    draw=_on_models,
    mistakes=(
        Mistake(
            "tied embedding counted twice",
            _tied_twice,
            "This model's unembedding is the same matrix as its embedding: count it once.",
        ),
        Mistake(
            "tied embedding counted twice, the rest too small",
            _tied_twice_of_one_total,
            "This model's unembedding is the same matrix as its embedding: count it once. So your rest is too small, "
            "or even below 0.",
        ),
        Mistake("one layer", _one_layer, "Your attention and MLP are those of one layer: add up all layers."),
        Mistake(
            "one layer times their number",
            _first_layer_times_layers,
            "You count the first layer and multiply. A model's layers need not be alike (the first of DeepSeek's have "
            "no experts): add up each one's own.",
        ),
        Mistake(
            "tensors for numbers",
            _tensors_counted,
            "You count the matrices. A matrix of 3 by 4 has 12 parameters: matrix.numel().",
        ),
        Mistake(
            "only what trains",
            _only_trained,
            "You count parameters with requires_grad. load_model freezes the weights, but they are parameters all "
            "the same.",
        ),
        Mistake(
            "norms left out",
            _other_forgotten,
            "Your 'other' is 0: norms have weights too, and GPT-2 a table of positions. The total includes them.",
        ),
    ),
)
