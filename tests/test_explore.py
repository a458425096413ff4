"""What `explore` asks of a model, held against transformers' own outputs and against the lessons' solutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils import explore, patching
from course_utils.pictures.views.packing import unpacked

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
Tiny = Callable[..., Any]
BOTH = pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])


def outputs(model: Any, prompt: str) -> Any:
    """What transformers' module gives for a prompt, hidden states and attention included."""
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        return model._module(ids, output_hidden_states=True, output_attentions=True)


@BOTH
def test_attention_is_transformers_own(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    view = explore.attention(model, CLEAN, (1, 0))
    own = torch.stack(outputs(model, CLEAN).attentions)[:, 0]  # (layer, head, query, key)
    query, key = torch.tril_indices(own.shape[-1], own.shape[-1])
    shown = torch.from_numpy(unpacked(view.data["weights"]).copy()).reshape(*own.shape[:2], -1)
    torch.testing.assert_close(shown / 100, own[:, :, query, key], atol=5.2e-3, rtol=0)
    assert view.data["tokens"] == [model.tokenizer.decode([id]) for id in model.tokenizer(CLEAN)["input_ids"]]
    assert view.data["key_value_heads"] == getattr(model.config, "num_key_value_heads", own.shape[1])
    assert view.data["start"] == [1, 0]


@BOTH
def test_the_lens_ends_in_transformers_own_prediction(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    view = explore.lens(model, CLEAN, [" Mike"], best=4)
    own = outputs(model, CLEAN).logits[0].softmax(-1)  # (position, vocabulary)
    (read,) = view.data["lenses"]
    best = own.topk(4)
    torch.testing.assert_close(torch.tensor(read["probability"][-1]) / 1000, best.values, atol=5.2e-4, rtol=0)
    words = [[view.data["vocabulary"][place] for place in row] for row in read["top"][-1]]
    assert words == [[model.tokenizer.decode([id]) for id in row] for row in best.indices.tolist()]
    mike = model.tokenizer(" Mike")["input_ids"][0]
    assert read["ranks"][0][-1] == ((own > own[:, [mike]]).sum(-1) + 1).tolist()
    assert len(read["top"]) == model.config.num_hidden_layers + 1


def test_a_depth_of_the_lens_is_the_hidden_state_through_norm_and_unembedding(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    hidden = outputs(model, CLEAN).hidden_states[1][0]
    with torch.no_grad():
        own = model._module.lm_head(model._module.model.norm(hidden)).softmax(-1).max(-1).values
    read = explore.lens(model, CLEAN).data["lenses"][0]
    shown = torch.tensor(read["probability"][1])[:, 0] / 1000
    torch.testing.assert_close(shown, own, atol=5.2e-4, rtol=0)


def test_the_lens_follows_the_models_answer_and_a_second_lens_can_be_given(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    answer = model.tokenizer.decode([int(outputs(model, CLEAN).logits[0, -1].argmax())])
    view = explore.lens(model, CLEAN, fitted=torch.neg)
    plain, fitted = view.data["lenses"]
    assert view.data["follow"] == [answer] and plain["ranks"][0][-1][-1] == 1
    # The stream turned around: what was first is last.
    assert (plain["name"], fitted["name"]) == ("logit lens", "fitted lens")
    assert fitted["ranks"][0][-1][-1] == view.data["size"]


def test_wrong_requests_are_refused(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    with pytest.raises(ValueError, match="exactly one token"):
        explore.lens(model, CLEAN, [" Mike and Emma"])
    for best in (0, 10**6):
        with pytest.raises(ValueError, match=f"best is {best}; expected 1 to"):
            explore.lens(model, CLEAN, best=best)
    with pytest.raises(ValueError, match="The text is empty"):
        explore.attention(model, "")
    with pytest.raises(ValueError, match=r"The clean prompt has .* tokens and the corrupted one"):
        explore.patching_map(model, CLEAN, "When Mike")


@BOTH
def test_the_patching_map_shows_what_the_single_experiments_give(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    view = explore.patching_map(model, CLEAN, CORRUPTED, by_position=True)
    (pair,) = view.data["pairs"]
    before = patching.logit_difference(model, CORRUPTED)
    maps = {one["name"]: torch.tensor(one["values"]) for one in pair["maps"]}
    assert list(maps) == ["patched alone", "direct", "through others", "scrambled"]
    for layer, head in ((0, 1), (1, 0)):
        alone = patching.patch_head(model, CLEAN, CORRUPTED, layer, head) - before
        assert float(maps["patched alone"][layer, head]) == pytest.approx(alone, abs=2e-3)
    torch.testing.assert_close(maps["direct"] + maps["through others"], maps["patched alone"], atol=2e-3, rtol=0)
    direct = patching.direct_effects(model, CLEAN, CORRUPTED)
    torch.testing.assert_close(maps["direct"], direct, atol=1e-3, rtol=0)
    assert pair["gap"] == pytest.approx(patching.logit_difference(model, CLEAN) - before, abs=6e-3)
    for shown in pair["prompts"]:
        own = torch.stack(outputs(model, {"clean": CLEAN, "corrupted": CORRUPTED}[shown["name"]]).attentions)[
            :, 0, :, -1
        ]
        torch.testing.assert_close(torch.tensor(shown["attention"]) / 100, own, atol=5.2e-3, rtol=0)
    # Up to the position at which the prompts part, clean and corrupted are the same, and so nothing is patched.
    moved = torch.tensor(pair["by_position"])
    part = next(i for i, (a, b) in enumerate(zip(*(one["tokens"] for one in pair["prompts"]), strict=True)) if a != b)
    assert part > 3 and moved[..., :part].abs().max() < 0.05 < moved[..., part:].abs().max()


def test_a_family_whose_heads_cannot_be_told_apart_has_the_map_without_that(tiny: Tiny) -> None:
    view = explore.patching_map(tiny("tiny-gemma3"), CLEAN, CORRUPTED)
    assert [one["name"] for one in view.data["pairs"][0]["maps"]] == ["patched alone", "scrambled"]
    assert explore.patching_map(tiny("tiny-gpt2"), CLEAN, CORRUPTED).data["copy"] is None
    assert explore.patching_map(tiny("tiny-llama"), CLEAN, CORRUPTED).data["copy"] is not None


def test_a_view_of_a_prompt_asks_the_same_of_another(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    for view in (explore.lens(model, CLEAN, [" Mike"], best=3), explore.attention(model, CLEAN, (1, 1))):
        assert view.ask is not None and view.asks
        again = view.ask(CORRUPTED)
        assert again.data["tokens"] != view.data["tokens"] and again.ask is not None
        assert view.ask(CLEAN).data == view.data
