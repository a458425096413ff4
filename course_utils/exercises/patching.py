# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""The exercises of lesson 6: their inputs, and the mistakes that are told their name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_utils import patching
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.patching import Pair, ioi_pairs

Answers = tuple[str, str]
MIKE_EMMA: Answers = (" Mike", " Emma")

# The tiny models' sizes, for drawing a layer or a head; the real model's are looked up.
TINY_LAYERS, TINY_HEADS, TINY_HEAD_WIDTH = 3, 4, 16


def _tiny(rng: random.Random) -> tuple[Model, Model]:
    return Model("tiny-llama", rng.randrange(1000)), Model("tiny-gpt2", rng.randrange(1000))


def _pair(rng: random.Random) -> Pair:
    return ioi_pairs(2, seed=rng.randrange(10**6))[rng.randrange(2)]


def _real_sizes() -> tuple[int, int, int]:
    parts = anatomy(Model().load())
    return parts.n_layers, parts.n_heads, parts.head_width


def _draw_difference(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    one, two, three = (_pair(rng) for _ in range(3))
    return [
        Case("a tiny Llama", (llama, one.clean, one.answers)),
        Case("a tiny GPT-2", (gpt2, two.corrupted, two.answers)),
        Case("the lesson's model", (Model(), three.clean, three.answers)),
    ]


def _last(model: Any, prompt: str) -> torch.Tensor:
    with model.trace(prompt):
        last = model.output.logits[0, -1].save()
    return last


def _difference_reversed(model: Any, prompt: str, answers: Answers = MIKE_EMMA) -> float:
    return -patching.logit_difference(model, prompt, answers)


def _difference_of_probabilities(model: Any, prompt: str, answers: Answers = MIKE_EMMA) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    probabilities = _last(model, prompt).softmax(dim=-1)
    return float(probabilities[first] - probabilities[second])


def _difference_without_space(model: Any, prompt: str, answers: Answers = MIKE_EMMA) -> float:
    first, second = (model.tokenizer(answer.strip(), add_special_tokens=False)["input_ids"][0] for answer in answers)
    last = _last(model, prompt)
    return float(last[first] - last[second])


def _difference_at_first(model: Any, prompt: str, answers: Answers = MIKE_EMMA) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        logits = model.output.logits[0, 0].save()
    return float(logits[first] - logits[second])


def _difference_before_last(model: Any, prompt: str, answers: Answers = MIKE_EMMA) -> float:
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        logits = model.output.logits[0, -2].save()
    return float(logits[first] - logits[second])


def _draw_permute(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    n_layers, n_heads, head_width = _real_sizes()
    cases = []
    for label, model, layers, heads, width in (
        ("a tiny Llama", llama, TINY_LAYERS, TINY_HEADS, TINY_HEAD_WIDTH),
        ("a tiny GPT-2", gpt2, TINY_LAYERS, TINY_HEADS, TINY_HEAD_WIDTH),
        ("the lesson's model", Model(), n_layers, n_heads, head_width),
    ):
        pair = _pair(rng)
        layer, head = _unlike(rng, layers, heads)
        order = torch.randperm(width, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
        cases.append(Case(label, (model, pair.clean, layer, head, order, pair.answers)))
    return cases


def _unlike(rng: random.Random, n_layers: int, n_heads: int) -> tuple[int, int]:
    """A layer and a head of different numbers, both of which are numbers of layers and of heads, so that swapping them shows."""
    layer, head = rng.sample(range(min(n_layers, n_heads)), 2)
    return layer, head


def _permute(model: Any, prompt: str, layer: int, answers: Answers, change: Any) -> float:
    """The logit difference when ``change`` has edited the layer's heads (batch, position, head, head width) in place."""
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(prompt):
        heads = parts.heads(layer)
        change(heads)
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _permute_swapped(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    return patching.permute_head(model, prompt, head, layer, order, answers)


def _permute_all(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    def change(heads: torch.Tensor) -> None:
        heads[:] = heads[..., order]

    return _permute(model, prompt, layer, answers, change)


def _permute_last(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    def change(heads: torch.Tensor) -> None:
        heads[:, -1, head] = heads[:, -1, head, order]

    return _permute(model, prompt, layer, answers, change)


def _permute_back(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    return patching.permute_head(model, prompt, layer, head, order.argsort(), answers)


def _permute_nothing(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    return patching.logit_difference(model, prompt, answers)


def _permute_interleaved(
    model: Any, prompt: str, layer: int, head: int, order: torch.Tensor, answers: Answers = MIKE_EMMA
) -> float:
    n_heads = anatomy(model).n_heads

    def change(heads: torch.Tensor) -> None:
        joined = heads.flatten(-2)
        own = joined[..., head::n_heads]
        own[:] = own[..., order]

    return _permute(model, prompt, layer, answers, change)


def _draw_outputs(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    return [
        Case("a tiny Llama", (llama, _pair(rng).clean)),
        Case("a tiny GPT-2", (gpt2, _pair(rng).clean)),
        Case("the lesson's model", (Model(), _pair(rng).clean)),
    ]


def _outputs_written(model: Any, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    outputs = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            outputs.append(parts.attention_written(layer)[0].save())
    written = torch.stack(outputs)
    if written.shape[-1] != parts.n_heads * parts.head_width:
        return written
    return parts.split_heads(written)


def _outputs_interleaved(model: Any, prompt: str) -> torch.Tensor:
    parts = anatomy(model)
    joined = patching.head_outputs(model, prompt).flatten(-2)
    return joined.unflatten(-1, (parts.head_width, parts.n_heads)).transpose(-1, -2)


def _outputs_viewed(model: Any, prompt: str) -> torch.Tensor:
    # (position, heads * width) viewed as (heads, position, width): the right size, the wrong numbers
    parts = anatomy(model)
    joined = patching.head_outputs(model, prompt).flatten(-2)
    n_layers, n_positions = joined.shape[:2]
    return joined.reshape(n_layers, parts.n_heads, n_positions, parts.head_width).transpose(1, 2)


def _outputs_reversed(model: Any, prompt: str) -> torch.Tensor:
    return patching.head_outputs(model, prompt).flip(0)


def _draw_selectivity(rng: random.Random) -> Sequence[Case]:
    cases = []
    for label, shape in (("random numbers", (2, 6, 3, 5)), ("more random numbers", (3, 9, 2, 4))):
        outputs = torch.randn(shape, generator=torch.Generator().manual_seed(rng.randrange(10**6)))
        # Unequal positions and heads, so that a mean over the wrong axis shows, and a loud position 0, as in a real model.
        outputs *= 1 + torch.arange(shape[1])[None, :, None, None] / 3 + torch.arange(shape[2])[None, None, :, None]
        outputs[:, 0] *= 5
        first, second = sorted(rng.sample(range(1, shape[1]), 2))
        cases.append(Case(label, (outputs, first, second)))
    return cases


def _distances(outputs: torch.Tensor) -> torch.Tensor:
    by_head = outputs.transpose(1, 2)
    return (by_head.unsqueeze(3) - by_head.unsqueeze(2)).norm(dim=-1)


def _selectivity_with_first(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    apart = (outputs[:, second] - outputs[:, first]).norm(dim=-1)
    n = outputs.shape[1]
    return apart / (_distances(outputs).sum(dim=(2, 3)) / (n * (n - 1)))


def _selectivity_with_self(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    apart = (outputs[:, second] - outputs[:, first]).norm(dim=-1)
    return apart / _distances(outputs[:, 1:]).mean(dim=(2, 3))


def _selectivity_undivided(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return (outputs[:, second] - outputs[:, first]).norm(dim=-1)


def _selectivity_of_norms(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return outputs[:, second].norm(dim=-1) / outputs[:, first].norm(dim=-1)


def _selectivity_upside_down(outputs: torch.Tensor, first: int, second: int) -> torch.Tensor:
    return 1 / patching.selectivity(outputs, first, second)


def _draw_patch(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    n_layers, n_heads, _ = _real_sizes()
    cases = []
    for label, model, layers, heads in (
        ("a tiny Llama", llama, TINY_LAYERS, TINY_HEADS),
        ("a tiny GPT-2", gpt2, TINY_LAYERS, TINY_HEADS),
        ("the lesson's model", Model(), n_layers, n_heads),
    ):
        pair = _pair(rng)
        layer, head = _unlike(rng, layers, heads)
        cases.append(Case(label, (model, pair.clean, pair.corrupted, layer, head, pair.answers)))
    return cases


def _patch_where(model: Any, clean: str, corrupted: str, layer: int, answers: Answers, change: Any) -> float:
    """The corrupted run after ``change(its heads, the clean run's heads)``, both (batch, position, head, head width)."""
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace(corrupted):
        change(parts.heads(layer), kept)
        last = model.output.logits[0, -1].save()
    return float(last[first] - last[second])


def _patch_swapped_runs(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    return patching.patch_head(model, corrupted, clean, layer, head, answers)


def _patch_swapped_indices(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    return patching.patch_head(model, clean, corrupted, head, layer, answers)


def _patch_whole_layer(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        heads[:] = kept

    return _patch_where(model, clean, corrupted, layer, answers, change)


def _patch_last_position(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        heads[:, -1, head] = kept[:, -1, head]

    return _patch_where(model, clean, corrupted, layer, answers, change)


def _patch_nothing(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    return patching.logit_difference(model, corrupted, answers)


def _patch_change(model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA) -> float:
    before = patching.logit_difference(model, corrupted, answers)
    return patching.patch_head(model, clean, corrupted, layer, head, answers) - before


def _patch_reversed(
    model: Any, clean: str, corrupted: str, layer: int, head: int, answers: Answers = MIKE_EMMA
) -> float:
    return -patching.patch_head(model, clean, corrupted, layer, head, answers)


def _draw_layer(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    one, two, three = (_pair(rng) for _ in range(3))
    return [
        Case("a tiny Llama", (llama, one.clean, one.corrupted, rng.randrange(TINY_LAYERS), one.answers)),
        Case("a tiny GPT-2", (gpt2, two.clean, two.corrupted, rng.randrange(TINY_LAYERS), two.answers)),
        Case(
            "the lesson's model",
            (Model(), three.clean, three.corrupted, rng.randrange(_real_sizes()[0]), three.answers),
        ),
    ]


def _layer_where(model: Any, clean: str, corrupted: str, layer: int, answers: Answers, change: Any) -> torch.Tensor:
    parts = anatomy(model)
    first, second = (token_id(model, answer) for answer in answers)
    with model.trace(clean):
        kept = parts.heads(layer).save()
    with model.trace([corrupted] * parts.n_heads):
        change(parts.heads(layer), kept)
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def _layer_every_row(model: Any, clean: str, corrupted: str, layer: int, answers: Answers = MIKE_EMMA) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[:, :, head] = kept[:, :, head]

    return _layer_where(model, clean, corrupted, layer, answers, change)


def _layer_growing(model: Any, clean: str, corrupted: str, layer: int, answers: Answers = MIKE_EMMA) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[head:, :, head] = kept[:, :, head]

    return _layer_where(model, clean, corrupted, layer, answers, change)


def _layer_swapped_runs(
    model: Any, clean: str, corrupted: str, layer: int, answers: Answers = MIKE_EMMA
) -> torch.Tensor:
    return patching.patch_layer(model, corrupted, clean, layer, answers)


def _layer_first_row(model: Any, clean: str, corrupted: str, layer: int, answers: Answers = MIKE_EMMA) -> torch.Tensor:
    def change(heads: torch.Tensor, kept: torch.Tensor) -> None:
        for head in range(heads.shape[2]):
            heads[0, :, head] = kept[0, :, head]

    return _layer_where(model, clean, corrupted, layer, answers, change)


def _layer_nothing(model: Any, clean: str, corrupted: str, layer: int, answers: Answers = MIKE_EMMA) -> torch.Tensor:
    return _layer_where(model, clean, corrupted, layer, answers, lambda heads, kept: None)


def _draw_attention(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    cases = []
    for label, model in (("a tiny Llama", llama), ("a tiny GPT-2", gpt2), ("the lesson's model", Model())):
        # The templates have 13 tokens or more. Position 0 would draw most of a real head's attention to itself.
        cases.append(Case(label, (model, _pair(rng).clean, sorted(rng.sample(range(1, 12), 3)))))
    return cases


def _attention_where(model: Any, prompt: str, choose: Any) -> torch.Tensor:
    parts = anatomy(model)
    weights = []
    with model.trace(prompt):
        for layer in range(parts.n_layers):
            weights.append(choose(parts.pattern(layer)).save())
    return torch.stack(weights)


def _attention_transposed(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _attention_where(model, prompt, lambda pattern: pattern[0, :, positions, -1])


def _attention_renormalised(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _attention_where(model, prompt, lambda pattern: pattern[0, :, -1, positions].softmax(dim=-1))


def _attention_mean_query(model: Any, prompt: str, positions: Sequence[int]) -> torch.Tensor:
    return _attention_where(model, prompt, lambda pattern: pattern[0, :, :, positions].mean(dim=1))


def _draw_together(rng: random.Random) -> Sequence[Case]:
    llama, gpt2 = _tiny(rng)
    n_layers, n_heads, _ = _real_sizes()
    cases = []
    for label, model, layers, heads in (
        ("a tiny Llama", llama, TINY_LAYERS, TINY_HEADS),
        ("a tiny GPT-2", gpt2, TINY_LAYERS, TINY_HEADS),
        ("the lesson's model", Model(), n_layers, n_heads),
    ):
        pair = _pair(rng)
        # Two heads of one layer and one of a layer below it, the later layer first. All numbers are layers and heads alike.
        below, above = sorted(rng.sample(range(min(layers, heads)), 2))
        one, two = rng.sample([head for head in range(min(layers, heads)) if head != above], 2)
        other = rng.choice([head for head in range(min(layers, heads)) if head != below])
        cases.append(
            Case(label, (model, pair.clean, pair.corrupted, [(above, one), (below, other), (above, two)], pair.answers))
        )
    return cases


Heads = Sequence[tuple[int, int]]


def _together_layers(model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA) -> float:
    every = range(anatomy(model).n_heads)
    return patching.patch_together(
        model, clean, corrupted, [(layer, head) for layer, _ in heads for head in every], answers
    )


def _together_summed(model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA) -> float:
    before = patching.logit_difference(model, corrupted, answers)
    alone = [patching.patch_together(model, clean, corrupted, [head], answers) for head in heads]
    return before + sum(after - before for after in alone)


def _together_last(model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA) -> float:
    return patching.patch_together(model, clean, corrupted, [heads[-1]], answers)


def _together_one_each(model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA) -> float:
    return patching.patch_together(model, clean, corrupted, list(dict(heads).items()), answers)


def _together_swapped_runs(model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA) -> float:
    return patching.patch_together(model, corrupted, clean, heads, answers)


def _together_swapped_indices(
    model: Any, clean: str, corrupted: str, heads: Heads, answers: Answers = MIKE_EMMA
) -> float:
    return patching.patch_together(model, clean, corrupted, [(head, layer) for layer, head in heads], answers)


EXERCISES: list[Exercise] = [
    Exercise(
        id="6.1",
        title="One number for one decision",
        minutes=10,
        points=2,
        difficulty=1,
        reference=patching.logit_difference,
        shows="One number now says which name the model prefers and by how much; all of the lesson watches it move.",
        hints=(
            "The prediction of the next token stands at the last position of model.output.logits, (batch, position, vocabulary).",
            "token_id(model, answers[0]) is the id of a token (lesson 1). Save the last row of logits inside the trace; subtract outside.",
        ),
        draw=_draw_difference,
        mistakes=(
            Mistake(
                "answers reversed",
                _difference_reversed,
                "This is answers[1] minus answers[0]: the sign is turned. Positive must mean that answers[0] is preferred.",
            ),
            Mistake(
                "probabilities",
                _difference_of_probabilities,
                "This is a difference of probabilities. Logits are what heads add to, so take their difference without a softmax.",
            ),
            Mistake(
                "answer without its space",
                _difference_without_space,
                'These are the logits of the names without the space in front: "Mike" and " Mike" are different tokens.',
            ),
            Mistake(
                "first position",
                _difference_at_first,
                "This is read at position 0, which has seen one token only. What follows the prompt stands at its last position.",
            ),
            Mistake(
                "one position early",
                _difference_before_last,
                "This is read one position before the last: it predicts the prompt's own last token. Row i predicts token i + 1.",
            ),
        ),
    ),
    Exercise(
        id="6.2",
        title="Scramble one head",
        minutes=15,
        points=3,
        difficulty=2,
        reference=patching.permute_head,
        shows="You wrote into a running model: one head's numbers changed places, and everything after it followed.",
        hints=(
            "parts.heads(layer) inside a trace is a view (batch, position, head, head width) of the output projection's input. "
            "What you write into it, the model goes on with.",
            "heads[:, :, head, order] is the scrambled head; assign it to heads[:, :, head] before you read the logits.",
        ),
        draw=_draw_permute,
        mistakes=(
            Mistake(
                "nothing written",
                _permute_nothing,
                "This is the untouched run. Indexing with order makes a new tensor: assign it back into the view, heads[:, :, head] = ....",
            ),
            Mistake(
                "layer and head swapped",
                _permute_swapped,
                "Layer and head have changed places: this is head `layer` of layer `head`.",
            ),
            Mistake(
                "every head", _permute_all, "This scrambles every head of the layer; write to one head's slice only."
            ),
            Mistake(
                "last position only",
                _permute_last,
                "This scrambles the last position only; the head's output changes at every position.",
            ),
            Mistake(
                "order inverted",
                _permute_back,
                "This is the inverse order: number i moved to place order[i]. New number i should be old number order[i].",
            ),
            Mistake(
                "heads interleaved",
                _permute_interleaved,
                "These numbers are spread over all heads. A head's numbers lie side by side: head h starts at h * head width.",
            ),
        ),
    ),
    Exercise(
        id="6.3",
        title="Keep what every head found",
        minutes=10,
        points=2,
        difficulty=1,
        reference=patching.head_outputs,
        shows="Every head's output of a run is in your hands: what a patch transplants.",
        hints=(
            "One trace is enough: visit the layers in order and collect parts.heads(layer)[0], the first row of the batch.",
            "Save each one as you collect it, outputs.append(parts.heads(layer)[0].save()); after the block, torch.stack(outputs).",
        ),
        draw=_draw_outputs,
        axes=("layer", "position", "head", "element"),
        mistakes=(
            Mistake(
                "after the projection",
                _outputs_written,
                "This is what attention wrote to the stream. The output projection has mixed the heads by then; read its input.",
            ),
            Mistake(
                "heads interleaved",
                _outputs_interleaved,
                "The numbers are the right ones in the wrong cut: a head's numbers lie side by side, so split the last axis into "
                "(head, head width), in that order.",
            ),
            Mistake(
                "positions and heads mixed",
                _outputs_viewed,
                "A reshape across positions mixed positions and heads: split the last axis first, then transpose.",
            ),
            Mistake("layers backwards", _outputs_reversed, "The layers are in reverse: entry 0 is layer 0."),
        ),
    ),
    Exercise(
        id="6.4",
        title="Same word, second mention",
        minutes=15,
        points=3,
        difficulty=2,
        reference=patching.selectivity,
        shows="Below 1, a head goes by the word; near 1, it treats the second mention as any other token.",
        hints=(
            "The distance of two vectors is the norm of their difference, over the last axis. Do the two mentions first: (layer, head).",
            "For all pairs at once: outputs[:, 1:] as (layer, head, position, width), then x.unsqueeze(3) - x.unsqueeze(2). A position's "
            "distance to itself is 0 and does not count: divide the sum by n * (n - 1).",
        ),
        draw=_draw_selectivity,
        axes=("layer", "head"),
        mistakes=(
            Mistake(
                "not divided",
                _selectivity_undivided,
                "This is the distance itself. Divide by the mean distance of two positions, or loud heads will seem selective.",
            ),
            Mistake(
                "ratio of norms",
                _selectivity_of_norms,
                "This compares two lengths. Vectors of one length can point anywhere: take the length of the difference.",
            ),
            Mistake(
                "position 0 included",
                _selectivity_with_first,
                "Position 0 is in your mean. Its outputs are unlike all others in most heads; leave it out.",
            ),
            Mistake(
                "pairs with itself",
                _selectivity_with_self,
                "Your mean counts each position's distance to itself, which is 0: there are n * (n - 1) pairs, not n * n.",
            ),
            Mistake(
                "upside down",
                _selectivity_upside_down,
                "The ratio is upside down: the two mentions' distance belongs above the line.",
            ),
        ),
    ),
    Exercise(
        id="6.5",
        title="Transplant one head",
        minutes=20,
        points=4,
        difficulty=2,
        reference=patching.patch_head,
        shows="One head of the clean run, everything else corrupted: the answer's move is what that head alone carries.",
        hints=(
            "Two traces. The clean one keeps parts.heads(layer)[:, :, head]; do not forget to save it.",
            "The corrupted one assigns it to the same slice and then reads the logits. clean and corrupted must be equally long, so the "
            "positions fit.",
        ),
        draw=_draw_patch,
        mistakes=(
            Mistake(
                "nothing changed",
                _patch_nothing,
                "This is the corrupted run as it was. A plain `=` to a name writes nothing: assign to heads[:, :, head]. "
                "(And heads[:, head] is position `head` of all heads, where the two runs are still alike.)",
            ),
            Mistake(
                "clean and corrupted swapped",
                _patch_swapped_runs,
                "Clean and corrupted are swapped: keep the head from the clean run, and write it into the corrupted one.",
            ),
            Mistake(
                "layer and head swapped",
                _patch_swapped_indices,
                "Layer and head have changed places: this is head `layer` of layer `head`.",
            ),
            Mistake(
                "whole layer", _patch_whole_layer, "This takes every head of the layer from the clean run; take one."
            ),
            Mistake(
                "last position only",
                _patch_last_position,
                "This patches the last position only; the head is taken at every position.",
            ),
            Mistake(
                "difference to the corrupted run",
                _patch_change,
                "This is the change. Return the patched run's logit difference itself.",
            ),
            Mistake(
                "answers reversed",
                _patch_reversed,
                "The sign is turned: it is the logit of answers[0] minus that of answers[1].",
            ),
        ),
    ),
    Exercise(
        id="6.6",
        title="All heads of a layer in one run",
        minutes=20,
        points=4,
        difficulty=3,
        reference=patching.patch_layer,
        shows="As many experiments as heads, one run: a batch costs far less than its rows one by one.",
        hints=(
            "A trace takes a list of prompts: [corrupted] * parts.n_heads is a batch in which row h can be the experiment with head h.",
            "heads is (row, position, head, head width): in a loop, heads[head, :, head] = the clean run's head. Read logits[:, -1].",
        ),
        draw=_draw_layer,
        axes=("head",),
        mistakes=(
            Mistake(
                "every row gets every head",
                _layer_every_row,
                "All rows are alike: each one has the whole layer from the clean run. Row h gets head h alone, heads[h, :, h].",
            ),
            Mistake(
                "earlier heads stay",
                _layer_growing,
                "Row h has the heads up to h from the clean run. Row h gets head h alone, heads[h, :, h].",
            ),
            Mistake(
                "clean and corrupted swapped",
                _layer_swapped_runs,
                "Clean and corrupted are swapped: the batch is of the corrupted prompt, and the heads come from the clean run.",
            ),
            Mistake("first row only", _layer_first_row, "Only row 0 was written to; each head has a row of its own."),
            Mistake(
                "nothing changed",
                _layer_nothing,
                "Every row is the corrupted run as it was. Write into the slices, heads[h, :, h] = kept[:, h]. "
                "(And heads[:, h, h] is position h, where the two runs are still alike.)",
            ),
        ),
    ),
    Exercise(
        id="6.7",
        title="Where the last token looks",
        minutes=10,
        points=2,
        difficulty=2,
        reference=patching.attention_to,
        shows="For every head: how much of the answer's position looks at each name.",
        hints=(
            "parts.pattern(layer) in a trace is (batch, head, query position, key position). The query is the token that looks.",
            "pattern[0, :, -1, positions] picks the last query and several keys at once; collect the layers and stack them.",
        ),
        draw=_draw_attention,
        axes=("layer", "head", "entry"),
        mistakes=(
            Mistake(
                "looks ahead",
                _attention_transposed,
                "All your weights are 0: they belong to tokens that would look ahead. The last axis is the key, the token looked at; "
                "the one before it is the query, and it must be -1, the last token.",
            ),
            Mistake(
                "normalised twice",
                _attention_renormalised,
                "Attention weights are a softmax already; another one over the chosen keys hides how much goes elsewhere.",
            ),
            Mistake(
                "mean over queries",
                _attention_mean_query,
                "This is the mean over all tokens that look; only the last one predicts the name.",
            ),
        ),
    ),
    Exercise(
        id="6.8",
        title="Several heads at once",
        minutes=15,
        points=3,
        difficulty=2,
        reference=patching.patch_together,
        shows="Heads that act through one another do not add up: only patching them together tells what they do together.",
        hints=(
            "head_outputs(model, clean) has every head you could need. One trace of the corrupted prompt then writes them all.",
            "A trace must meet the layers in order: loop over sorted(heads) and assign parts.heads(layer)[0, :, head] for each.",
        ),
        draw=_draw_together,
        mistakes=(
            Mistake(
                "effects added up",
                _together_summed,
                "This adds the effects of one patch at a time. Later heads read what earlier ones wrote: patch all in the same run.",
            ),
            Mistake(
                "last head only",
                _together_last,
                "Only the last head of the list was patched: all of them belong into one run.",
            ),
            Mistake(
                "one head in each layer",
                _together_one_each,
                "Only one head of each layer was patched. A dictionary with the layer as key forgets the others.",
            ),
            Mistake(
                "whole layers",
                _together_layers,
                "This patches every head of the layers that occur; patch only the heads that were given.",
            ),
            Mistake(
                "clean and corrupted swapped",
                _together_swapped_runs,
                "Clean and corrupted are swapped: the heads come from the clean run and go into the corrupted one.",
            ),
            Mistake(
                "layer and head swapped",
                _together_swapped_indices,
                "Layer and head have changed places: each pair is (layer, head).",
            ),
        ),
    ),
]
