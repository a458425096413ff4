"""The exercises of lesson 1, tokens and logits."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from course_utils import tokens
from course_utils.exercises.drawing import PLACES, text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model

# What learners do instead. Each is told its name by the check when its values are what came.


def _raw_vocabulary(model: Any, text: str) -> list[tuple[int, str]]:
    ids = model.tokenizer(text)["input_ids"]
    return list(zip(ids, model.tokenizer.convert_ids_to_tokens(ids), strict=True))


def _stripped(model: Any, text: str) -> list[tuple[int, str]]:
    return [(token_id, token.strip()) for token_id, token in tokens.split_tokens(model, text)]


def _swapped(model: Any, text: str) -> list[tuple[str, int]]:
    return [(token, token_id) for token_id, token in tokens.split_tokens(model, text)]


def _logits(model: Any, text: str) -> torch.Tensor:
    with model.trace(text):
        logits = model.output.logits.save()
    return logits[0]


def _first_position(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return _top(model, _logits(model, prompt)[0].softmax(dim=-1), k)


def _logits_for_probabilities(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return _top(model, _logits(model, prompt)[-1], k)


def _least_first(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    return tokens.top_next_tokens(model, prompt, k)[::-1]


def _renormalised(model: Any, prompt: str, k: int = 5) -> list[tuple[str, float]]:
    values, ids = _logits(model, prompt)[-1].topk(k)
    shares = values.softmax(dim=-1).tolist()
    return [(model.tokenizer.decode([i]), share) for i, share in zip(ids.tolist(), shares, strict=True)]


def _top(model: Any, scores: torch.Tensor, k: int) -> list[tuple[str, float]]:
    values, ids = scores.topk(k)
    return [(model.tokenizer.decode([i]), value) for i, value in zip(ids.tolist(), values.tolist(), strict=True)]


def _over_positions(model: Any, text: str) -> torch.Tensor:
    return _logits(model, text).softmax(dim=0)


def _with_batch(model: Any, text: str) -> torch.Tensor:
    return _logits(model, text)[None].softmax(dim=-1)


def _last_only(model: Any, text: str) -> torch.Tensor:
    return _logits(model, text)[-1].softmax(dim=-1)


def _continuation(
    model: Any, prompt: str, continuation: str, shift: int = 1, whole: bool = False, n: int | None = None
) -> float:
    start = model.tokenizer(prompt)["input_ids"]
    rest = model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with model.trace([start + rest]):
        logits = model.output.logits[0].save()
    log_probabilities = logits.log_softmax(dim=-1)
    ids = start + rest
    places = range(1 if whole else len(start), len(ids) if n is None else len(start) + n)
    return sum(float(log_probabilities[place - shift, ids[place]]) for place in places)


def _not_shifted_continuation(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, shift=0)


def _prompt_included(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, whole=True)


def _first_token_only(model: Any, prompt: str, continuation: str) -> float:
    return _continuation(model, prompt, continuation, n=1)


def _probability(model: Any, prompt: str, continuation: str) -> float:
    return math.exp(tokens.continuation_log_probability(model, prompt, continuation))


def _nats(model: Any, text: str) -> torch.Tensor:
    return tokens.surprisals(model, text) * math.log(2)


def _not_negated(model: Any, text: str) -> torch.Tensor:
    return -tokens.surprisals(model, text)


def _not_shifted(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    bits = -_logits(model, text).log_softmax(dim=-1).cpu() / math.log(2)
    return bits[1:].gather(1, ids[1:, None])[:, 0]


def _own_token(model: Any, text: str) -> torch.Tensor:
    ids = torch.tensor(model.tokenizer(text)["input_ids"])
    bits = -_logits(model, text).log_softmax(dim=-1).cpu() / math.log(2)
    return bits.gather(1, ids[:, None])[:, 0]


def _never_appended(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return tokens.greedy(model, prompt, 1) * n_tokens


def _with_prompt(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return list(model.tokenizer(prompt)["input_ids"]) + tokens.greedy(model, prompt, n_tokens)


def _prompt_forgotten(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    ids = tokens.greedy(model, prompt, 1)
    while len(ids) < n_tokens:
        with model.trace([ids[-1:]]):
            logits = model.output.logits[0, -1].save()
        ids.append(int(logits.argmax()))
    return ids


def _one_token_short(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return tokens.greedy(model, prompt, n_tokens - 1)


def _crossing_dropped(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    ordered, ids = probabilities.sort(descending=True)
    kept = torch.zeros_like(probabilities)
    kept[ids] = torch.where(ordered.cumsum(dim=0) <= p, ordered, 0.0)
    return kept / kept.sum()


def _not_rescaled(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return torch.where(tokens.nucleus(probabilities, p) > 0, probabilities, 0.0)


def _softmax_again(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return torch.where(tokens.nucleus(probabilities, p) > 0, probabilities, -torch.inf).softmax(dim=-1)


def _not_put_back(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    return tokens.nucleus(probabilities, p).sort(descending=True).values


def _each_above_p(probabilities: torch.Tensor, p: float) -> torch.Tensor:
    kept = torch.where(probabilities >= 1 - p, probabilities, 0.0)
    return kept / kept.sum()


# Fresh inputs.


def _texts(rng: random.Random) -> list[Case]:
    """A text for two tiny models and a true sentence for the lesson's own."""
    place, city = rng.choice(PLACES)
    sentence = f"{place} is in {city}, and the {text(rng, 3).lower()}."
    return [
        *(Case(told(model), (model, text(rng, rng.randint(5, 9)))) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), sentence)),
    ]


