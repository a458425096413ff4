"""Lesson 6's solutions against plain PyTorch hooks on the transformers modules, transformers' own outputs, and each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from course_utils import patching
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.patching import ioi_pairs

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
OTHER = (" Anna", " Tom")

Edit = Callable[[torch.Tensor], torch.Tensor]


def hooked(model: Any, prompt: str, edits: dict[int, Edit] | None = None) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A run with nothing but PyTorch's pre-hooks on the output projections: last logits (vocabulary,), and for each
    layer the projection's input before the edit, (position, heads * head width). An edit maps the one to what is put in
    its place.
    """
    kept: dict[int, torch.Tensor] = {}
    handles = []

    def hook(layer: int) -> Any:
        def before(_: Any, args: tuple[torch.Tensor, ...]) -> Any:
            kept[layer] = args[0][0].clone()
            if edits and layer in edits:
                return (edits[layer](args[0][0].clone())[None],)
            return None

        return before

    module = model._module
    for layer, projection in enumerate(anatomy(model).out_projections):
        handles.append(projection._module.register_forward_pre_hook(hook(layer)))
    try:
        with torch.no_grad():
            logits = module(torch.tensor([model.tokenizer(prompt)["input_ids"]])).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    return logits, [kept[layer] for layer in sorted(kept)]


def difference(model: Any, logits: torch.Tensor, answers: Sequence[str] = (" Mike", " Emma")) -> float:
    first, second = (model.tokenizer.encode(answer, add_special_tokens=False)[0] for answer in answers)
    return float(logits[first] - logits[second])


def taken_from(source: torch.Tensor, cuts: Sequence[slice]) -> Edit:
    def edit(own: torch.Tensor) -> torch.Tensor:
        for cut in cuts:
            own[:, cut] = source[:, cut]
        return own

    return edit


def cut_of(model: Any, head: int) -> slice:
    width = anatomy(model).head_width
    return slice(head * width, (head + 1) * width)


@pytest.fixture(params=TINY_MODELS)
def model(request: pytest.FixtureRequest, tiny: Callable[..., Any]) -> Any:
    return tiny(request.param)


def close(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-4, atol=1e-4)


def test_logit_difference_is_that_of_transformers(model: Any) -> None:
    close(patching.logit_difference(model, CLEAN), difference(model, hooked(model, CLEAN)[0]))
    close(patching.logit_difference(model, CLEAN, OTHER), difference(model, hooked(model, CLEAN)[0], OTHER))


@pytest.mark.slow
def test_logit_differences_of_prompts_of_many_lengths_are_those_one_by_one(model: Any) -> None:
    pairs = ioi_pairs(8, seed=3)
    prompts = [pair.clean for pair in pairs] + ["Mike"]
    answers = [pair.answers for pair in pairs] + [OTHER]
    assert len({len(model.tokenizer(prompt)["input_ids"]) for prompt in prompts}) > 2
    expected = [difference(model, hooked(model, p)[0], a) for p, a in zip(prompts, answers, strict=True)]
    for batch_size in (1, 4, 100):
        close(patching.logit_differences(model, prompts, answers, batch_size), torch.tensor(expected))


def test_permute_head_is_a_hook_that_permutes(model: Any) -> None:
    parts = anatomy(model)
    order = torch.randperm(parts.head_width, generator=torch.Generator().manual_seed(5))
    cut = cut_of(model, 2)

    def edit(own: torch.Tensor) -> torch.Tensor:
        own[:, cut] = own[:, cut][:, order]
        return own

    expected = difference(model, hooked(model, CLEAN, {1: edit})[0], OTHER)
    assert abs(expected - difference(model, hooked(model, CLEAN)[0], OTHER)) > 1e-3
    close(patching.permute_head(model, CLEAN, 1, 2, order, OTHER), expected)


