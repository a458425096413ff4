"""What `explore` asks of a model, held against transformers' own outputs and against the lessons' solutions."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils import circuits, explore, patching
from course_utils.exercises import Model
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.pictures import views
from course_utils.pictures.views.packing import unpacked
from course_utils.residual import residual_stream

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
ANSWERS = (" Mike", " Emma")
STEERING = importlib.import_module("course_utils.explore.steering")  # at the door the name is the function's
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
        explore.patching_map(model, CLEAN, "When Mike", ANSWERS)
    with pytest.raises(ValueError, match="The two prompts are the same, 'When Mike"):
        explore.patching_map(model, CLEAN, CLEAN, ANSWERS)
    with pytest.raises(ValueError, match="The two answers are the same, ' Mike'"):
        explore.patching_map(model, CLEAN, CORRUPTED, (" Mike", " Mike"))
    with pytest.raises(ValueError, match="orders=-1"):
        explore.patched_pair(model, CLEAN, CORRUPTED, ANSWERS, orders=-1)


@pytest.mark.parametrize("asked", [explore.patching_map, explore.patched_pair, explore.circuit])
def test_no_lessons_answers_are_taken_for_another_pair_of_prompts(asked: Callable[..., Any], tiny: Tiny) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'answers'"):
        asked(tiny("tiny-llama"), CLEAN, CORRUPTED)


@pytest.mark.slow
@BOTH
def test_the_patching_map_shows_what_the_single_experiments_give(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    view = explore.patching_map(model, CLEAN, CORRUPTED, ANSWERS, by_position=True)
    (pair,) = view.data["pairs"]
    before = patching.logit_difference(model, CORRUPTED)
    maps = {one["name"]: torch.tensor(one["values"]) for one in pair["maps"]}
    assert list(maps) == ["patched alone", "direct", "through others", "scrambled"]
    for layer, head in ((0, 1), (1, 0)):
        alone = patching.patch_head(model, CLEAN, CORRUPTED, layer, head) - before
        assert float(maps["patched alone"][layer, head]) == pytest.approx(alone, abs=2e-3)
    torch.testing.assert_close(maps["direct"] + maps["through others"], maps["patched alone"], atol=2e-3, rtol=0)
    direct = patching.direct_effects(model, CLEAN, CORRUPTED, ANSWERS).heads
    torch.testing.assert_close(maps["direct"], direct, atol=1e-3, rtol=0)
    assert pair["gap"] == pytest.approx(patching.logit_difference(model, CLEAN) - before, abs=6e-3)
    for shown in pair["prompts"]:
        own = torch.stack(outputs(model, {"clean": CLEAN, "corrupted": CORRUPTED}[shown["name"]]).attentions)[
            :, 0, :, -1
        ]
        torch.testing.assert_close(
            torch.from_numpy(unpacked(shown["attention"]).copy()).reshape(own.shape) / 100, own, atol=5.2e-3, rtol=0
        )
    # Up to the position at which the prompts part, clean and corrupted are the same, and so nothing is patched.
    moved = torch.tensor(pair["by_position"])
    part = next(i for i, (a, b) in enumerate(zip(*(one["tokens"] for one in pair["prompts"]), strict=True)) if a != b)
    assert part > 3 and moved[..., :part].abs().max() < 0.05 < moved[..., part:].abs().max()


@pytest.mark.slow
def test_copy_scores_are_shown_where_the_names_are_tokens(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = explore.patching_map(tiny("tiny-llama"), CLEAN, CORRUPTED, ANSWERS).data["copy"]
    torch.testing.assert_close(torch.tensor(copy), patching.copy_scores(tiny("tiny-llama")), atol=0.051, rtol=0)
    scores = patching.copy_scores
    monkeypatch.setattr(patching, "copy_scores", lambda model: scores(model, ["Bartholomew"]))
    assert explore.patching_map(tiny("tiny-gpt2"), CLEAN, CORRUPTED, ANSWERS).data["copy"] is None


@BOTH
def test_the_next_token_is_transformers_own(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    view = explore.next_token(model, CLEAN)
    logits = outputs(model, CLEAN).logits[0, -1]
    best = logits.topk(len(view.data["words"]))
    assert view.data["words"] == [model.tokenizer.decode([id]) for id in best.indices.tolist()]
    shown = torch.tensor(view.data["logits"])
    torch.testing.assert_close(shown, best.values - best.values[0], atol=6e-4, rtol=0)
    assert len(view.data["words"]) + sum(view.data["rest"]["counts"]) == len(logits)


def test_tokens_are_the_tokenizers_own_for_every_beginning(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    text = "A café, 12 €"
    view = explore.tokens(model, text, {"again": model.tokenizer})
    for shown in view.data["tokenizers"]:
        for length, row in enumerate(shown["cuts"], start=1):
            own = model.tokenizer(text[:length], add_special_tokens=False)["input_ids"]
            assert [shown["pieces"][place]["id"] for place in row] == own
    assert [one["name"] for one in view.data["tokenizers"]] == ["this model", "again"]
    # The surprisals are the cross-entropies of transformers' logits, after a line break.
    ids = model.tokenizer("\n" + text, return_tensors="pt").input_ids[0]
    with torch.no_grad():
        logits = model._module(ids[None]).logits[0]
    bits = torch.nn.functional.cross_entropy(logits[1:-1], ids[2:], reduction="none") / torch.log(torch.tensor(2.0))
    assert view.data["tokenizers"][0]["surprisal"][1:] == pytest.approx(bits.tolist(), abs=0.051)


def test_the_bytes_of_a_token_are_those_that_it_stands_for(tiny: Tiny) -> None:
    """Of every token that is whole characters, by the tokenizer's own decoding."""
    tokenizer = tiny("tiny-llama").tokenizer
    parts = 0
    for id in range(len(tokenizer)):
        text = tokenizer.decode([id])
        if "\ufffd" in text:
            parts += 1
        else:
            assert explore.token_bytes(tokenizer, id) == text.encode(), id
    assert 0 < parts < 200
    assert {len(explore.token_bytes(tokenizer, id)) for id in range(len(tokenizer))} >= {1, 2, 3}


