"""Lesson 1's solutions, held against transformers: its forward pass, loss, `generate` and logits processors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_utils import tokens
from course_utils.model.loading import TINY_MODELS

TEXT = "The old teacher took the red train to the city in 1984, and the river was under the bridge."
Tiny = Callable[..., Any]


def plain_logits(model: Any, text: str) -> torch.Tensor:
    """transformers' own logits, (position, vocabulary), with no tracing."""
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model._module(ids).logits[0]


@pytest.fixture(params=[*TINY_MODELS, "embedded"])
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Any:
    return request.getfixturevalue("real_model") if request.param == "embedded" else tiny(request.param, seed=4)


@pytest.mark.slow
def test_probabilities_are_transformers(model: Any) -> None:
    expected = plain_logits(model, TEXT).softmax(dim=-1)
    torch.testing.assert_close(tokens.next_token_probabilities(model, TEXT), expected, rtol=1e-4, atol=1e-6)
    values, ids = expected[-1].topk(4)
    top = tokens.top_next_tokens(model, TEXT, k=4)
    assert [token for token, _ in top] == [model.tokenizer.decode([i]) for i in ids]
    assert [p for _, p in top] == pytest.approx(values.tolist(), rel=1e-4)


@pytest.mark.slow
def test_surprisal_and_perplexity_are_transformers_loss(model: Any) -> None:
    ids = model.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        loss = float(model._module(ids, labels=ids).loss)  # the mean over the predicted tokens, in nats
    bits = tokens.surprisals(model, TEXT)
    assert bits.shape == (ids.shape[1] - 1,)
    assert float(bits.mean()) * math.log(2) == pytest.approx(loss, rel=1e-4)
    assert tokens.perplexity(model, TEXT) == pytest.approx(math.exp(loss), rel=1e-3)


def test_settled_surprisals_are_transformers_loss_on_all_but_the_first_prediction(model: Any) -> None:
    """Labels of -100 are left out of transformers' loss: the lead's and the text's first token."""
    front, rest = (model.tokenizer(text)["input_ids"] for text in ("\n", TEXT))
    ids = torch.tensor([front + rest])
    labels = ids.clone()
    labels[0, : len(front) + 1] = -100
    with torch.no_grad():
        loss = float(model._module(ids, labels=labels).loss)
    bits = tokens.settled_surprisals(model, TEXT)
    assert bits.shape == (len(rest) - 1,)
    assert float(bits.mean()) * math.log(2) == pytest.approx(loss, rel=1e-4)


@pytest.mark.slow
def test_perplexity_in_batches_is_that_of_the_single_texts(model: Any) -> None:
    """Left padding must not change what is predicted; the reference is transformers' loss on each text alone."""
    texts = [TEXT, "The cat sat.", "A long winter night in the old house by the river.", "One", "Two birds"]
    total, count = 0.0, 0
    for text in texts:
        ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
        if ids.shape[1] > 1:
            with torch.no_grad():
                total += float(model._module(ids, labels=ids).loss) * (ids.shape[1] - 1)
            count += ids.shape[1] - 1
    assert tokens.perplexity(model, texts, batch_size=3) == pytest.approx(math.exp(total / count), rel=1e-3)


def test_continuation_is_the_sum_of_transformers_log_probabilities(model: Any) -> None:
    prompt, continuation = "The old house", " in the green garden"
    a = model.tokenizer(prompt)["input_ids"]
    b = model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        log_probabilities = model._module(torch.tensor([a + b])).logits[0].log_softmax(dim=-1)
    expected = sum(float(log_probabilities[len(a) + i - 1, token]) for i, token in enumerate(b))
    assert tokens.continuation_log_probability(model, prompt, continuation) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_greedy_is_transformers_generate(model: Any) -> None:
    ids = model.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    ours = tokens.greedy(model, TEXT, 6)
    # Without an end-of-text token, so that generate takes as many steps as we do.
    with torch.no_grad():
        theirs = model._module.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert ours == theirs[0, ids.shape[1] :].tolist()
    assert tokens.sample(model, TEXT, 6, temperature=0) in model.tokenizer.decode(ours, skip_special_tokens=True)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 1.0])
def test_nucleus_and_top_k_are_transformers_warpers(p: float) -> None:
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(500, generator=torch.Generator().manual_seed(7)) * 2
    expected = TopPLogitsWarper(top_p=p)(torch.empty(1, 0), logits[None])[0].softmax(dim=-1)
    torch.testing.assert_close(tokens.nucleus(logits.softmax(dim=-1), p), expected, rtol=1e-4, atol=1e-7)
    expected = TopKLogitsWarper(top_k=20)(torch.empty(1, 0), logits[None])[0].softmax(dim=-1)
    torch.testing.assert_close(tokens.keep_top_k(logits.softmax(dim=-1), 20), expected, rtol=1e-4, atol=1e-7)


def test_temperature_is_transformers_warper_and_zero_is_greedy() -> None:
    from transformers import TemperatureLogitsWarper

    logits = torch.randn(50, generator=torch.Generator().manual_seed(7))
    expected = TemperatureLogitsWarper(0.7)(torch.empty(1, 0), logits[None])[0].softmax(dim=-1)
    torch.testing.assert_close(tokens.tempered(logits, 0.7), expected)
    assert tokens.tempered(logits, 0).argmax() == logits.argmax() and tokens.tempered(logits, 0).sum() == 1
    with pytest.raises(ValueError, match="-1"):
        tokens.tempered(logits, -1)


def test_split_tokens_joined_are_the_text(model: Any) -> None:
    assert "".join(token for _, token in tokens.split_tokens(model, TEXT)) == TEXT


def test_sampling_repeats_with_its_seed(tiny: Tiny) -> None:
    model = tiny("tiny-gemma3", seed=1)
    texts = [tokens.sample(model, TEXT, 12, top_p=0.95, top_k=400, seed=seed) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_what_the_embedded_model_says(real_model: Any) -> None:
    """The figures that the lesson's text states."""
    top = dict(tokens.top_next_tokens(real_model, "The Eiffel Tower is in the city of", k=3))
    assert top[" Paris"] == pytest.approx(0.656, abs=0.005) and top[" Rome"] == pytest.approx(0.038, abs=0.003)
    spaced = tokens.top_next_tokens(real_model, "The Eiffel Tower is in the city of ", k=5)
    assert all(token.isdigit() for token, _ in spaced)


def test_chat_prompt_is_the_templates(real_model: Any, tiny: Tiny) -> None:
    prompt = tokens.chat_prompt(real_model, "Hello?", system="Be brief.")
    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: tokens.token_ids(model, ""), "empty"),
        (lambda model: tokens.token_ids(model, "word " * 20_000), "window of"),
        (lambda model: tokens.perplexity(model, ["."]), "at least two tokens"),
        (lambda model: tokens.sample(model, "The", top_k=0), "top_k is 0"),
        (lambda model: tokens.sample(model, "The", top_p=1.5), "top_p is 1.5"),
    ],
)
def test_bad_input_is_named(call: Callable[[Any], Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=message):
        call(tiny("tiny-gpt2"))