def test_head_outputs_are_the_projections_input(model: Any) -> None:
    outputs = patching.head_outputs(model, CLEAN)
    inputs = hooked(model, CLEAN)[1]
    for layer, joined in enumerate(inputs):
        for head in range(anatomy(model).n_heads):
            close(outputs[layer, :, head], joined[:, cut_of(model, head)])


def test_selectivity_is_the_ratio_of_distances_counted_one_by_one() -> None:
    outputs = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    got = patching.selectivity(outputs, 2, 4)
    for layer in range(2):
        for head in range(3):
            vectors = outputs[layer, :, head]
            pairs = [(p, q) for p in range(1, 5) for q in range(p + 1, 5)]
            mean = sum(torch.dist(vectors[p], vectors[q]) for p, q in pairs) / len(pairs)
            close(got[layer, head], torch.dist(vectors[2], vectors[4]) / mean)


def test_patch_head_is_a_hook_that_transplants(model: Any) -> None:
    _, kept = hooked(model, CLEAN)
    for layer, head in ((0, 1), (2, 3)):
        edit = taken_from(kept[layer], [cut_of(model, head)])
        expected = difference(model, hooked(model, CORRUPTED, {layer: edit})[0])
        close(patching.patch_head(model, CLEAN, CORRUPTED, layer, head), expected)


@pytest.mark.slow
def test_patch_layer_and_the_sweep_are_the_single_patches(model: Any) -> None:
    """The slow loop of the exercises, the batch and the fast path give one table."""
    parts = anatomy(model)
    slow = torch.tensor(
        [
            [patching.patch_head(model, CLEAN, CORRUPTED, layer, head) for head in range(parts.n_heads)]
            for layer in range(parts.n_layers)
        ]
    )
    batched = torch.stack([patching.patch_layer(model, CLEAN, CORRUPTED, layer) for layer in range(parts.n_layers)])
    close(batched, slow)
    close(patching.patch_heads(model, CLEAN, CORRUPTED, (" Mike", " Emma")), slow)


def test_attention_to_is_transformers_own(model: Any) -> None:
    ids = torch.tensor([model.tokenizer(CLEAN)["input_ids"]])
    with torch.no_grad():
        attentions = model._module(ids, output_attentions=True).attentions
    got = patching.attention_to(model, CLEAN, [0, 3, 10])
    expected = torch.stack([weights[0][:, -1, [0, 3, 10]] for weights in attentions])
    close(got, expected)


def test_patch_together_is_hooks_on_all_of_them(model: Any) -> None:
    chosen = [(2, 0), (0, 3), (2, 1)]
    _, kept = hooked(model, CLEAN)
    edits = {
        2: taken_from(kept[2], [cut_of(model, 0), cut_of(model, 1)]),
        0: taken_from(kept[0], [cut_of(model, 3)]),
    }
    expected = difference(model, hooked(model, CORRUPTED, edits)[0])
    close(patching.patch_together(model, CLEAN, CORRUPTED, chosen), expected)
    close(patching.patch_together(model, CLEAN, CORRUPTED, []), patching.logit_difference(model, CORRUPTED))


def test_patch_and_hold_is_hooks_from_both_runs(model: Any) -> None:
    _, clean = hooked(model, CLEAN)
    _, corrupted = hooked(model, CORRUPTED)

    def both(own: torch.Tensor) -> torch.Tensor:
        return taken_from(corrupted[1], [cut_of(model, 2)])(taken_from(clean[1], [cut_of(model, 0)])(own))

    edits = {
        0: taken_from(clean[0], [cut_of(model, 3)]),
        1: both,
        2: taken_from(corrupted[2], [cut_of(model, 1), cut_of(model, 3)]),
    }
    expected = difference(model, hooked(model, CORRUPTED, edits)[0])
    patched, held = [(1, 0), (0, 3)], [(2, 3), (1, 2), (2, 1)]
    close(patching.patch_and_hold(model, CLEAN, CORRUPTED, patched, held), expected)
    free = patching.patch_together(model, CLEAN, CORRUPTED, patched)
    assert abs(expected - free) > 1e-3
    close(patching.patch_and_hold(model, CLEAN, CORRUPTED, patched, []), free)