def test_sentencepieces_bytes_are_read_too() -> None:
    """As Gemma has it: "é" stands for itself, though it is also a letter of the byte-level alphabet."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = [("<s>", 0.0), ("<0xE2>", -1.0), ("▁the", -1.0), ("né", -1.0), ("▁", -1.0)]
    core = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>")
    assert [explore.token_bytes(tokenizer, id) for id in range(5)] == [b"<s>", b"\xe2", b" the", "né".encode(), b" "]


def test_the_cache_goes_on_as_transformers_does(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    view = explore.cache(model, "The old man", 4)
    ids = model.tokenizer("The old man", return_tensors="pt").input_ids
    with torch.no_grad():
        for _ in range(4):
            ids = torch.cat([ids, model._module(ids).logits[:, -1:].argmax(-1)], dim=1)
    assert view.data["tokens"] == [model.tokenizer.decode([id]) for id in ids[0].tolist()]
    assert view.data["prompt_length"] == ids.shape[1] - 4
    assert view.data["key_value_heads"] == model.config.num_key_value_heads
    assert any(explore.cache(tiny("tiny-gemma3"), "The old man", 0).data["windows"])
    with pytest.raises(ValueError, match="n_new is -1"):
        explore.cache(model, "The old man", -1)


@BOTH
def test_the_steps_by_hand_add_up(tiny: Tiny, name: str) -> None:
    """What comes in and what goes out are transformers' hidden states; between them everything is a sum."""
    model = tiny(name)
    hidden = outputs(model, CLEAN).hidden_states
    steps = {step["name"]: step for step in explore.by_hand(model, CLEAN, 1, 4).data["steps"]}
    for shown, own in ((steps["comes in"], hidden[1][0, 4]), (steps["goes out"], hidden[2][0, 4])):
        assert shown["norm"] == pytest.approx(float(own.norm()), rel=6e-3)
        assert shown["numbers"] == pytest.approx(own[:12].tolist(), rel=6e-3, abs=6e-4)
    numbers = {name: torch.tensor(step["numbers"]) for name, step in steps.items()}
    torch.testing.assert_close(
        numbers["comes in"] + numbers["attention writes"] + numbers["the MLP writes"], numbers["goes out"],
        atol=0.03, rtol=0.01,
    )  # fmt: skip
    heads = model.config.num_attention_heads
    assert steps["attention weights"]["shape"] == [heads, len(model.tokenizer(CLEAN)["input_ids"])]
    for layer, position, message in ((9, 0, "no layer 9"), (0, 99, "no position 99"), (0, -99, "no position -99")):
        with pytest.raises(ValueError, match=message):
            explore.by_hand(model, CLEAN, layer, position)


