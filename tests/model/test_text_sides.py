"""Models that also see or hear: their text side, held against what transformers' own whole model says of a text."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nnsight
import pytest
import torch
from transformers import AutoConfig, AutoModelForMultimodalLM, DynamicCache

from course_utils import ModelError, anatomy, load_model
from course_utils.model.anatomy import AnatomyError, find
from course_utils.model.finding import find_layers
from course_utils.model.proving import prove
from course_utils.model.sources import RemoteSource
from course_utils.model.tiny import LAYERS, tiny_config, tiny_tokenizer
from course_utils.model.twin import draw_loud
from course_utils.residual import layer_output_with_hook, model_card, stream_parts
from course_utils.sweeps import patch_heads

TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35, 89, 79]])
TEXT = "The cat and the dog"
CLOSE: Any = {"rtol": 2e-3, "atol": 2e-3}
SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
SEES = {**SMALL, "image_size": 28, "patch_size": 14}
VISION: dict[str, dict[str, Any]] = {
    "llava": {"model_type": "clip_vision_model", **SEES, "projection_dim": 32},
    "mistral3": {"model_type": "pixtral", **SEES, "head_dim": 16},
    "smolvlm": {**SEES},
    "paligemma": {"model_type": "siglip_vision_model", **SEES, "projection_dim": 64},
    "gemma3": {"model_type": "siglip_vision_model", **SEES},
    "cohere2_vision": {"model_type": "siglip_vision_model", **SEES},  # leaves out the scale of its text side's logits
    "qwen2_vl": {"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 1},
    "qwen2_5_vl": {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64},
    "qwen3_vl": {**SMALL, "depth": 1, "num_heads": 2, "out_hidden_size": 64, "deepstack_visual_indexes": []},
}
TEXT_SIDE = {"gemma3": "tiny-gemma3", "cohere2_vision": "tiny-cohere", "qwen3_vl": "tiny-qwen3"}
TEXT_TYPE = {"mistral3": "mistral", "paligemma": "gemma", "cohere2_vision": "cohere2"}


def whole(model_type: str) -> Any:
    """The whole model, small and random, as transformers builds it."""
    text = tiny_config(TEXT_SIDE.get(model_type, "tiny-llama")).to_dict()
    text["model_type"] = TEXT_TYPE.get(model_type, text["model_type"])
    if model_type.startswith("qwen"):
        text.pop("model_type")
        half = (text.get("head_dim") or 16) // 2
        text["rope_parameters"] = {
            "rope_type": "default", "rope_theta": 1e4, "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
        }  # fmt: skip
    config = AutoConfig.for_model(
        model_type, text_config=text, vision_config=VISION[model_type], image_token_id=1, image_token_index=1
    )
    torch.manual_seed(0)
    module = AutoModelForMultimodalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    draw_loud(module, 0)
    return module.eval()


@pytest.fixture(scope="module", params=list(VISION))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """(the model as the course loads it from a folder, transformers' own whole one)"""
    theirs = whole(request.param)
    folder: Path = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return load_model(folder, dtype="float32", device="cpu"), theirs


def test_a_text_gets_the_logits_of_the_whole_model(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    with ours.trace(TOKENS):
        logits = nnsight.save(ours.output.logits)
    torch.testing.assert_close(logits, expected, **CLOSE)
    assert anatomy(ours).n_layers == LAYERS


def test_its_stream_is_what_hooks_see(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    parts = anatomy(ours)
    ids = tiny_tokenizer()(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = theirs(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(layer_output_with_hook(ours, TEXT, 0), states[1][0], **CLOSE)
    with torch.no_grad():
        torch.testing.assert_close(parts.unembed(stream_parts(ours, TEXT).sum(0)), theirs(ids).logits[0], **CLOSE)


def test_a_patched_head_is_what_a_hook_makes_of_it(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    parts, other = anatomy(ours), TOKENS.clone()
    other[0, 4] = 7
    name = {module: name for name, module in ours._module.named_modules()}[parts.out_projections[1]._module]
    projection, width = theirs.get_submodule(name), parts.head_width
    seen: list[torch.Tensor] = []

    def put(_: Any, inputs: tuple) -> tuple:
        mixed = inputs[0].clone()
        mixed[..., width : 2 * width] = seen[0][..., width : 2 * width]
        return (mixed, *inputs[1:])

    with torch.no_grad():
        with projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone())):
            theirs(other)
        before = theirs(TOKENS).logits[0, -1]
        with projection.register_forward_pre_hook(put):
            after = theirs(TOKENS).logits[0, -1]
    found = patch_heads(ours, other[0], TOKENS[0], (5, 6), layers=1, heads=1)
    torch.testing.assert_close(found[0, 0], after[5] - after[6], **CLOSE)
    assert float((before - after).abs().max()) > 1e-3


def test_a_cache_goes_on_after_a_generation_of_another_batch(pair: tuple[Any, Any]) -> None:
    """Qwen-VL keeps how far pictures moved the positions, one number for each row of its last generation."""
    ours, theirs = pair
    with ours.generate([TEXT, TEXT], max_new_tokens=2, do_sample=False) as tracer:
        nnsight.save(tracer.result)
    cache = DynamicCache(config=ours._module.config)
    with torch.no_grad():
        ours._module(TOKENS[:, :5], past_key_values=cache, use_cache=True)
        rest = ours._module(TOKENS[:, 5:], past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(rest, theirs(TOKENS).logits[:, 5:], **CLOSE)


def test_the_card_tells_what_no_text_meets(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    card = model_card(ours)
    text = {id(p): p.numel() for part in (theirs.get_decoder(), theirs.lm_head) for p in part.parameters()}
    everything = sum(p.numel() for p in theirs.parameters())
    assert card["parameters, pictures and sound"] == everything - sum(text.values()) > 0
    assert "parameters, pictures and sound" not in model_card(load_model("tiny-gemma3"))


@pytest.mark.parametrize("model_type", ["blip-2", "idefics", "voxtral_realtime"])
def test_what_reads_more_than_a_text_is_refused_in_a_sentence(model_type: str, tiny: Any) -> None:
    ours = copy.copy(tiny("tiny-llama")._module.config)
    ours.model_type = model_type  # the whole's own; these cannot be made small
    module = SimpleNamespace(config=ours)
    with pytest.raises(AnatomyError, match=f"^{model_type}: it reads a picture or a sound with every text"):
        find_layers(module, tiny("tiny-llama")._module.config)


def test_what_looks_ahead_is_refused(tiny: Any) -> None:
    """A mask that hides nothing, as an encoder's."""
    model = load_model("tiny-llama", seed=9)
    for layer in model._module.model.layers:
        layer.self_attn.register_forward_pre_hook(
            lambda _, inputs, named: (inputs, {**named, "attention_mask": None}), with_kwargs=True
        )
    with pytest.raises(AnatomyError, match="layer 0: its tokens look at those after them"):
        prove(find(model))


def test_a_load_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole("llava").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    caplog.clear()
    load_model(tmp_path, dtype="float32", device="cpu")
    assert not caplog.records


def test_a_remote_text_side_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole("llava").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"text side of a model that also sees or hears \(llava\).*this machine only"):
        RemoteSource(str(tmp_path)).load(None, None, False)