@pytest.mark.slow
def test_patch_sets_is_patch_and_hold_for_each_set(model: Any) -> None:
    """That one is held against hooks above. Among the sets are an empty one and a head that is patched *and* held."""
    sets = [[(1, 0), (0, 3)], [], [(2, 1), (2, 0), (0, 2)], [(1, 1)]]
    held = [[(2, 3), (1, 2), (2, 1)], [(0, 0)], [], [(1, 1)]]
    expected = [patching.patch_and_hold(model, CLEAN, CORRUPTED, *both) for both in zip(sets, held, strict=True)]
    assert len({round(value, 3) for value in expected}) == 4
    close(patching.patch_sets(model, CLEAN, CORRUPTED, sets, held), expected)
    alone = [patching.patch_together(model, CLEAN, CORRUPTED, heads) for heads in sets]
    close(patching.patch_sets(model, CLEAN, CORRUPTED, sets), alone)
    turned = patching.patch_sets(model, CLEAN, CORRUPTED, sets, answers=(" Emma", " Mike"))
    close(turned, [-value for value in alone])


def test_permute_positions_is_a_hook_that_moves_positions_and_leaves_the_first(model: Any) -> None:
    got = patching.permute_positions(model, CLEAN, seeds=(3, 4))
    parts = anatomy(model)
    assert got.shape == (2, parts.n_layers, parts.n_heads)
    order = [0] + [1 + i for i in torch.randperm(13, generator=torch.Generator().manual_seed(4)).tolist()]
    for layer, head in ((0, 1), (1, 3)):
        cut = cut_of(model, head)

        def edit(own: torch.Tensor, cut: slice = cut) -> torch.Tensor:
            own[:, cut] = own[order, cut]
            return own

        expected = difference(model, hooked(model, CLEAN, {layer: edit})[0])
        assert abs(expected - difference(model, hooked(model, CLEAN)[0])) > 1e-3
        close(got[1, layer, head], expected)


def written_by(model: Any, layer: int, head: int, output: torch.Tensor) -> torch.Tensor:
    """A head's output (head width,) through its slice of the output projection's weight, by hand."""
    projection, cut = anatomy(model).out_projections[layer]._module, cut_of(model, head)
    if type(projection).__name__ == "Conv1D":
        return output @ projection.weight[cut]
    return projection.weight[:, cut] @ output


def frozen_logits(model: Any, prompt: str, added: torch.Tensor) -> torch.Tensor:
    """What a vector added to the last residual adds to the logits (vocabulary,), the final norm's divisor as it is.

    Norm and unembedding are run as they are, on the residual with and without the vector, and the change of the divisor
    is taken out again by hand.
    """
    parts, seen = anatomy(model), []
    norm, unembedding = parts.norm._module, parts.unembedding._module
    handle = norm.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, -1]))
    hooked(model, prompt)
    handle.remove()
    (x,) = seen

    def divisor(y: torch.Tensor) -> torch.Tensor:
        centred = y if "RMS" in type(norm).__name__ else y - y.mean()
        return centred.square().mean().sqrt()

    with torch.no_grad():
        bias = getattr(norm, "bias", None)
        bias = torch.zeros_like(x) if bias is None else bias
        with_it, without = (norm(y[None, None])[0, 0] - bias for y in (x + added, x))
        change = unembedding(with_it * divisor(x + added) / divisor(x)) - unembedding(without)
    return change * getattr(model._module.config, "logit_scale", 1.0)


@pytest.mark.parametrize("family", ["tiny-llama", "tiny-gpt2"])
def test_name_logits_are_those_of_what_the_head_writes(tiny: Callable[..., Any], family: str) -> None:
    model, names = tiny(family), ("Mike", "Emma", "Anna")
    got = patching.name_logits(model, CLEAN, 1, 2, names)
    written = written_by(model, 1, 2, hooked(model, CLEAN)[1][1][-1, cut_of(model, 2)])
    logits = frozen_logits(model, CLEAN, written)
    expected = torch.stack([logits[model.tokenizer.encode(f" {name}")[-1]] for name in names])
    assert tuple(got) == names
    close(torch.tensor(list(got.values())), expected - expected.mean())


