"""Paths against a loop of plain hooks, edge by edge, on every family; against TransformerLens; against themselves with
each shortcut alone; and what is refused.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.tiny import TINY_MODELS
from course_utils.sweeps import Shortcuts, SweepError, edge_attribution, patch_heads, patch_paths, run_circuits
from course_utils.sweeps.nodes import Receiver, Sender, all_edges, all_receivers, all_senders
from tests.sweeps.loop_of_paths import Loop
from tests.sweeps.test_sweeps import (
    ANSWERS,
    CLEAN,
    CORRUPTED,
    LONGER,
    NAMES,
    SHORTER,
    ids_of,
    must_agree,
)

ROOT = Path(__file__).parents[2]


def loop(model: Any, clean: str, corrupted: str, edges: list[tuple[Sender, Receiver]], **how: Any) -> torch.Tensor:
    """The logit difference of each edge's patched run, (edge,), two runs at a time."""
    runs = Loop(model, ids_of(model, clean), ids_of(model, corrupted), **how)
    first, second = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS)
    logits = torch.stack([runs.edge(*edge) for edge in edges])
    return logits[:, first] - logits[:, second]


def of_map(found: Any, edges: list[tuple[Sender, Receiver]]) -> torch.Tensor:
    rows = [found.receivers.index(receiver) for _, receiver in edges]
    columns = [found.senders.index(sender) for sender, _ in edges]
    return found.numbers[..., rows, columns]


@pytest.mark.slow
@pytest.mark.parametrize("through", [None, "mlps"])
@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_edge_is_that_of_the_loop_of_hooks(tiny: Callable[..., Any], name: str, through: Any) -> None:
    model = tiny(name, seed=1)
    edges = all_edges(anatomy(model))
    expected = loop(model, CLEAN, CORRUPTED, edges, through=through)
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, through=through)
    for kind in ("query", "key", "value", "mlp", "logits"):  # else any answer would agree
        some = [number for number, (_, receiver) in zip(expected, edges, strict=True) if receiver.kind == kind]
        assert float(torch.stack(some).std()) > 1e-3
    must_agree(of_map(found, edges), expected)
    assert int(found.numbers.isnan().sum()) == found.numbers.numel() - len(edges)


@pytest.mark.slow
@pytest.mark.parametrize("through", [None, "mlps"])
def test_the_other_direction_is_the_two_prompts_exchanged(tiny: Callable[..., Any], through: Any) -> None:
    model = tiny("tiny-qwen3", seed=1)
    edges = all_edges(anatomy(model))
    forth, back = (
        patch_paths(model, *pair, ANSWERS, through=through) for pair in ((CLEAN, CORRUPTED), (CORRUPTED, CLEAN))
    )
    must_agree(of_map(back, edges), loop(model, CORRUPTED, CLEAN, edges, through=through))
    assert (
        float((forth.effects + back.effects).nan_to_num().abs().max()) > 1e-2
    )  # one is not the other with its sign turned


# Prompts as they come.