def test_steering_is_what_a_hook_does(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("tiny-llama")
    monkeypatch.setattr(STEERING, "NULLS", 3)
    directions = torch.randn(
        model.config.num_hidden_layers, model.config.hidden_size, generator=torch.Generator().manual_seed(1)
    )
    words, prompt, ordinary = ([" park"], [" school"]), "When Mike and Emma went", "The old man went to the park"
    view = explore.steering(model, prompt, directions, words, ordinary, [0, 2], (0.5, -0.5, 0.0), n_new=2)
    odds = view.data["measures"][0]
    assert view.data["strengths"] == [-0.5, 0.0, 0.5] and view.data["layers"] == [0, 2]
    layer = model._module.model.layers[2]
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output[0, 1:].norm(dim=-1)))
    for text in (prompt, ordinary):
        outputs(model, text)
    hook.remove()
    added = 0.5 * torch.cat(seen).median() * directions[2] / directions[2].norm()
    hook = layer.register_forward_hook(lambda module, inputs, output: output + added)
    logits = outputs(model, prompt).logits[0, -1]
    hook.remove()
    good, bad = (model.tokenizer(word)["input_ids"][0] for word in (" park", " school"))
    assert odds["values"][1][2] == pytest.approx(float(logits[good] - logits[bad]), abs=0.011)
    plain = outputs(model, prompt).logits[0, -1]
    for row in range(2):  # at strength 0 nothing is added, to the direction or to the random ones
        for value in (odds["values"][row][1], odds["null"][0][row][1], odds["null"][1][row][1]):
            assert value == pytest.approx(float(plain[good] - plain[bad]), abs=0.011)
        assert odds["null"][0][row][0] < odds["null"][1][row][0]
    with pytest.raises(ValueError, match="directions for 1 layers; this model has"):
        explore.steering(model, prompt, directions[:1], words, ordinary, [0])
    with pytest.raises(ValueError, match="There is no layer 9"):
        explore.steering(model, prompt, directions, words, ordinary, [9])