@pytest.mark.parametrize("family", ["tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-gemma3"])
def test_copy_scores_are_those_of_attention_that_sees_the_name_alone(tiny: Callable[..., Any], family: str) -> None:
    """The layer's own attention, run on the name's residual as a text of one token: it can only look at the name."""
    model, names = tiny(family), ("Mike", "Emma", "Anna", "Tom", "Paul")
    module, parts = model._module, anatomy(model)
    got = patching.copy_scores(model, names)
    ids = [model.tokenizer.encode(f" {name}")[-1] for name in names]
    for layer, head in ((0, 1), (1, 2), (2, 3)):
        block, cut = module.model.layers[layer], cut_of(model, head)

        def alone(_: Any, args: tuple[torch.Tensor, ...], cut: slice = cut) -> tuple[torch.Tensor]:
            kept = torch.zeros_like(args[0])
            kept[..., cut] = args[0][..., cut]
            return (kept,)

        above = []
        for place, name in enumerate(names):
            text = torch.tensor([model.tokenizer(f"Then, {name}")["input_ids"]])
            with torch.no_grad():
                read = module(text, output_hidden_states=True).hidden_states[1][:, -1:]
                kind = ("sliding_attention",) if family == "tiny-gemma3" else ()  # at position 0 nothing turns
                turned = module.model.rotary_emb(read, torch.tensor([[0]]), *kind)
                handle = block.self_attn.o_proj.register_forward_pre_hook(alone)
                written = block.self_attn(block.input_layernorm(read), position_embeddings=turned, attention_mask=None)
                handle.remove()
                if family == "tiny-gemma3":  # it norms what attention writes, and stores each norm's weight minus one
                    added, gain = block.post_attention_layernorm(written[0][0, -1]), 1 + module.model.norm.weight
                else:
                    added, gain = written[0][0, -1], module.model.norm.weight
                logits = module.lm_head(gain * added)[ids]
            above.append((logits[place] - logits.mean()) / logits.std())
        close(got[layer, head], torch.stack(above).mean())
    assert parts.n_heads == got.shape[1] and float(got.abs().max()) <= (len(names) - 1) / len(names) ** 0.5 + 1e-5