SOME = ["embedding", "0.1", "mlp 0", "1.2", "mlp 1"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
@pytest.mark.parametrize(("clean", "corrupted"), [(CLEAN, LONGER), (LONGER, CLEAN), (SHORTER, LONGER)])
def test_prompts_of_different_lengths_are_aligned_at_their_ends(
    tiny: Callable[..., Any], name: str, clean: str, corrupted: str
) -> None:
    model = tiny(name, seed=1)
    found = patch_paths(model, clean, corrupted, ANSWERS, senders=SOME, through="mlps")
    edges = [(sender, to) for sender, to in all_edges(anatomy(model)) if sender in found.senders]
    must_agree(of_map(found, edges), loop(model, clean, corrupted, edges, through="mlps"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_MODELS)
def test_no_common_beginning(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=1)
    unlike = torch.cat([torch.tensor([5]), ids_of(model, CORRUPTED)[0, 1:]])
    found = patch_paths(model, CLEAN, unlike, ANSWERS, senders=SOME)
    edges = [(sender, to) for sender, to in all_edges(anatomy(model)) if sender in found.senders]
    must_agree(of_map(found, edges), loop(model, CLEAN, model.tokenizer.decode(unlike), edges))


@pytest.mark.slow
@pytest.mark.parametrize("positions", [[-1], [10, 11], 12])
def test_the_change_is_read_at_the_positions_asked_for(tiny: Callable[..., Any], positions: Any) -> None:
    model = tiny("tiny-gemma3", seed=1)
    length = ids_of(model, CORRUPTED).shape[1]
    where = [positions] if isinstance(positions, int) else [position % length for position in positions]
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, senders=SOME, positions=positions)
    edges = [(sender, to) for sender, to in all_edges(anatomy(model)) if sender in found.senders]
    must_agree(of_map(found, edges), loop(model, CLEAN, CORRUPTED, edges, positions=where))


def test_where_nothing_differs_nothing_moves(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama", seed=1)
    for found in (
        patch_paths(model, CLEAN, CLEAN, ANSWERS),
        patch_paths(model, CLEAN, CORRUPTED, ANSWERS, positions=[0, 3]),
    ):
        assert float(found.effects.nan_to_num().abs().max()) == 0.0
        assert not of_map(found, all_edges(anatomy(model))).isnan().any()


def test_a_list_of_pairs_gives_each_pair_s_own_map(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-phi3", seed=1)
    clean, corrupted = [CLEAN, LONGER, CORRUPTED, CLEAN], [CORRUPTED, CLEAN, CLEAN, CLEAN]
    answers = [ANSWERS, ANSWERS, (" Emma", " Mike"), ANSWERS]
    ends: dict[str, Any] = {"senders": SOME, "receivers": ["1.3 query", "2.1 value", "mlp 2", "logits"]}
    found = patch_paths(model, clean, corrupted, answers, **ends)
    assert found.numbers.shape == (4, 4, 5) and found.unpatched.shape == (4,)
    for pair in range(4):
        alone = patch_paths(model, clean[pair], corrupted[pair], answers[pair], **ends)
        must_agree(found.numbers[pair].nan_to_num(), alone.numbers.nan_to_num())
        must_agree(found.unpatched[pair], alone.unpatched)


def test_a_metric_of_all_logits(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gemma2", seed=1)  # it caps its logits
    edges = all_edges(anatomy(model))[::5]
    runs = Loop(model, ids_of(model, CLEAN), ids_of(model, CORRUPTED))
    expected = torch.stack([runs.edge(*edge).log_softmax(-1)[7] for edge in edges])
    found = patch_paths(model, CLEAN, CORRUPTED, metric=lambda logits: logits.log_softmax(-1)[:, 7])
    must_agree(of_map(found, edges), expected)


def test_names_come_back_in_the_order_asked_for(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama", seed=1)
    every = patch_paths(model, CLEAN, CORRUPTED, ANSWERS)
    found = patch_paths(
        model,
        CLEAN,
        CORRUPTED,
        ANSWERS,
        senders=["mlp 1", Sender("head", 0, 3)],
        receivers=["logits", "2.1 key", "mlp 0"],
    )
    assert [str(one) for one in found.senders] == ["mlp 1", "0.3"]
    assert [str(one) for one in found.receivers] == ["logits", "2.1 key", "mlp 0"]
    for sender in found.senders:
        for receiver in found.receivers:
            must_agree(found.effect(sender, receiver).nan_to_num(), every.effect(sender, receiver).nan_to_num(), 1e-5)
    assert found.effect("mlp 1", "mlp 0").isnan()
    sender, receiver, effect = every.strongest(1)[0]
    assert abs(effect) == float(every.effects.nan_to_num().abs().max()) == abs(float(every.effect(sender, receiver)))
    assert len(found.strongest(99)) == 5
    with pytest.raises(KeyError, match=r"'9\.9' is not in this sweep; it has mlp 1, 0\.3"):
        found.effect("9.9", "logits")


# Each shortcut, and what a model may do.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-gemma3", "tiny-gpt-neox"])
def test_each_shortcut_alone_and_each_one_missing_gives_the_same(tiny: Callable[..., Any], name: str) -> None:
    model = tiny(name, seed=2)
    ends: dict[str, Any] = {
        "senders": ["embedding", "1.2", "mlp 0"],
        "receivers": ["2.1 query", "1.0 key", "mlp 1", "logits"],
    }
    edges = [
        edge
        for edge in all_edges(anatomy(model))
        if str(edge[0]) in ends["senders"] and str(edge[1]) in ends["receivers"]
    ]
    expected = loop(model, CLEAN, CORRUPTED, edges)
    for chosen in NAMES:
        for shortcuts in (
            Shortcuts(**{other: other == chosen for other in NAMES}),
            Shortcuts(**{other: other != chosen for other in NAMES}),
        ):
            found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, shortcuts=shortcuts, **ends)
            must_agree(of_map(found, edges), expected)


@pytest.mark.slow
def test_a_small_bound_on_memory_cuts_the_work_and_changes_nothing(tiny: Callable[..., Any], monkeypatch: Any) -> None:
    from course_utils.sweeps import paths

    model = tiny("tiny-gemma3", seed=1)
    expected = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, through="mlps")
    groups: list[int] = []
    run = paths._Paths._run_group

    def counted(self: Any, group: Any) -> None:
        groups.append(len(group.members))
        run(self, group)

    monkeypatch.setattr(paths._Paths, "_run_group", counted)
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, through="mlps", memory_mb=3.0)
    assert len(groups) > 3 and sum(groups) == len(all_senders(anatomy(model)))
    must_agree(found.numbers.nan_to_num(), expected.numbers.nan_to_num(), 1e-5)
    with pytest.raises(SweepError, match=r"memory_mb=0\.05 is too little for paths .* Give at least memory_mb="):
        patch_paths(model, CLEAN, CORRUPTED, ANSWERS, memory_mb=0.05)


@pytest.mark.slow
def test_the_bound_that_the_message_asks_for_is_enough(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gemma3", seed=1)
    with pytest.raises(SweepError) as refused:
        patch_paths(model, CLEAN, CORRUPTED, ANSWERS, memory_mb=0.05)
    enough = float(str(refused.value).split("memory_mb=")[2].split(",")[0])
    assert patch_paths(model, CLEAN, CORRUPTED, ANSWERS, memory_mb=enough).numbers.shape == (28, 16)


_PEAKS = """
from benchmarks.measuring import Peak
from course_utils import load_model
from course_utils.sweeps import patch_paths
model = load_model()
clean = "When Mike and Emma went to the cafe, Mike gave a coffee to"
asked = model, clean, clean.replace("Mike gave", "Emma gave"), (" Mike", " Emma")
senders = [f"{layer}.{head}" for layer in range(10, 18) for head in range(9)]
receivers = [f"24.{head} query" for head in range(9)]
patch_paths(*asked, senders=["23.0"], receivers=receivers)  # whatever is made once
for bound in ({"memory_mb": 60}, {}):
    with Peak() as peak:
        patch_paths(*asked, senders=senders, receivers=receivers, **bound)
    print(peak.mb)
"""


@pytest.mark.slow
def test_the_bound_on_memory_is_kept() -> None:
    """The peak of a process of its own, on the lessons' model; at the usual bound the same paths take more."""
    done = subprocess.run([sys.executable, "-c", _PEAKS], cwd=ROOT, capture_output=True, text=True, check=True)
    bounded, usual = map(float, done.stdout.split())
    assert bounded <= 60 < usual


def test_another_attention_kernel_gives_the_same(tiny: Callable[..., Any]) -> None:
    from course_utils import load_model

    model = load_model("tiny-gemma3", seed=1)
    model._module.set_attn_implementation("sdpa")
    expected = patch_paths(tiny("tiny-gemma3", seed=1), CLEAN, CORRUPTED, ANSWERS)
    found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS)
    must_agree(found.numbers.nan_to_num(), expected.numbers.nan_to_num())
    assert model._module.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("ask", [patch_paths, partial(run_circuits, circuits=[[]]), edge_attribution])
def test_a_layer_that_does_not_repeat_itself_is_found_out(ask: Callable[..., Any], monkeypatch: Any) -> None:
    from course_utils import load_model
    from course_utils.sweeps.layers_by_hand import LayersByHand

    honest = LayersByHand.attend
    monkeypatch.setattr(LayersByHand, "attend", lambda self, *given: honest(self, *given) * 1.1)
    with pytest.raises(SweepError, match=r"layer 0: called alone, its heads put out something 0\.1 away"):
        ask(load_model("tiny-llama", seed=1), CLEAN, CORRUPTED, ANSWERS)


def test_attention_without_queries_says_so(tiny: Callable[..., Any], monkeypatch: Any) -> None:
    model = tiny("tiny-llama", seed=1)
    # Its module is where a family keeps its own attention function.
    monkeypatch.setattr(type(anatomy(model).attentions[0]._module), "__module__", "builtins")
    with pytest.raises(SweepError, match=r"has no queries, keys and values that this course can find"):
        patch_paths(model, CLEAN, CORRUPTED, ANSWERS)


def test_the_model_is_left_as_it_was(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-gemma2", seed=5)
    with torch.no_grad():
        before = model._module(ids_of(model, CLEAN)).logits
    patch_paths(model, CLEAN, CORRUPTED, ANSWERS, through="mlps")
    with pytest.raises(ZeroDivisionError):
        patch_paths(model, CLEAN, CORRUPTED, metric=lambda logits: torch.tensor(1 / 0))
    assert model._module.config._attn_implementation == "eager"
    with torch.no_grad():
        assert torch.equal(model._module(ids_of(model, CLEAN)).logits, before)
    heads = patch_heads(model, CLEAN, CORRUPTED, ANSWERS)
    assert heads.shape == (3, 4)


# Refusals.


def test_what_does_not_exist_is_named(tiny: Callable[..., Any]) -> None:
    model = tiny("tiny-llama")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"senders": ["3.0"]}, r"senders: 3\.0 does not exist; there are 3 layers, 0 to 2"),
        ({"senders": "0.4"}, r"senders: 0\.4 does not exist; there are 4 heads, 0 to 3"),
        ({"senders": "mlp 7"}, r"senders: mlp 7 does not exist; there are 3 layers"),
        ({"senders": ["head 1"]}, r"senders: 'head 1' is none\. A sender is"),
        ({"senders": [Receiver("mlp", 1)]}, r"senders: 'mlp 1' is none"),
        ({"senders": []}, r"senders=\[\]: expected a name or a list of names"),
        ({"senders": 3}, r"senders=3: expected a name"),
        ({"senders": ["0.1", "0.1"]}, r"senders: 0\.1 is named twice"),
        ({"receivers": ["1.3 key"]}, r"receivers: 1\.3 key does not exist; there are 2 key/value heads, 0 to 1"),
        ({"receivers": ["1.4 query"]}, r"receivers: 1\.4 query does not exist; there are 4 heads"),
        ({"receivers": ["1.0 keys"]}, r"receivers: '1\.0 keys' is none; did you mean 'key'\?"),
        ({"receivers": ["1.0"]}, r"receivers: '1\.0' is none\. A receiver is"),
        ({"receivers": [Sender("mlp", 1)]}, r"receivers: 'mlp 1' is none"),
        (
            {"senders": "2.0", "receivers": ["1.0 query", "mlp 1"]},
            r"No receiver comes after a sender: 1\.0 query reads",
        ),
        ({"through": "heads"}, r'through=\'heads\': expected "mlps"'),
        ({"positions": 99}, "positions: 99 does not exist"),
        ({"answers": (" Mike",)}, "expected two"),
        ({"clean": [CLEAN]}, "clean and corrupted come in pairs"),
    ]
    for arguments, message in wrong:
        with pytest.raises(SweepError, match=message):
            patch_paths(model, **{"clean": CLEAN, "corrupted": CORRUPTED, "answers": ANSWERS, **arguments})
    with pytest.raises(SweepError, match="or metric="):
        patch_paths(model, CLEAN, CORRUPTED)
    with pytest.raises(TypeError, match=r"patch_paths has no option 'layers'.* It has answers, senders, receivers"):
        patch_paths(model, CLEAN, CORRUPTED, ANSWERS, layers=[1])  # type: ignore[call-arg]


