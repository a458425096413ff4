"""Which tokens a prompt is: one rule, whatever tokenizer a model comes with."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from course_utils import load_model, logit_lens, patching, residual, steering, sweeps, tokens
from course_utils.model.prompts import add_no_end, as_text, token_id, token_ids
from course_utils.model.tiny import build_tiny, tiny_tokenizer

CLEAN, CORRUPTED, ANSWERS = "a b c d", "a b e d", (" a", " b")
TEMPLATES = {
    "end": "$A <eos>",
    "begin and end": "<bos> $A <eos>",
    "begin": "<bos> $A",
    "neither": "$A",
    "two": "$A <eos> <eos>",
}


def with_template(template: str) -> Any:
    tokenizer = tiny_tokenizer()
    template = template.replace("<bos>", tokenizer.bos_token).replace("<eos>", tokenizer.eos_token)
    known = {tokenizer.bos_token: tokenizer.bos_token_id, tokenizer.eos_token: tokenizer.eos_token_id}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=list(known.items()))
    return tokenizer


@pytest.fixture(params=list(TEMPLATES.values()), ids=list(TEMPLATES))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bool]:
    build_tiny("tiny-llama", seed=5).save_pretrained(tmp_path)
    with_template(request.param).save_pretrained(tmp_path)
    return tmp_path, "<bos>" in request.param


@pytest.mark.slow
def test_nothing_stands_behind_a_prompt_and_what_stands_in_front_stays(folder: tuple[Path, bool]) -> None:
    path, begins = folder
    model, plain = load_model(path), tiny_tokenizer()
    bare = plain(CLEAN, add_special_tokens=False)["input_ids"]
    expected = [plain.bos_token_id] * begins + bare
    assert token_ids(model, CLEAN) == expected == model.tokenizer(CLEAN)["input_ids"]
    assert model.tokenizer.decode(expected, skip_special_tokens=True) == CLEAN
    assert token_id(model, " b") == plain(" b", add_special_tokens=False)["input_ids"][0]

    # Each function reads the position behind the last token, as transformers itself gives it for these ids.
    module = build_tiny("tiny-llama", seed=5)
    with torch.no_grad():
        logits = module(torch.tensor([expected])).logits[0, -1]
    with model.trace(CLEAN):
        traced = model.output.logits[0, -1].save()
    torch.testing.assert_close(traced, logits, atol=1e-5, rtol=0)
    first, second = (token_id(model, answer) for answer in ANSWERS)
    difference = float(logits[first] - logits[second])
    assert patching.logit_difference(model, CLEAN, ANSWERS) == pytest.approx(difference, abs=1e-4)
    assert tokens.greedy(model, CLEAN, 1) == [int(logits.argmax())]
    same = sweeps.patch_heads(model, CLEAN, CLEAN, ANSWERS, layers=0, heads=0)
    assert float(same) == pytest.approx(difference, abs=1e-4)


def test_a_tokenizer_that_cannot_be_told_is_refused() -> None:
    class Stubborn:
        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            return {"input_ids": [7, 2] if add_special_tokens else [7]}

        def decode(self, ids: list[int]) -> str:
            return "</s>"

    tokenizer: Any = Stubborn()
    with pytest.raises(RuntimeError, match="puts '</s>' behind each text, and cannot be told not to"):
        add_no_end(tokenizer)


@pytest.mark.parametrize("given", [None, 5, b"a", ["a"], torch.tensor([1])])
def test_what_is_no_text_is_told_by_its_kind(given: Any, tiny: Any) -> None:
    for read in (
        as_text,
        lambda text: token_ids(tiny("tiny-llama"), text),
        lambda text: token_id(tiny("tiny-llama"), text),
    ):
        with pytest.raises(ValueError, match=f"A text was expected, .*; {type(given).__name__} came"):
            read(given)


def generate(model: Any, text: Any) -> Any:
    with model.generate(text, max_new_tokens=1) as tracer:
        ids = tracer.result.save()
    return ids


@pytest.mark.parametrize("given", [None, 5, b"a", "\ud800", []])
def test_no_run_and_no_tokenizer_fails_from_within(given: Any, tiny: Any) -> None:
    model = tiny("tiny-llama")
    for read in (
        lambda text: model.tokenizer(text),
        lambda text: generate(model, text),
        lambda text: tokens.split_tokens(model, text),
        lambda text: tokens.next_token_probabilities(model, text),
        lambda text: tokens.top_next_tokens(model, text),
        lambda text: tokens.continuation_log_probability(model, "a", text),
        lambda text: tokens.surprisals(model, text),
        lambda text: tokens.perplexity(model, text),
        lambda text: tokens.chat_prompt(model, text),
        lambda text: residual.residual_stream(model, text),
        lambda text: logit_lens.logit_lens(model, text),
        lambda text: steering.stream_norms(model, text),
        lambda text: steering.contrast_directions(model, [(" a", " b")], text),
        lambda text: steering.contrast_directions(model, text, ["It is {}"]),
        lambda text: patching.logit_differences(model, text, [(" a", " b")]),
        lambda text: patching.copy_scores(model, text),
    ):
        with pytest.raises(ValueError, match=r"text.* (was expected|is empty)|Pairs of words were|half a character"):
            read(given)


def test_what_is_a_text_is_read_as_before(tiny: Any) -> None:
    ours, plain = tiny("tiny-llama").tokenizer, tiny_tokenizer()
    said = [{"role": "user", "content": "a"}]
    assert ours(["a", "b c"], padding=True) == plain(["a", "b c"], padding=True)
    assert ours(["a", "b"], is_split_into_words=True) == plain(["a", "b"], is_split_into_words=True)
    assert ours(text_target="a") == plain(text_target="a")
    assert ours.apply_chat_template(said) == plain.apply_chat_template(said)
    model = tiny("tiny-llama")
    with model.trace(said):
        talked = model.output.logits.save()
    assert talked.shape[1] == len(plain.apply_chat_template(said, add_generation_prompt=True)["input_ids"])


def test_a_tokenizer_is_copied_packed_and_saved_as_what_it_was(tiny: Any, tmp_path: Path) -> None:
    ours, plain = tiny("tiny-llama").tokenizer, tiny_tokenizer()
    for one in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert type(one) is type(plain)
        assert one("The cat") == plain("The cat")
    ours.save_pretrained(tmp_path / "ours")
    plain.save_pretrained(tmp_path / "plain")
    for file in (tmp_path / "plain").iterdir():
        assert (tmp_path / "ours" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("given", [None, ["a"], "\ud800"])
def test_no_view_fails_from_within(given: Any, tiny: Any) -> None:
    from course_utils import explore

    for view in (explore.tokens, explore.next_token, explore.cache, explore.lens, explore.attention):
        with pytest.raises(ValueError, match=r"A text was expected|half a character"):
            view(tiny("tiny-llama"), given)
