"""Tokens and logits: from text to the probability of every possible next token, and back to text.

A language model reads token ids and puts out logits: for each position one number for each token of the vocabulary.
Softmax turns the logits of a position into probabilities of the token that comes next. Everything here is that, seen
from several sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from course_utils.model.prompts import as_text, as_texts, token_ids
from course_utils.model.prompts import token_id as token_id  # the lessons import both from here

if TYPE_CHECKING:
    from nnsight import TransformersModel


def split_tokens(model: TransformersModel, text: str) -> list[tuple[int, str]]:
    """The tokens of a text, in order, as (id, text of the token) pairs.

    Spaces belong to the tokens and are kept. Joined, the texts are the text again, unless a character is
    split over several tokens: each of its parts shows as the replacement character.
    """
    ids = model.tokenizer(text)["input_ids"]
    return [(token_id, model.tokenizer.decode([token_id])) for token_id in ids]


def next_token_probabilities(model: TransformersModel, text: str) -> torch.Tensor:
    """For every position of a text, the probability of each token of the vocabulary to come next.

    Returns a tensor (position, vocabulary); each row sums to 1. Row i is what the model expects after
    tokens 0 to i.
    """
    with model.trace(text):
        logits = model.output.logits.save()  # (batch, position, vocabulary)
    return logits[0].softmax(dim=-1)


def top_next_tokens(model: TransformersModel, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    """The k most probable next tokens after a prompt, most probable first, as (token, probability) pairs."""
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()  # (vocabulary,)
    probabilities, ids = logits.softmax(dim=-1).topk(k)
    return [(model.tokenizer.decode([i]), p) for i, p in zip(ids.tolist(), probabilities.tolist(), strict=True)]


def continuation_log_probability(model: TransformersModel, prompt: str, continuation: str) -> float:
    """The natural logarithm of the probability that a prompt goes on with a continuation.

    Both are split into tokens by themselves, and the tokens put one after the other. The probability of the
    continuation is the product of the probabilities of its tokens, each after all that precede it.
    """
    start = model.tokenizer(prompt)["input_ids"]
    rest = model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with model.trace([start + rest]):
        logits = model.output.logits[0].save()  # (position, vocabulary)
    log_probabilities = logits.log_softmax(dim=-1)
    # The prediction of the token at position i stands at position i - 1.
    return sum(float(log_probabilities[len(start) + i - 1, token]) for i, token in enumerate(rest))


def surprisals(model: TransformersModel, text: str) -> torch.Tensor:
    """How surprised the model is by each token of a text but the first, in bits: -log2 of its probability.

    Returns a tensor (position - 1,): entry i is the surprisal of token i + 1, given tokens 0 to i.
    """
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]  # (1, position)
    with model.trace(ids):
        logits = model.output.logits[0].save()  # (position, vocabulary)
    bits = -logits.log_softmax(dim=-1).cpu() / math.log(2)
    return bits[:-1].gather(1, ids[0, 1:, None])[:, 0]


def settled_surprisals(model: TransformersModel, text: str, lead: str = "\n") -> torch.Tensor:
    """:func:`surprisals` of a text that does not stand first: with ``lead`` in front, and none for the text's own
    first token.

    The prediction that a model makes from its very first position is unlike all others (it hardly depends on the
    token there), so a mean over a short text should not contain it.

    Returns a tensor (position - 1,): entry i is the surprisal of the text's token i + 1, given ``lead`` and
    tokens 0 to i.

    Raises:
        ValueError: the text or ``lead`` is empty.
    """
    front = token_ids(model, lead)
    ids = torch.tensor([*front, *token_ids(model, text)])
    with model.trace(ids[None]):
        logits = model.output.logits[0].save()  # (position, vocabulary)
    bits = -logits.log_softmax(dim=-1).cpu() / math.log(2)
    return bits[len(front) : -1].gather(1, ids[len(front) + 1 :, None])[:, 0]


def perplexity(model: TransformersModel, texts: str | Sequence[str], batch_size: int = 8) -> float:
    """Two to the mean surprisal in bits over all tokens of the texts but each text's first (Jelinek et al. 1977).

    A model that could only guess evenly between n tokens would have perplexity n. The texts are run in batches of
    similar lengths, padded on the left, so that many short texts cost little more than the tokens in them.

    Raises:
        ValueError: no text has two tokens.
    """
    rows = [token_ids(model, text) for text in as_texts(texts)]
    rows = sorted((row for row in rows if len(row) > 1), key=len)
    if not rows:
        raise ValueError(
            "Perplexity needs a text of at least two tokens: the first is given, the others are predicted."
        )
    total = 0.0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        with model.trace(batch):
            logits = model.output.logits.save()  # (batch, position, vocabulary)
        for row, scores in zip(batch, logits, strict=True):
            predicted = scores[-len(row) : -1].float().log_softmax(dim=-1)
            total -= float(predicted.gather(1, torch.tensor(row[1:], device=scores.device)[:, None]).sum())
    return math.exp(total / sum(len(row) - 1 for row in rows))


def easier_order(model: TransformersModel, words: Sequence[str]) -> list[str]:
    """Another order of a sentence's words that costs the model far less than a shuffle.

    At least half of the words stand at another place than in ``words``. The full stop is no word; it comes
    after the last one.
    """
    # A rotation moves every word and parts one pair of neighbours alone; a few of them are enough to find a cheap one.
    cuts = sorted({1, len(words) // 2, len(words) - 2})
    rotations = [[*words[cut:], *words[:cut]] for cut in cuts]
    costs = [float(settled_surprisals(model, " ".join(order) + ".").mean()) for order in rotations]
    return rotations[costs.index(min(costs))]


def greedy(model: TransformersModel, prompt: str, n_tokens: int = 8) -> list[int]:
    """Continue a prompt by n_tokens tokens, each time with the most probable one. Returns the new ids only."""
    ids = token_ids(model, prompt)
    start = len(ids)
    for _ in range(n_tokens):
        with model.trace([ids]):
            logits = model.output.logits[0, -1].save()  # (vocabulary,)
        ids.append(int(logits.argmax()))
    return ids[start:]


def tempered(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Probabilities from logits (..., vocabulary) at a temperature: softmax of logits / temperature.

    Below 1 the likely get likelier, above 1 the distribution flattens; 0 is the limit, all on the largest logit.

    Raises:
        ValueError: the temperature is negative.
    """
    if temperature < 0:
        raise ValueError(f"The temperature is {temperature}; it must be 0 (greedy) or above.")
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    return (logits / temperature).softmax(dim=-1)