def test_there_are_as_many_edges_as_the_parts_make(tiny: Callable[..., Any]) -> None:
    llama, neox = anatomy(tiny("tiny-llama")), anatomy(tiny("tiny-gpt-neox"))
    # Senders below layer l: the embedding and l times 4 heads and an MLP. An MLP reads the heads beside it, unless the
    # block is parallel.
    assert len(all_edges(llama)) == sum((4 + 2 + 2) * (5 * i + 1) + (5 * i + 1 + 4) for i in range(3)) + 16
    assert len(all_edges(neox)) == sum((4 + 4 + 4 + 1) * (5 * i + 1) for i in range(3)) + 16
    assert len(all_receivers(llama)) == 3 * 9 + 1


# Others' work.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-gpt2", "real"])
def test_against_transformer_lens(name: str, tiny: Callable[..., Any], real_model: Any, tmp_path: Any) -> None:
    """TransformerLens has the direct paths from a head to the heads above, of grouped heads to their queries only."""
    from transformer_lens import patching
    from transformer_lens.model_bridge import TransformerBridge

    model = real_model if name == "real" else tiny(name, seed=1)
    model._module.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    first, second = (model.tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in ANSWERS)
    bridge = TransformerBridge.boot_transformers(str(tmp_path), device="cpu", dtype=torch.float32)
    senders = [Sender("head", 28, 1), Sender("head", 27, 6)] if name == "real" else [Sender("head", 0, 1)]
    kinds = ("query",) if name == "real" else ("query", "key", "value")
    with torch.no_grad():
        _, clean = bridge.run_with_cache(ids_of(model, CLEAN))
        _, corrupted = bridge.run_with_cache(ids_of(model, CORRUPTED))
    for sender in senders:
        for kind in kinds:
            with torch.no_grad():
                theirs = patching.get_act_patch_direct_path(
                    bridge,
                    ids_of(model, CORRUPTED),
                    clean,
                    corrupted,
                    lambda logits: logits[0, -1, first] - logits[0, -1, second],
                    sender.layer,
                    sender.head,
                    kind[0],  # "q", "k", "v"
                    verbose=False,
                )
            receivers = [to for to in all_receivers(anatomy(model)) if to.kind == kind and to.layer > sender.layer]
            found = patch_paths(model, CLEAN, CORRUPTED, ANSWERS, senders=sender, receivers=receivers)
            expected = torch.stack([theirs[to.layer, to.head] for to in receivers])
            assert float((expected - found.unpatched).abs().max()) > 1e-3
            must_agree(found.numbers[:, 0], expected.float())