def test_paired_t_is_that_of_the_textbook() -> None:
    """Student's own example, ten patients and two drugs (1908): mean 1.58, t = 4.06."""
    one = torch.tensor([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    other = torch.tensor([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    assert patching.paired_t(one, other) == pytest.approx((1.58, 4.0621), abs=1e-4)
    assert patching.paired_t(other, one) == pytest.approx((-1.58, -4.0621), abs=1e-4)


def test_all_heads_of_all_layers_together_leave_only_the_direct_path_of_the_token(model: Any) -> None:
    """With every head from the clean run, the last position's own token is the same in both runs: the clean answer
    comes out.
    """
    parts = anatomy(model)
    everything = [(layer, head) for layer in range(parts.n_layers) for head in range(parts.n_heads)]
    close(
        patching.patch_together(model, CLEAN, CORRUPTED, everything),
        patching.logit_difference(model, CLEAN),
    )


@pytest.mark.slow
def test_on_the_real_model(real_model: Any) -> None:
    """The same hooks on the lesson's model; the two differences are those of the course's measurements."""
    assert patching.logit_difference(real_model, CLEAN) == pytest.approx(4.265, abs=2e-3)
    assert patching.logit_difference(real_model, CORRUPTED) == pytest.approx(-7.169, abs=2e-3)
    _, kept = hooked(real_model, CLEAN)
    edit = taken_from(kept[17], [cut_of(real_model, 4)])
    expected = difference(real_model, hooked(real_model, CORRUPTED, {17: edit})[0])
    assert patching.patch_head(real_model, CLEAN, CORRUPTED, 17, 4) == pytest.approx(expected, abs=1e-3)
    assert float(patching.patch_layer(real_model, CLEAN, CORRUPTED, 17)[4]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("family", ["tiny-llama", "tiny-gpt2"])
def test_pairs_differ_in_the_giver_alone(tiny: Callable[..., Any], family: str) -> None:
    model = tiny(family)
    pairs = ioi_pairs(40, seed=1)
    assert len({pair.clean for pair in pairs}) == 40
    assert sum(pair.first for pair in pairs) == 20
    for pair in pairs:
        clean, corrupted = (model.tokenizer(prompt)["input_ids"] for prompt in (pair.clean, pair.corrupted))
        assert len(clean) == len(corrupted)
        right, wrong = (model.tokenizer.encode(answer) for answer in pair.answers)
        assert len(right) == len(wrong) == 1
        # The right name is said once, the other twice; in the corrupted prompt it is the other way round.
        assert (clean.count(right[0]), clean.count(wrong[0])) == (1, 2)
        assert (corrupted.count(right[0]), corrupted.count(wrong[0])) == (2, 1)
        assert sum(c != d for c, d in zip(clean, corrupted, strict=True)) == 1
        mentioned = min((pair.clean.index(name.strip()), name) for name in pair.answers)[1]
        assert pair.first == (mentioned == pair.answers[0])


def test_pairs_follow_their_seed() -> None:
    assert ioi_pairs(6, seed=2) == ioi_pairs(6, seed=2) != ioi_pairs(6, seed=3)
    assert ioi_pairs(6, seed=2) == ioi_pairs(12, seed=2)[:6]


@pytest.mark.slow
def test_the_real_model_does_the_task_on_the_pairs(real_model: Any) -> None:
    pairs = ioi_pairs(16, seed=0)
    found = patching.logit_differences(real_model, [p.clean for p in pairs], [p.answers for p in pairs])
    expected = [difference(real_model, hooked(real_model, p.clean)[0], p.answers) for p in pairs[:3]]
    torch.testing.assert_close(found[:3], torch.tensor(expected), rtol=1e-3, atol=1e-3)
    assert (found > 0).float().mean() > 0.9


def test_recovered_is_0_at_corrupted_and_1_at_clean() -> None:
    values = patching.recovered(torch.tensor([-7.0, 4.0, -1.5, 15.0, -18.0]), 4.0, -7.0)
    close(values, torch.tensor([0.0, 1.0, 0.5, 2.0, -1.0]))


def test_mean_and_error_are_those_of_the_textbook() -> None:
    mean, error = patching.mean_and_error(torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]))
    close(mean, torch.tensor([3.0, 0.0]))
    close(error, torch.tensor([2.0 / 3**0.5, 0.0]))
    with pytest.raises(ValueError, match="at least two"):
        patching.mean_and_error(torch.ones(1, 4))


def test_positions_of_counts_every_mention(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    ids = model.tokenizer(CLEAN)["input_ids"]
    emma = model.tokenizer.encode(" Emma")[0]
    assert patching.positions_of(model, CLEAN, " Emma") == [i for i, token in enumerate(ids) if token == emma]
    assert len(patching.positions_of(model, CLEAN, " Emma")) == 2


BAD_INPUT: list[tuple[Callable[[Any], Any], str]] = [
    (lambda m: patching.logit_difference(m, CLEAN, (" Mike", " Bartholomew")), "exactly one token"),
    (lambda m: patching.logit_difference(m, ""), "empty"),
    (lambda m: patching.logit_differences(m, [CLEAN], []), "1 prompts and 0 pairs of answers"),
    (lambda m: patching.logit_differences(m, ["", CLEAN], [OTHER, OTHER]), "empty"),
    (lambda m: patching.patch_head(m, CLEAN, CORRUPTED, 3, 0), "no layer 3: there are layers 0 to 2"),
    (lambda m: patching.patch_head(m, CLEAN, CORRUPTED, 0, -1), "no head -1: there are heads 0 to 3"),
    (lambda m: patching.patch_layer(m, CLEAN, CORRUPTED, -1), "no layer -1"),
    (lambda m: patching.patch_together(m, CLEAN, CORRUPTED, [(0, 0), (0, 4)]), "no head 4"),
    (lambda m: patching.patch_head(m, CLEAN, "Mike gave a coffee to", 0, 0), "The clean prompt has 14 tokens"),
    (lambda m: patching.permute_head(m, CLEAN, 9, 0, torch.arange(16)), "no layer 9"),
    (lambda m: patching.permute_head(m, CLEAN, 0, 0, torch.arange(15)), "16 numbers"),
    (lambda m: patching.attention_to(m, CLEAN, [14]), "no position 14: there are positions 0 to 13"),
    (lambda m: patching.positions_of(m, CLEAN, " Anna"), "not among the tokens"),
    (lambda m: patching.head_outputs(m, ""), "empty"),
    (lambda m: patching.selectivity(torch.ones(2, 5, 3, 4), 0, 5), "no position 5"),
    (lambda m: ioi_pairs(0), "at least 1"),
    (lambda m: patching.patch_and_hold(m, CLEAN, CORRUPTED, [(0, 0)], [(5, 0)]), "no layer 5"),
    (lambda m: patching.patch_sets(m, CLEAN, CORRUPTED, [[(0, 0)], [(0, 4)]]), "no head 4"),
    (lambda m: patching.patch_sets(m, CLEAN, CORRUPTED, [[(0, 0)]], [[(5, 0)]]), "no layer 5"),
    (lambda m: patching.patch_sets(m, CLEAN, CORRUPTED, [[], []], [[]]), "2 sets and 1 lists"),
    (lambda m: patching.permute_positions(m, ""), "empty"),
    (lambda m: patching.name_logits(m, CLEAN, 0, 4), "no head 4"),
    (lambda m: patching.copy_scores(m, ["Mike", "Bartholomew"]), "exactly one token"),
    (lambda m: patching.paired_t(torch.ones(3), torch.ones(4)), "two values for each pair"),
    (lambda m: patching.paired_t(torch.ones(1), torch.ones(1)), "at least two"),
]


def test_copy_scores_of_gpt2_are_those_of_its_fused_value_matrix(tiny: Callable[..., Any]) -> None:
    model, names = tiny("tiny-gpt2"), ("Mike", "Emma", "Anna", "Tom", "Paul")
    module = model._module
    got = patching.copy_scores(model, names)
    ids = [model.tokenizer.encode(f" {name}")[-1] for name in names]
    for layer, head in ((0, 1), (1, 2), (2, 3)):
        block, above = module.transformer.h[layer], []
        for place, name in enumerate(names):
            text = torch.tensor([model.tokenizer(f"Then, {name}")["input_ids"]])
            with torch.no_grad():
                read = module(text, output_hidden_states=True).hidden_states[1][0, -1]
                value = block.attn.c_attn(block.ln_1(read))[128:].view(4, 16)[head]
                written = value @ block.attn.c_proj.weight[head * 16 : (head + 1) * 16]
                logits = (module.transformer.ln_f.weight * written) @ module.lm_head.weight[ids].T
            above.append((logits[place] - logits.mean()) / logits.std())
        close(got[layer, head], torch.stack(above).mean())


@pytest.mark.parametrize("case", BAD_INPUT, ids=[says for _, says in BAD_INPUT])
def test_bad_input_is_told_what_to_do(case: tuple[Callable[[Any], Any], str], tiny: Callable[..., Any]) -> None:
    act, says = case
    with pytest.raises(ValueError) as raised:
        act(tiny("tiny-llama"))
    assert says in str(raised.value)