def keep_top_k(probabilities: torch.Tensor, k: int) -> torch.Tensor:
    """The k largest of probabilities (vocabulary,), rescaled to sum to 1; the others 0 (Fan et al. 2018)."""
    kept = torch.zeros_like(probabilities)
    values, ids = probabilities.topk(k)
    kept[ids] = values
    return kept / kept.sum()


def nucleus(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    """The smallest set of most probable tokens that together have probability p or more; the rest becomes 0.

    Takes probabilities (vocabulary,) and returns probabilities (vocabulary,) that sum to 1. The token that
    crosses the line is kept. Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
    """
    ordered, ids = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=0) - ordered  # what all more probable tokens have together
    kept = torch.zeros_like(probabilities)
    kept[ids] = torch.where(before < p, ordered, 0.0)
    return kept / kept.sum()


def sample(
    model: TransformersModel,
    prompt: str,
    n_tokens: int = 20,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> str:
    """Continue a prompt by drawing each token from the model's probabilities. Returns the new text.

    The same seed gives the same text. Temperature comes first, then ``top_k``, then ``top_p``, as in transformers.
    Stops early at the end-of-text token.

    Raises:
        ValueError: the prompt is empty, ``temperature`` is negative, or ``top_k`` or ``top_p`` is out of range.
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; at least 1 token must be left to choose from.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it is a probability above 0 and up to 1.")
    from transformers import DynamicCache

    source = torch.Generator().manual_seed(seed)
    ids = token_ids(model, prompt)
    start = len(ids)
    cache = DynamicCache(config=model.config)  # so that each step runs only what is new; lesson 3 opens it
    for _ in range(n_tokens):
        with model.trace([ids[cache.get_seq_length() :]], past_key_values=cache, logits_to_keep=1):
            logits = model.output.logits[0, -1].save()  # (vocabulary,)
        probabilities = tempered(logits.float().cpu(), temperature)
        if top_k is not None:
            probabilities = keep_top_k(probabilities, min(top_k, len(probabilities)))
        if top_p is not None:
            probabilities = nucleus(probabilities, top_p)
        ids.append(int(torch.multinomial(probabilities, 1, generator=source)))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    return model.tokenizer.decode(ids[start:], skip_special_tokens=True)


def chat_prompt(model: TransformersModel, message: str, system: str | None = None) -> str:
    """A message in the form in which the model was trained to be spoken to, up to where its answer begins.

    Raises:
        ValueError: the model has no chat template; it is a base model, which continues text.
    """
    if not model.tokenizer.chat_template:
        raise ValueError("This model's tokenizer has no chat template: it is a base model. Give it a text to continue.")
    messages = [{"role": "system", "content": as_text(system)}] if system is not None else []
    messages.append({"role": "user", "content": as_text(message)})
    return model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