def test_a_view_of_a_prompt_asks_the_same_of_another(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("tiny-llama")
    monkeypatch.setattr(STEERING, "NULLS", 2)
    directions = torch.randn(
        model.config.num_hidden_layers, model.config.hidden_size, generator=torch.Generator().manual_seed(1)
    )
    asked = (
        explore.lens(model, CLEAN, [" Mike"], best=3),
        explore.attention(model, CLEAN, (1, 1)),
        explore.next_token(model, CLEAN),
        explore.tokens(model, CLEAN),
        explore.cache(model, CLEAN, 2),
        explore.steering(model, CLEAN, directions, ([" park"], [" school"]), "The old man", [1], (-0.5, 0.5), n_new=1),
    )
    for view in asked:
        assert view.ask is not None and view.asks == {"A prompt of your own": ""}
        again = view.ask(CORRUPTED)
        assert again.data != view.data and again.ask is not None
        assert view.ask(CLEAN).data == view.data


def test_the_map_asks_for_two_prompts_and_two_answers(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    view = explore.patching_map(model, CLEAN, CORRUPTED, ANSWERS)
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, CORRUPTED, " Mike", " Emma"]
    assert view.ask(*view.asks.values()).data == view.data
    again = view.ask(CORRUPTED, CLEAN, " Emma", " Mike")
    assert again.data == explore.patching_map(model, CORRUPTED, CLEAN, (" Emma", " Mike")).data != view.data


def test_a_map_of_measured_pairs_puts_a_pair_of_ones_own_in_front(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    pairs = [explore.patched_pair(model, CLEAN, CORRUPTED, ANSWERS, orders=1)]
    view = explore.map_of_pairs(model, pairs, patching.copy_scores(model))
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, CORRUPTED, " Mike", " Emma"]
    own, kept = view.ask(CORRUPTED, CLEAN, " Emma", " Mike").data["pairs"]
    assert [kept] == view.data["pairs"]
    assert own == explore.patching_map(model, CORRUPTED, CLEAN, (" Emma", " Mike")).data["pairs"][0]
    once_more = view.ask(CORRUPTED, CLEAN, " Emma", " Mike").ask
    assert once_more is not None and len(once_more(CLEAN, CORRUPTED, " Mike", " park").data["pairs"]) == 2
    plain = explore.map_of_pairs(model, [explore.patched_pair(model, CLEAN, CORRUPTED, ANSWERS, orders=0)])
    assert plain.ask is not None
    shown = [[one["name"] for one in pair["maps"]] for pair in plain.ask(*view.asks.values()).data["pairs"]]
    assert shown == [["patched alone", "direct", "through others"]] * 2
    bare = explore.map_of_pairs(model, [dataclasses.replace(pairs[0], prompts={}, attention={}, asked=None)])
    assert list(bare.asks.values()) == [""] * 4, "nothing tells the prompts, and nobody said the answers"


def test_a_map_of_measured_pairs_asks_what_was_asked_where_a_token_stands_in_front() -> None:
    model = Model("tiny-llama", begins=True).load()
    pair = explore.patched_pair(model, CLEAN, CORRUPTED, (" Mike", " park"), orders=0)
    assert pair.prompts["clean"][0] == model.tokenizer.bos_token
    view = explore.map_of_pairs(model, [pair])
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, CORRUPTED, " Mike", " park"]
    again = view.ask(*view.asks.values())
    assert again.data["pairs"][0] == view.data["pairs"][0] and again.asks == view.asks


@pytest.mark.parametrize("begins", [False, True])
def test_of_a_pair_made_by_hand_the_prompts_are_read_from_its_tokens(begins: bool) -> None:
    """As lesson 6 makes one."""
    model = Model("tiny-llama", begins=begins).load()
    prompts = {"clean": explore.pieces(model, CLEAN), "corrupted": explore.pieces(model, CORRUPTED)}
    attention = {name: torch.zeros(3, 4, len(tokens)) for name, tokens in prompts.items()}
    pair = views.PatchedPair("ours", 1.0, {"patched alone": torch.zeros(3, 4)}, prompts, attention)
    assert list(explore.map_of_pairs(model, [pair]).asks.values()) == [CLEAN, CORRUPTED, "", ""], "nobody said them"
    asks = explore.map_of_pairs(model, [pair], answers=(" park", " school")).asks
    assert list(asks.values())[2:] == [" park", " school"]
    bare = dataclasses.replace(pair, prompts={name: [t.strip() for t in ts] for name, ts in prompts.items()})
    assert list(explore.map_of_pairs(model, [bare]).asks.values())[:2] == ["", ""], "its tokens do not tell the spaces"


def place_of(head: str) -> tuple[int, int]:
    layer, number = head.split(".")
    return int(layer), int(number)


PAIRS = [(CLEAN, CORRUPTED, ANSWERS), (CORRUPTED, CLEAN, (" Emma", " Mike"))]


