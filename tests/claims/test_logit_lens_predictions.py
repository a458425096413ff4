"""What is said of guesses in lesson 4, and the answers that it reveals."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from course_utils.logit_lens import (
    LANDMARKS,
    TunedLens,
    ablate_parts,
    english,
    fit_translator,
    follow_token,
    kl_from_last,
    logit_attribution,
    normed_stream,
    settled_depth,
)
from course_utils.model.anatomy import anatomy
from course_utils.residual import residual_stream
from course_utils.tokens import split_tokens, token_id
from tests.claims.predicted import Claims, Truths, three_tests_of

EIFFEL = "The Eiffel Tower is in the city of"
SENTENCE = "Paris is the capital of France"
STORY = (
    "The logit lens asks every layer of a language model what it would say next. "
    "The early layers do not know yet, and the late ones do. "
    "Paris is the capital of France, and Rome is the capital of Italy."
)


@cache
def lens(model: Any, text: str) -> torch.Tensor:
    """The lens's log-probabilities, (depth, position, vocabulary): the final norm and the unembedding, by hand."""
    parts = anatomy(model)
    stream = residual_stream(model, text)
    scale = (stream.pow(2).mean(dim=-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
    return (stream / scale * parts.norm.weight @ parts.unembedding.weight.T).log_softmax(dim=-1).detach()


def words(model: Any, text: str) -> list[str]:
    return [token for _, token in split_tokens(model, text)]


def tops(model: Any, text: str) -> list[str]:
    """The first token at the last position, by depth."""
    return [model.tokenizer.decode([i]) for i in lens(model, text)[:, -1].argmax(dim=-1).tolist()]


@cache
def ranks(model: Any) -> list[int]:
    at_end = lens(model, EIFFEL)[:, -1]
    return ((at_end > at_end[:, [token_id(model, " Paris")]]).sum(dim=-1) + 1).tolist()


def sure(model: Any, word: str) -> float:
    """The probability of the first token behind a word of the prompt."""
    return float(lens(model, EIFFEL)[-1, words(model, EIFFEL).index(word)].max().exp())


@cache
def distance(model: Any) -> list[float]:
    """KL divergence from the last depth, mean over the story without its first position."""
    return kl_from_last(lens(model, STORY))[:, 1:].mean(dim=1).tolist()


@cache
def settled(model: Any) -> dict[str, int]:
    depths = settled_depth(lens(model, SENTENCE).argmax(dim=-1)).tolist()
    return dict(zip([word.strip() for word in words(model, SENTENCE)], depths, strict=True))


def shares(model: Any, against: str) -> tuple[float, float]:
    """What attentions and MLPs give together."""
    found = logit_attribution(model, EIFFEL, " Paris", against)
    return float(found[1:-1:2].sum()), float(found[2:-1:2].sum())


@cache
def fitted(model: Any) -> tuple[float, float]:
    """On text that no lens has seen, in nats: what the fitted lens leaves at depth 15, and what a constant leaves."""
    fit = normed_stream(model, english(model, windows=48))
    test = normed_stream(model, english(model, windows=3, held_out=True))
    matrix, bias = fit_translator(fit[15], fit[-1])
    parts = anatomy(model)
    read = TunedLens(matrix[None], bias[None])(test[15:16])[0]
    last = parts.logits(test[-1]).log_softmax(dim=-1)

    def left(vectors: torch.Tensor) -> float:
        logs = parts.logits(vectors).log_softmax(dim=-1)
        return float((last.exp() * (last - logs)).sum(dim=-1).mean())

    return left(read), left(fit[-1].mean(dim=0).expand_as(test[-1]))


@cache
def kept(model: Any) -> dict[str, tuple[float, float, bool]]:
    """By landmark: the city's probability, what it has without attention 23, and whether it is still first."""
    found = {}
    for landmark in LANDMARKS:
        p = ablate_parts(model, f"{landmark} is in the city of", [2 * 23 + 1]).softmax(dim=-1)
        city = int(p[0].argmax())
        found[landmark] = (float(p[0, city]), float(p[1, city]), int(p[1].argmax()) == city)
    return found


TRUTHS: Truths = {
    "4.1": lambda m: tops(m, EIFFEL).index(" Paris"),
    "4.2": lambda m: words(m, EIFFEL)[int(lens(m, EIFFEL)[-1].amax(dim=-1).argmax())],
    "4.3": lambda m: ranks(m)[15],
    "4.4": lambda m: "rises first" if max(distance(m)[1:]) > 1.1 * distance(m)[1] else "falls steadily",
    "4.5": lambda m: min(settled(m), key=settled(m).__getitem__),
    "4.6": lambda m: "attention" if shares(m, " Rome")[0] > shares(m, " Rome")[1] else "MLPs",
    "4.7": lambda m: fitted(m)[0],
    "4.8": lambda m: sum(not first for _, _, first in kept(m).values()),
}

CLAIMS: Claims = {
    "4.1": {
        "at once": lambda m: tops(m, EIFFEL)[0] == " of",
        "half-way": lambda m: set(tops(m, EIFFEL)[10:21]) <= {",", ".", " (", " and"},
        "where it jumps": lambda m: ranks(m)[23] > 1000 > 100 > ranks(m)[27] > 1 and tops(m, EIFFEL)[27] == ",",
        "the end": lambda m: all(
            follow_token(m, f"{landmark} is in the city of", city)["rank"].tolist().index(1) == 30
            for landmark, city in (("The Colosseum", " Rome"), ("The Kremlin", " Moscow"))
        ),
    },
    "4.2": {
        "the whole prompt": lambda m: 0.6 < sure(m, " of") < 0.7 < sure(m, "iffel"),
        "fixed grammar": lambda m: 0.6 < sure(m, " city") < 0.7,
        "the name": lambda m: sure(m, " Tower") < 0.3 < 0.9 < sure(m, "iffel"),
        "half a letter": lambda m: sorted(sure(m, word) for word in words(m, EIFFEL)).index(sure(m, " E")) == 1,
    },
    "4.3": {
        "nearly there": lambda m: min(ranks(m)[:24]) > 1000 > ranks(m)[24],
        "on its way": lambda m: (
            3000 < min(ranks(m)[5:24]) < max(ranks(m)[5:24]) < 10_000
            and any(b > a for a, b in zip(ranks(m)[5:23], ranks(m)[6:24], strict=True))
        ),
        "nowhere": lambda m: max(ranks(m)) < 25_000 and ranks(m)[0] < 5000,
    },
    "4.4": {
        "each layer helps": lambda m: max(distance(m)[1:]) > distance(m)[1],
        "late work": lambda m: 1.25 < distance(m)[16] / distance(m)[1] < 1.45 and distance(m)[20] > distance(m)[1],
        "a detour": lambda m: 5 < distance(m).index(max(distance(m)[1:])) < 20,
    },
    "4.5": {
        "the best known": lambda m: settled(m)["France"] == 30,
        "the fact": lambda m: min(settled(m)[word] for word in ("is", "the", "Paris")) > settled(m)["capital"],
        "a common word": lambda m: (
            settled(m)["of"] > settled(m)["capital"]
            and tops(m, "Paris is the capital")[-1] == " of"
        ),
    },
    "4.6": {
        "facts in MLPs": lambda m: all(shares(m, other)[1] > shares(m, other)[0] for other in (" London", " the")),
        "both": lambda m: (
            1.8 < shares(m, " Rome")[0] / shares(m, " Rome")[1] < 2.3
            and shares(m, " London")[1] > shares(m, " London")[0]
        ),
        "brought from the landmark": lambda m: shares(m, " Rome")[0] > shares(m, " Rome")[1],
    },
    "4.7": {
        "the map finds it all": lambda m: fitted(m)[0] > 1,
        "little help": lambda m: 4 < fitted(m)[1] < 4.6 and distance(m)[15] > 10,
        "half": lambda m: fitted(m)[0] < fitted(m)[1] - 1,
    },
    "4.8": {
        "none": lambda m: (
            "The Eiffel Tower" in sorted(kept(m), key=lambda name: kept(m)[name][1] / kept(m)[name][0])[-2:]
        ),
        "few": lambda m: sum(after < before / 2 for before, after, first in kept(m).values() if first) >= 4,
        "all": lambda m: (
            abs(kept(m)["The Colosseum"][1] - 0.80) < 0.01
            and abs(kept(m)["The Colosseum"][0] - 0.85) < 0.01
        ),
        "most": lambda m: sum(after < before / 2 for before, after, _ in kept(m).values()) >= 8,
    },
}  # fmt: skip


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("4", CLAIMS, TRUTHS)