def _texts_to_split(rng: random.Random) -> list[Case]:
    return [
        Case(
            told(model), (model, f"{text(rng, 3)} in {rng.randint(100, 9999)}, {rng.choice(('naïve', 'café', 'Zoë'))}!")
        )
        for model in [*tiny_pair(rng), Model()]
    ]


def _prompts_with_k(rng: random.Random) -> list[Case]:
    return [Case(case.label, case.args, {"k": rng.randint(3, 7)}) for case in _texts(rng)]


def _prompts_with_length(rng: random.Random) -> list[Case]:
    return [Case(case.label, case.args, {"n_tokens": rng.randint(4, 6)}) for case in _texts(rng)]


def _continuations(rng: random.Random) -> list[Case]:
    place, city = rng.choice(PLACES)
    return [
        *(Case(told(model), (model, text(rng, 4), f" {text(rng, 3).lower()}")) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), f"{place} is in the city of", f" {city}, in the {text(rng, 1).lower()}")),
    ]


def _distributions(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def draw(size: int, spread: float) -> torch.Tensor:
        return (torch.randn(size, generator=source) * spread).softmax(dim=-1)

    return [
        Case("12 tokens", (draw(12, 1.0), round(rng.uniform(0.6, 0.8), 3))),
        Case("1000 tokens", (draw(1000, 2.0), round(rng.uniform(0.7, 0.95), 3))),
        Case(
            "a distribution whose first token has more than p",
            (torch.tensor([0.02, 0.9, 0.05, 0.03]), round(rng.uniform(0.3, 0.6), 3)),
        ),
    ]


EXERCISES = [
    Exercise(
        id="1.1",
        title="Take a text apart",
        minutes=5,
        points=1,
        difficulty=1,
        reference=tokens.split_tokens,
        shows="A model never sees letters: it sees these numbers.",
        hints=(
            "model.tokenizer(text) gives a dictionary; the ids are its 'input_ids'.",
            "model.tokenizer.decode([i]) turns one id into the text of its token, spaces included.",
        ),
        draw=_texts_to_split,
        axes=("token", "part"),
        mistakes=(
            Mistake(
                "raw vocabulary entry",
                _raw_vocabulary,
                "These are the entries of the vocabulary file, where Ġ stands for a space and bytes have stand-in letters: "
                "decode each id instead.",
            ),
            Mistake("space stripped", _stripped, "The space in front belongs to the token: do not strip it."),
            Mistake("pair swapped", _swapped, "The id comes first in each pair, then the text."),
        ),
    ),
    Exercise(
        id="1.2",
        title="The most probable next tokens",
        minutes=10,
        points=2,
        difficulty=1,
        reference=tokens.top_next_tokens,
        shows="One forward pass ranks the whole vocabulary; the top of it is what the model would say.",
        hints=(
            "Inside the trace, model.output.logits has shape (batch, position, vocabulary). Which position predicts what comes next?",
            "Save the last position's logits, take softmax(dim=-1), then .topk(k).",
        ),
        draw=_prompts_with_k,
        axes=("rank", "part"),
        mistakes=(
            Mistake(
                "first position",
                _first_position,
                "This is what the model predicts after the first token: the prediction for the next one stands at the last position, -1.",
            ),
            Mistake("logits", _logits_for_probabilities, "These are logits, not probabilities: a softmax is missing."),
            Mistake("ascending", _least_first, "The order is reversed: the most probable comes first."),
            Mistake(
                "softmax over the top k",
                _renormalised,
                "This is a softmax over the k logits only: take it over the whole vocabulary, then pick.",
            ),
        ),
    ),
    Exercise(
        id="1.3",
        title="A prediction at every position",
        minutes=5,
        points=1,
        difficulty=1,
        reference=tokens.next_token_probabilities,
        shows="A text of n tokens costs one forward pass and gives n predictions.",
        hints=(
            "The same trace as before, without picking a position. Drop the batch: the first axis has size 1.",
            "Softmax runs along the vocabulary, the last axis: each row must sum to 1.",
        ),
        draw=_texts,
        axes=("position", "vocabulary"),
        mistakes=(
            Mistake(
                "softmax over positions",
                _over_positions,
                "The softmax runs over the positions here: along the vocabulary (dim=-1) each row sums to 1.",
            ),
            Mistake("batch kept", _with_batch, "The batch axis is still there: one text was given, so take row 0."),
            Mistake("last position only", _last_only, "This is the last position only: all of them are asked for."),
        ),
    ),
    Exercise(
        id="1.4",
        title="The trailing space",
        minutes=15,
        points=3,
        difficulty=2,
        reference=tokens.continuation_log_probability,
        shows="The same letters, cut into other tokens, are another text to the model.",
        hints=(
            "Put the ids of both parts one after the other and run them in one trace: model.trace([ids]).",
            "The prediction of token i stands at position i - 1. Sum log_softmax there, over the continuation's tokens only.",
        ),
        draw=_continuations,
        mistakes=(
            Mistake(
                "not shifted",
                _not_shifted_continuation,
                "Each token is scored at its own position, which already saw it: its prediction stands one position earlier.",
            ),
            Mistake(
                "prompt included",
                _prompt_included,
                "The prompt's tokens are in the sum too: only the continuation's count.",
            ),
            Mistake(
                "first token only", _first_token_only, "Only the continuation's first token is counted: it has several."
            ),
            Mistake("not a logarithm", _probability, "This is the probability itself: its logarithm was asked for."),
        ),
    ),
    Exercise(
        id="1.5",
        title="Surprisal",
        minutes=10,
        points=2,
        difficulty=2,
        reference=tokens.surprisals,
        shows="A language model is a meter of surprise: this is the number that training makes small.",
        hints=(
            "Row i of the predictions is about token i + 1. So drop the last row, and the first token.",
            "gather picks one number in each row: rows.gather(1, ids[:, None])[:, 0]. Bits are natural logarithms divided by log(2).",
        ),
        draw=_texts,
        axes=("entry",),
        mistakes=(
            Mistake("nats", _nats, "These are natural logarithms (nats): divide by log(2) for bits."),
            Mistake("sign", _not_negated, "These are log-probabilities: surprisal is their negative."),
            Mistake(
                "not shifted",
                _not_shifted,
                "Each token is scored at its own position, which already saw it: its prediction stands one position earlier.",
            ),
            Mistake(
                "one entry too many, not shifted",
                _own_token,
                "There is an entry for the first token, which nothing predicted: row i of the predictions is about token i + 1.",
            ),
        ),
    ),
    Exercise(
        id="1.6",
        title="Greedy generation by hand",
        minutes=10,
        points=2,
        difficulty=2,
        reference=tokens.greedy,
        shows="Generation is a loop around one prediction; the model itself keeps nothing.",
        hints=(
            "Run the ids so far, take the argmax at the last position, append it, repeat.",
            "model.trace([ids]) runs a list of ids. Return only what was appended.",
        ),
        draw=_prompts_with_length,
        axes=("token",),
        mistakes=(
            Mistake(
                "never appended",
                _never_appended,
                "Each step runs the same text: append the new token before the next step.",
            ),
            Mistake("prompt returned", _with_prompt, "The prompt's own tokens are in front: return the new ones only."),
            Mistake(
                "prompt forgotten",
                _prompt_forgotten,
                "After the first step the model saw only the newest token: it has no memory, so give it the whole text each time.",
            ),
            Mistake("one short", _one_token_short, "The last token is missing: count the turns of the loop."),
        ),
    ),
    Exercise(
        id="1.7",
        title="Nucleus sampling",
        minutes=15,
        points=3,
        difficulty=3,
        reference=tokens.nucleus,
        shows="The nucleus is wide where the model is unsure and narrow where it knows; a fixed k is neither.",
        hints=(
            "Sort in descending order and take the cumulative sum. A token stays if those before it have less than p together.",
            "probabilities.sort(descending=True) also returns where each came from: write the kept ones back there, then rescale.",
        ),
        draw=_distributions,
        axes=("token",),
        mistakes=(
            Mistake(
                "crossing token dropped",
                _crossing_dropped,
                "The token that crosses p is missing: the set must reach p, and never be empty.",
            ),
            Mistake("not rescaled", _not_rescaled, "What is kept does not sum to 1: divide by its sum."),
            Mistake(
                "softmax of probabilities",
                _softmax_again,
                "A softmax of probabilities flattens them: divide by their sum instead.",
            ),
            Mistake(
                "left in sorted order",
                _not_put_back,
                "The values are in sorted order: put each back at its token's place.",
            ),
            Mistake(
                "threshold on each token",
                _each_above_p,
                "Each token was compared with a threshold by itself: what counts is the sum with all more probable ones.",
            ),
        ),
    ),
]