@BOTH
def test_a_path_of_the_circuit_is_the_single_experiment(tiny: Tiny, name: str) -> None:
    """To a query by two traces as lesson 7 builds them, straight to the answer by the norm and the unembedding."""
    model = tiny(name)
    parts = anatomy(model)
    stream = residual_stream(model, CORRUPTED)[-1, -1]
    first, other = (token_id(model, answer) for answer in ANSWERS)
    view = explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=6, paths=99)
    names = [part["name"] for part in view.data["parts"]]
    before = patching.logit_difference(model, CORRUPTED)
    seen = set()
    for path in view.data["paths"]:
        sender = place_of(names[path["begin"]])
        road = path["says"].split(",")[0].rstrip(".").split(" ")[-1]
        seen.add(road)
        if road == "answer":
            added = circuits.sent(model, CLEAN, CORRUPTED, *sender)[-1]
            with torch.no_grad():
                moved = parts.unembed(stream + added)
            effect = float(moved[first] - moved[other]) - before
        elif road == "query":
            effect = circuits.query_path(model, CLEAN, CORRUPTED, sender, place_of(names[path["end"]])) - before
        else:
            continue
        assert path["effect"] == pytest.approx(effect, abs=0.011), (sender, path)
        assert path["interval"] is None
    assert {"answer", "query"} <= seen


def test_the_circuit_has_the_heads_that_move_most_by_their_strongest_roads(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    heads = model.config.num_attention_heads
    alone = patching.patch_heads(model, CLEAN, CORRUPTED, ANSWERS, progress=False)
    alone -= patching.logit_difference(model, CORRUPTED)
    best = [divmod(place, heads) for place in alone.abs().flatten().argsort(descending=True)[:5].tolist()]
    view = explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=5, paths=99)
    names = [part["name"] for part in view.data["parts"]]
    assert set(names) == {f"{layer}.{head}" for layer, head in best} | {"logits"}
    for part in view.data["parts"][:-1]:
        layer, head = map(int, part["name"].split("."))
        assert part["says"] == f"Patched alone it moves the answer by {alone[layer, head]:+z.2f}."
    joined = {(a, b) for a in best for b in best if a[0] < b[0]}
    assert len(view.data["paths"]) == len(joined) + 5
    sharing = heads // model.config.num_key_value_heads
    every = circuits.patch_paths(model, CLEAN, CORRUPTED, ANSWERS, progress=False)
    for path in view.data["paths"]:
        begin, end = names[path["begin"]], names[path["end"]]
        ends = [end]
        if end != "logits":
            layer, head = map(int, end.split("."))
            ends = [f"{end} query", *(f"{layer}.{head // sharing} {kind}" for kind in ("key", "value"))]
        effects = {one: float(every.effect(begin, one)) for one in ends}
        road = max(effects, key=lambda one: abs(effects[one]))
        assert path["effect"] == pytest.approx(effects[road], abs=0.0051)
        layer = int(begin.split(".")[0])
        others = [f"{layer}.{head}" for head in range(heads) if (layer, head) not in best]
        if others:
            control = max(abs(float(every.effect(other, road))) for other in others)
            assert path["control"] == pytest.approx(control, abs=0.0051)
        else:
            assert path["control"] is None
        if road.endswith(("key", "value")):
            mates = [f"{end.split('.')[0]}.{head}" for head in range(heads)]
            own = mates.index(end) // sharing * sharing
            said = " and ".join(mate for mate in mates[own : own + sharing] if mate != end)
            assert path["says"] == f"Through the {road.split(' ')[1]}, shared with {said}."
    few = explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=5, paths=3)
    sizes = sorted((abs(path["effect"]) for path in view.data["paths"]), reverse=True)
    assert [abs(path["effect"]) for path in few.data["paths"]] == sizes[:3]
    used = {few.data["parts"][path[end]]["name"] for path in few.data["paths"] for end in ("begin", "end")}
    assert {part["name"] for part in few.data["parts"]} == used, "a part without a path is not drawn"


def test_of_several_pairs_the_circuit_has_means_and_their_errors(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    clean, corrupted, answers = map(list, zip(*PAIRS, strict=True))
    view = explore.circuit(model, clean, corrupted, answers, heads=3, paths=99)
    names = [part["name"] for part in view.data["parts"]]
    found = circuits.patch_paths(model, clean, corrupted, answers, progress=False)
    straight = [path for path in view.data["paths"] if names[path["end"]] == "logits"]
    assert len(straight) == 3
    for path in straight:
        values = found.effect(names[path["begin"]], "logits")
        mean, error = float(values.mean()), float(values.std() / 2**0.5)
        assert path["effect"] == pytest.approx(mean, abs=0.0051)
        assert path["interval"] == pytest.approx([mean - 2 * error, mean + 2 * error], abs=0.011)
    assert "mean of 2 pairs" in view.words


def test_the_circuit_asks_for_two_prompts_and_two_answers(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    view = explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=3, paths=4)
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, CORRUPTED, " Mike", " Emma"]
    assert view.ask(*view.asks.values()).data == view.data
    again = view.ask(CORRUPTED, CLEAN, " Emma", " Mike")
    other = explore.circuit(model, CORRUPTED, CLEAN, (" Emma", " Mike"), heads=3, paths=4)
    assert again.data == other.data != view.data and again.ask is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 0}, "heads is 0; expected 1 to"),
        ({"heads": 999}, "heads is 999; expected 1 to"),
        ({"heads": 2.5}, "heads: 2.5 is no whole number"),
        ({"paths": 0}, "paths is 0; expected 1 or more"),
        ({"corrupted": CLEAN}, "The two prompts are the same, 'When Mike"),
        ({"answers": (" Mike", " Mike")}, "The two answers are the same, ' Mike'"),
        ({"answers": (" Mike", " Bartholomew")}, "Bartholomew"),
        ({"clean": ""}, "empty"),
        ({"clean": [CLEAN, CLEAN]}, "2 clean and 1 corrupted prompts and 2 pairs of answers do not go together"),
        ({"clean": [], "corrupted": []}, "0 clean and 0 corrupted prompts and 0 pairs of answers"),
    ],
)
def test_what_the_circuit_cannot_ask_is_named(tiny: Tiny, change: dict[str, Any], message: str) -> None:
    asked = {"clean": CLEAN, "corrupted": CORRUPTED, "answers": ANSWERS} | change
    with pytest.raises(ValueError, match=message):
        explore.circuit(tiny("tiny-llama"), **asked)


def test_a_view_of_ones_own_stands_there_until_its_fields_are_asked(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    steps = views.by_hand([views.Step("comes in", "x", torch.ones(4))], "by my own hand")
    path = views.circuit(
        [views.CircuitPart("1.0", 1), views.CircuitPart("logits", 3)], [views.CircuitPath("1.0", "logits", 0.5)]
    )
    view = explore.by_hand(model, CLEAN, 1, 4, first=steps)
    assert view.payload == steps.payload and view.words == steps.words
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, "1", "4"]
    assert view.ask(CLEAN, "1", "4").data == explore.by_hand(model, CLEAN, 1, 4).data
    drawn = explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=2, first=path)
    assert drawn.payload == path.payload
    assert drawn.ask is not None
    asked = drawn.ask(*drawn.asks.values())
    assert asked.data == explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, heads=2).data
    with pytest.raises(ValueError, match=r"first is a view of views\.circuit; expected a view of views\.by_hand"):
        explore.by_hand(model, CLEAN, 1, first=path)
    with pytest.raises(ValueError, match=r"first is a view of views\.by_hand; expected a view of views\.circuit"):
        explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, first=steps)
    with pytest.raises(ValueError, match="first is 7; expected a view"):
        explore.circuit(model, CLEAN, CORRUPTED, ANSWERS, first=7)  # type: ignore[arg-type]


def test_by_hand_asks_for_a_layer_and_a_position_too(tiny: Tiny) -> None:
    model = tiny("tiny-llama")
    view = explore.by_hand(model, CLEAN, 1, 4)
    assert view.ask is not None and list(view.asks.values()) == [CLEAN, "1", "4"]
    assert view.ask(CORRUPTED, "2", "-1").data == explore.by_hand(model, CORRUPTED, 2).data != view.data
    for layer, position, message in (
        ("two", "0", "Layer is 'two'; expected a whole number"),
        ("1", "", "Position is ''; expected a whole number"),
        ("1", "99", "There is no position 99: the prompt has positions 0 to"),
        ("9", "0", "There is no layer 9"),
    ):
        with pytest.raises(ValueError, match=message):
            view.ask(CLEAN, layer, position)
